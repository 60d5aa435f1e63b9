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
from tests.support.functions import ECHO, FAIL, execute, ready
from tests.support.platform import Platform, copied

_NOTE = (
    "Two platforms stand side by side: one stays as small as the baseline, the other grows; they are measured in turn, "
    "so that the machine's moods meet both. Executions are spread over the eight weeks before. One connection. The "
    "functions' modules all differ; up to 100 of them are executed in turn. Memory: of each kind of process, what it "
    "has for itself and its share of what it shares (PSS). One execution in 20 is of a function that always fails, 20 "
    "are of one that has not run since; of the others one in 1,000 FAILED. Filters are compared with an unfiltered "
    "page of the same platform; a search that finds nothing looks at up to 100,000 executions."
)
_FLAT = Goal(at_most=1.2)
_CYCLED = 100
_WEEKS = 8
_PAGE = "limit=50"
# Old executions as they are when they have ended. The ids carry their time (uuidv7 with a shift).
_STORE = """
SELECT ensure_execution_partitions(now() - interval '{weeks} weeks', now());
INSERT INTO executions
    (id, function_id, status, input, output, error_message, created_at, started_at, completed_at)
SELECT uuidv7(-age), function_id::uuid, (CASE WHEN fails THEN 'FAILED' ELSE 'COMPLETED' END)::execution_status,
       '{{"hello":"world"}}', CASE WHEN NOT fails THEN '{{"hello":"world"}}'::jsonb END,
       CASE WHEN fails THEN 'abort: no luck today in function.ts(1:49)' END, now() - age, now() - age, now() - age
FROM (SELECT interval '{weeks} weeks' * (nth::float8 / {count}) + interval '1 minute' AS age,
             CASE WHEN nth > {count} - 20 THEN '{quiet_id}' WHEN nth % 20 = 3 THEN '{failing_id}'
                  ELSE '{function_id}' END AS function_id,
             nth <= {count} - 20 AND (nth % 20 = 3 OR nth % 1000 = 500) AS fails
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
    stock = _stock(folder / "stock", scale)
    rows = [
        *_grow(scale, stock, "executions", scale.stored_executions, _STORE, _history),
        *_grow(scale, stock, "functions", scale.functions, _REGISTER, _in_turn),
    ]
    return Section(name="growth", title="(e) Growth", note=_NOTE, rows=rows)


def _grow(
    scale: Scale, stock: "_Stock", what: str, sizes: Sequence[int], add: str, requests: "Callable[[_Subject], Requests]"
) -> Iterator[Row]:
    """sizes: the first is the baseline's. add: SQL that adds so many."""
    first, *others = sizes
    with (
        _running(stock, f"few-{what}", scale) as small,
        _running(stock, f"many-{what}", scale) as large,
    ):
        small.run_sql(add, first)
        reached = 0
        for count in others:
            large.run_sql(add, count - reached)
            reached = count
            yield from _compare(scale, large, small, f"{count:,} {what}", f"{first:,} {what}", requests)
        if what == "executions":
            yield from _compare_filters(scale, large, f"{reached:,} {what}")


class _Subject(msgspec.Struct, frozen=True):
    """A platform under measurement, and its functions: an echo, one that always fails, one that has not run since."""

    platform: Platform
    function_id: str
    failing_id: str
    quiet_id: str

    def run_sql(self, template: str, count: int) -> None:
        ids = {"function_id": self.function_id, "failing_id": self.failing_id, "quiet_id": self.quiet_id}
        sql = template.format(**ids, count=count, weeks=_WEEKS)
        run_sql(self.platform.data_dir / "postgres", sql)


class _Stock(msgspec.Struct, frozen=True):
    """The data folder of a platform that has its functions and was stopped. ids: as in _Subject."""

    data_dir: Path
    ids: list[str]


def _stock(data_dir: Path, scale: Scale) -> _Stock:
    with measured_platform(data_dir, scale) as platform, platform.client() as http:
        return _Stock(data_dir, [ready(http, source) for source in (ECHO, FAIL, ECHO)])


@contextmanager
def _running(stock: _Stock, name: str, scale: Scale) -> Iterator[_Subject]:
    with measured_platform(copied(stock.data_dir, stock.data_dir.with_name(name)), scale) as platform:
        yield _Subject(platform, *stock.ids)


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
    }


def _filters(subject: _Subject) -> dict[str, str]:
    """Queries by what they ask for."""
    busy, failing, quiet = (f"function={each}" for each in (subject.function_id, subject.failing_id, subject.quiet_id))
    since, until = f"since={_rfc3339(_WEEKS / 2)}", f"until={_rfc3339(_WEEKS / 2)}"
    hour = f"{since}&until={_rfc3339(_WEEKS / 2 - 1 / 168)}"
    return {
        "COMPLETED": "status=COMPLETED",
        "FAILED": "status=FAILED",
        "RUNNING, of which there are none": "status=RUNNING",
        "a time long ago": until,
        "an hour long ago": hour,
        "a time to come": f"since={_rfc3339(-1)}",
        "a function that has nearly all": busy,
        "its FAILED": f"{busy}&status=FAILED",
        "its RUNNING, of which there are none": f"{busy}&status=RUNNING",
        "its last weeks": f"{busy}&{since}",
        "its hour long ago": f"{busy}&{hour}",
        "its FAILED of the last weeks": f"{busy}&{since}&status=FAILED",
        "a function that has not run since": quiet,
        "its last weeks, in which it has none": f"{quiet}&{since}",
        "its FAILED, of which there are none": f"{quiet}&status=FAILED",
        "FAILED of one that always fails": f"{failing}&status=FAILED",
        "COMPLETED of it, of which there are none": f"{failing}&status=COMPLETED",
        "an error": "error=no+luck",
        "an error that never was": "error=never",
        "a short id that never was": "shortId=00000000",
    }


def _compare_filters(scale: Scale, subject: _Subject, size: str) -> Iterator[Row]:
    """Each in turn with an unfiltered page."""
    page = f"{subject.platform.url}/executions?{_PAGE}"
    brief = msgspec.structs.replace(scale, load_s=scale.load_s / 4, warm_up_s=scale.warm_up_s / 4)
    filters = list(_filters(subject).items())
    for what, query in filters[::5] if scale.is_smoke else filters:
        row = Row(what=f"p50 of a page of {what}, {size}", unit="ms", baseline="an unfiltered page", goal=_FLAT)
        for _ in range(scale.runs):
            ours, theirs = ([Request("GET", url, "[")] for url in (f"{page}&{query}", page))
            row.add(run_load(ours, 1, brief).p50_ms, run_load(theirs, 1, brief).p50_ms)
        yield row


def _rfc3339(weeks_ago: float) -> str:
    return f"{datetime.now(UTC) - timedelta(weeks=weeks_ago):%Y-%m-%dT%H:%M:%SZ}"


def _in_turn(subject: _Subject) -> Requests:
    url = subject.platform.url
    with subject.platform.client() as http:
        found = http.get(f"/functions?limit={_CYCLED}").json()
        identifiers = [each["id"] for each in found if each["id"] != subject.failing_id]
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
