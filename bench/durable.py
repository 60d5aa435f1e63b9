"""(a) Durable executions through HTTP, against Postgres alone and against HTTP alone."""

from collections import defaultdict
from pathlib import Path

from bench.http_load import ECHO_BODY, Request, constant_server, echo_request, run_load
from bench.load import Load
from bench.measurement import Goal, Row, Section
from bench.pgbench import BARE_TABLE, SAME_TABLE, Pgbench
from bench.scale import Scale
from tests.support.functions import ECHO, ready
from tests.support.platform import Platform, running_platform

CONNECTIONS = (1, 8, 32, 128)
_NOTE = (
    "Every answer is checked to be COMPLETED. Postgres alone: pgbench, prepared statements, the same two writes as "
    "two commits, on the same server; in the same table, and in a bare one without partitions and references. "
    "HTTP alone: the platform's own HTTP stack answering a constant of the same size. Load, platform and "
    "Postgres share the machine."
)


def measure(scale: Scale, folder: Path) -> Section:
    """Runs the three in turn, at each number of connections."""
    # So many connections only for pgbench's sake; the platform opens them when it needs them.
    with running_platform(folder / "durable", database_connections="160") as platform:
        with platform.client() as http:
            function_id = ready(http, ECHO)
            answer = http.post(f"/functions/{function_id}/execute", content=ECHO_BODY).text
        pgbench = Pgbench(platform.data_dir / "postgres", function_id)
        pgbench.prepare()
        with constant_server(answer) as constant_url:
            figures = _Figures()
            for _ in range(scale.runs):
                for connections in CONNECTIONS:
                    figures.add(connections, *_once(scale, platform, function_id, constant_url, pgbench, connections))
    return Section(name="durable", title="(a) Durable echo", note=_NOTE, rows=figures.rows())


def _once(
    scale: Scale, platform: Platform, function_id: str, constant_url: str, pgbench: Pgbench, connections: int
) -> tuple[Load, Load, tuple[float, float], tuple[float, float]]:
    execute = echo_request(platform.url, function_id)
    constant = Request("POST", constant_url, '"COMPLETED"', ECHO_BODY)
    return (
        run_load([execute], connections, scale.load_s, scale.warm_up_s),
        run_load([constant], connections, scale.load_s, scale.warm_up_s),
        pgbench.two_commits(SAME_TABLE, connections, scale.load_s),
        pgbench.two_commits(BARE_TABLE, connections, scale.load_s),
    )


class _Figures:
    def __init__(self) -> None:
        self._ours: dict[int, list[Load]] = defaultdict(list)
        self._constant: dict[int, list[Load]] = defaultdict(list)
        self._same: dict[int, list[tuple[float, float]]] = defaultdict(list)
        self._bare: dict[int, list[tuple[float, float]]] = defaultdict(list)

    def add(
        self,
        connections: int,
        ours: Load,
        constant: Load,
        same: tuple[float, float],
        bare: tuple[float, float],
    ) -> None:
        self._ours[connections].append(ours)
        self._constant[connections].append(constant)
        self._same[connections].append(same)
        self._bare[connections].append(bare)

    def rows(self) -> list[Row]:
        return [row for connections in CONNECTIONS for row in self._rows_at(connections)]

    def _rows_at(self, connections: int) -> list[Row]:
        ours, constant = self._ours[connections], self._constant[connections]
        same, bare = self._same[connections], self._bare[connections]
        at = f"{connections} connection{'s' if connections > 1 else ''}"
        rates = [each.per_second for each in ours]
        p50_ms = [each.p50_ms for each in ours]
        return [
            Row(
                what=f"executions/s, {at}",
                unit="1/s",
                ours=rates,
                baseline="pgbench, same table",
                theirs=[rate for rate, _ in same],
                goal=Goal(at_least=1.0) if connections == 32 else None,
            ),
            Row(what="", unit="1/s", ours=rates, baseline="pgbench, bare table", theirs=[rate for rate, _ in bare]),
            Row(
                what="",
                unit="1/s",
                ours=rates,
                baseline="HTTP, a constant",
                theirs=[each.per_second for each in constant],
            ),
            Row(
                what=f"p50, {at}",
                unit="ms",
                ours=p50_ms,
                baseline="pgbench's mean, same table",
                theirs=[latency_ms for _, latency_ms in same],
                goal=Goal(at_most=2.0) if connections == 1 else None,
            ),
            Row(
                what=f"p99, {at}",
                unit="ms",
                ours=[each.p99_ms for each in ours],
                baseline="HTTP, a constant",
                theirs=[each.p99_ms for each in constant],
            ),
        ]
