"""(e) What changes as executions and functions accumulate: nothing should."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench.http_load import Request, echo_request, run_load
from bench.measurement import Goal, Row, Section
from bench.pgbench import run_sql
from bench.processes import measured_platform, memory_mib
from bench.scale import Scale
from projectnil.api.paging import encode_cursor
from projectnil.domain.ids import first_id_at
from tests.support.functions import ECHO, execute, ready
from tests.support.platform import Platform

_NOTE = (
    "Two platforms stand side by side: one stays as small as the baseline, the other grows; they are measured in turn, "
    "so that the machine's moods meet both. Executions are spread over the eight weeks before. One connection. The "
    "functions' modules all differ; up to 100 of them are executed in turn. Memory: of each kind of process, what it "
    "has for itself and its share of what it shares (PSS)."
)
_FLAT = Goal(at_most=1.2)
_CYCLED = 100
_WEEKS = 8
_PAGE = "limit=50"
# Old executions as they are when they have ended. The ids carry their time (uuidv7 with a shift).
_STORE = """
SELECT ensure_execution_partitions(now() - interval '{weeks} weeks', now());
INSERT INTO executions (id, function_id, status, input, output, created_at, started_at, completed_at)
SELECT uuidv7(-age), '{function_id}', 'COMPLETED', '{{"hello":"world"}}', '{{"hello":"world"}}',
       now() - age, now() - age, now() - age
FROM (SELECT interval '{weeks} weeks' * (nth::float8 / {count}) + interval '1 minute' AS age
      FROM generate_series(1, {count}) AS nth) AS ages;
VACUUM ANALYZE executions;
"""
# Copies of a function whose modules differ in a custom section (id 0, size, size of its name, no name, 16 bytes).
_REGISTER = """
INSERT INTO functions (name, language, source, status, wasm_binary)
SELECT 'copy ' || nth, language, source, status, wasm_binary || '\\x001100'::bytea || uuid_send(uuidv7())
FROM functions, generate_series(1, {count}) AS nth WHERE id = '{function_id}';
ANALYZE functions;
"""


def measure(scale: Scale, folder: Path) -> Section:
    """First executions accumulate, then functions."""
    rows = [
        *_grow(scale, folder, "executions", scale.stored_executions, _STORE, _history),
        *_grow(scale, folder, "functions", scale.functions, _REGISTER, _in_turn),
    ]
    return Section(name="growth", title="(e) Growth", note=_NOTE, rows=rows)


def _grow(
    scale: Scale, folder: Path, what: str, sizes: Sequence[int], add: str, requests: "Callable[[_Subject], Requests]"
) -> Iterator[Row]:
    """sizes: the first is the baseline's. add: SQL that adds so many."""
    first, *others = sizes
    with (
        _running(folder / f"few-{what}", scale) as small,
        _running(folder / f"many-{what}", scale) as large,
    ):
        small.run_sql(add, first)
        reached = 0
        for count in others:
            large.run_sql(add, count - reached)
            reached = count
            yield from _compare(scale, large, small, f"{count:,} {what}", f"{first:,} {what}", requests)


class _Subject(msgspec.Struct, frozen=True):
    """A platform under measurement, and its echo."""

    platform: Platform
    function_id: str

    def run_sql(self, template: str, count: int) -> None:
        sql = template.format(function_id=self.function_id, count=count, weeks=_WEEKS)
        run_sql(self.platform.data_dir / "postgres", sql)


@contextmanager
def _running(data_dir: Path, scale: Scale) -> Iterator[_Subject]:
    with measured_platform(data_dir, scale) as platform:
        with platform.client() as http:
            function_id = ready(http, ECHO)
        yield _Subject(platform, function_id)


Requests = dict[str, list[Request]]


def _history(subject: _Subject) -> Requests:
    url, function_id = subject.platform.url, subject.function_id
    cursor = encode_cursor(first_id_at(datetime.now(UTC) - timedelta(weeks=_WEEKS / 2)))
    return {
        "execute": [echo_request(url, function_id)],
        "newest page": [Request("GET", f"{url}/executions?{_PAGE}", '"COMPLETED"')],
        "page deep inside": [Request("GET", f"{url}/executions?{_PAGE}&cursor={cursor}", '"COMPLETED"')],
        "deep page of one function": [
            Request("GET", f"{url}/functions/{function_id}/executions?{_PAGE}&cursor={cursor}", '"COMPLETED"')
        ],
        **{
            f"page of {what}": [Request("GET", f"{url}/executions?{_PAGE}&{query}", "[")]
            for what, query in (
                ("COMPLETED", "status=COMPLETED"),
                ("FAILED, of which there are none", "status=FAILED"),
                ("RUNNING, of which there are none", "status=RUNNING"),
                ("one function", f"function={function_id}"),
                ("a time long ago", f"until={_rfc3339(_WEEKS / 2)}"),
                ("an hour long ago", f"since={_rfc3339(_WEEKS / 2)}&until={_rfc3339(_WEEKS / 2 - 1 / 168)}"),
                ("an error that never was", "error=never"),
            )
        },
    }


def _rfc3339(weeks_ago: float) -> str:
    return f"{datetime.now(UTC) - timedelta(weeks=weeks_ago):%Y-%m-%dT%H:%M:%SZ}"


def _in_turn(subject: _Subject) -> Requests:
    url = subject.platform.url
    with subject.platform.client() as http:
        identifiers = [each["id"] for each in http.get(f"/functions?limit={_CYCLED}").json()]
        for function_id in identifiers:
            execute(http, function_id, {})  # its machine code is made then
    return {
        "execute": [echo_request(url, subject.function_id)],
        f"execute, {len(identifiers)} functions in turn": [echo_request(url, each) for each in identifiers],
    }


def _compare(
    scale: Scale, large: _Subject, small: _Subject, size: str, baseline: str, requests: Callable[[_Subject], Requests]
) -> list[Row]:
    of_large, of_small = requests(large), requests(small)
    rows = [Row(what=f"p50 of {what}, {size}", unit="ms", baseline=baseline, goal=_FLAT) for what in of_large]
    for _ in range(scale.runs):
        for row, ours, theirs in zip(rows, of_large.values(), of_small.values(), strict=True):
            row.add(run_load(ours, 1, scale).p50_ms, run_load(theirs, 1, scale).p50_ms)
    memory, small_memory = memory_mib(large.platform), memory_mib(small.platform)
    for kind, mib in memory.items():
        row = Row(what=f"memory of {kind}, {size}", unit="MiB", baseline=baseline)
        row.add(mib, small_memory.get(kind, mib))
        rows.append(row)
    return rows
