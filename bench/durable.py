"""(a) Durable executions through HTTP, against Postgres alone and against HTTP alone."""

from pathlib import Path

from bench.http_load import ECHO_BODY, Request, constant_server, echo_request, run_load
from bench.load import Load
from bench.measurement import Goal, Row, Section
from bench.pgbench import BARE_TABLE, SAME_TABLE, Pgbench
from bench.processes import cpu_s, measured_platform, spent_s
from bench.scale import Scale
from tests.support.functions import ECHO, ready

_PARTS = ("the api", "Postgres", "the sandboxes")
_NOTE = (
    "Every answer is checked to be COMPLETED. Postgres alone: pgbench, prepared statements, the same two writes as "
    "two commits, on the same server; in the same table, and in a bare one without partitions and references. "
    "HTTP alone: the platform's own HTTP stack answering a constant of the same size. Load, platform and "
    "Postgres share the machine. CPU: of all processes of a kind, for one execution, without the load's."
)


def measure(scale: Scale, folder: Path) -> Section:
    """Runs the three in turn, at each number of connections."""
    # So many connections only for pgbench's sake; the platform opens them when it needs them.
    with measured_platform(folder / "durable", scale, database_connections="160") as platform:
        with platform.client() as http:
            function_id = ready(http, ECHO)
            answer = http.post(f"/functions/{function_id}/execute", content=ECHO_BODY).text
        pgbench = Pgbench(platform.data_dir / "postgres", function_id)
        pgbench.prepare()
        rows = [_RowsAt(connections) for connections in scale.connections]
        execute = echo_request(platform.url, function_id)
        with constant_server(answer) as constant_url:
            constant = Request("POST", constant_url, '"COMPLETED"', ECHO_BODY)
            for _ in range(scale.runs):
                for at in rows:
                    before_s = cpu_s(platform)
                    ours = run_load([execute], at.connections, scale)
                    at.add_cpu(ours, spent_s(before_s, cpu_s(platform)))
                    at.add(
                        ours,
                        run_load([constant], at.connections, scale),
                        pgbench.two_commits(SAME_TABLE, at.connections, scale.load_s),
                        pgbench.two_commits(BARE_TABLE, at.connections, scale.load_s),
                    )
    return Section(
        name="durable", title="(a) Durable echo", note=_NOTE, rows=[row for at in rows for row in (*at.rows, *at.cpu)]
    )


class _RowsAt:
    """What is measured at one number of connections."""

    def __init__(self, connections: int) -> None:
        self.connections = connections
        at = f"{connections} connection{'s' if connections > 1 else ''}"
        rate_goal = Goal(at_least=1.0) if connections == 32 else None
        latency_goal = Goal(at_most=2.0) if connections == 1 else None
        self.rows = (
            Row(what=f"executions/s, {at}", unit="1/s", baseline="pgbench, same table", goal=rate_goal),
            Row(what="", unit="1/s", baseline="pgbench, bare table"),
            Row(what="", unit="1/s", baseline="HTTP, a constant"),
            Row(what=f"p50, {at}", unit="ms", baseline="pgbench's mean, same table", goal=latency_goal),
            Row(what=f"p99, {at}", unit="ms", baseline="HTTP, a constant"),
        )

        self.cpu = [Row(what=f"CPU of {part}, {at}", unit="us") for part in _PARTS]

    def add(self, ours: Load, constant: Load, same: tuple[float, float], bare: tuple[float, float]) -> None:
        """One run. same, bare: pgbench's rate and mean latency."""
        against_same, against_bare, against_http, p50, p99 = self.rows
        against_same.add(ours.per_second, same[0])
        against_bare.add(ours.per_second, bare[0])
        against_http.add(ours.per_second, constant.per_second)
        p50.add(ours.p50_ms, same[1])
        p99.add(ours.p99_ms, constant.p99_ms)

    def add_cpu(self, ours: Load, spent_s: dict[str, float]) -> None:
        """One run. spent_s: by each kind of process."""
        for part, row in zip(_PARTS, self.cpu, strict=True):
            row.add(spent_s[part] / ours.answers * 1e6)
