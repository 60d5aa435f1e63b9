"""Version 7 ids carry their time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from projectnil.domain.ids import ExecutionIds, first_id_at, moment_of, parse_id, place_of


def test_new_ids_are_of_version_7_and_of_now() -> None:
    made = ExecutionIds().new()
    assert UUID(made).version == 7
    assert str(UUID(made)) == made
    assert abs((moment_of(made) - datetime.now(UTC)).total_seconds()) < 5


def test_the_first_id_of_a_millisecond_is_not_above_any_id_made_in_it() -> None:
    made = ExecutionIds().new()
    assert first_id_at(moment_of(made)) <= made
    assert moment_of(first_id_at(moment_of(made))) == moment_of(made)


class Clock:
    """A clock that is moved by hand, in ns."""

    now_ns = 5_000_000_000

    def __call__(self) -> int:
        return self.now_ns


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND_NS = 1_000_000_000


def test_ids_are_never_ahead_of_the_databases_clock() -> None:
    clock = Clock()
    ids = ExecutionIds(clock)
    # It said noon at some moment of this second: at its end it is noon at the least.
    ids.learn(NOON, clock.now_ns - SECOND_NS, clock.now_ns)
    assert moment_of(ids.new()) == NOON
    clock.now_ns += 60 * SECOND_NS
    assert moment_of(ids.new()) == NOON + timedelta(seconds=60)


def test_a_quicker_answer_brings_ids_closer_to_it_and_a_slower_one_not_farther_away() -> None:
    clock = Clock()
    ids = ExecutionIds(clock)
    ids.learn(NOON, clock.now_ns - SECOND_NS, clock.now_ns)
    assert ids.learn(NOON + timedelta(milliseconds=900), clock.now_ns - SECOND_NS // 10, clock.now_ns) == 0
    assert ids.learn(NOON, clock.now_ns - SECOND_NS, clock.now_ns) == 0
    assert moment_of(ids.new()) == NOON + timedelta(milliseconds=900)


def test_a_database_whose_clock_was_set_back_takes_ids_with_it() -> None:
    clock = Clock()
    ids = ExecutionIds(clock)
    ids.learn(NOON, clock.now_ns, clock.now_ns)
    assert ids.learn(NOON - timedelta(hours=1), clock.now_ns, clock.now_ns) == 3600 * SECOND_NS
    assert moment_of(ids.new()) == NOON - timedelta(hours=1)


def test_setting_this_machines_clock_changes_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ExecutionIds()
    before = moment_of(ids.new())
    monkeypatch.setattr("time.time_ns", lambda: 0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert timedelta(0) <= moment_of(ids.new()) - before < timedelta(minutes=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0198c1a27d3e7c559f0e2b6f5a4c1d90",
        "{0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90}",
        "0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90\n",
        "0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d9\u0660",
    ],
)
def test_only_the_canonical_form_of_a_uuid_is_an_id(text: str) -> None:
    assert parse_id(text) is None


def test_an_id_may_be_written_in_capitals() -> None:
    assert parse_id("0198C1A2-7D3E-7C55-9F0E-2B6F5A4C1D90") == "0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90"


def test_an_id_of_version_7_is_its_own_place() -> None:
    identifier = ExecutionIds().new()
    assert place_of(identifier, datetime(2001, 1, 1, tzinfo=UTC)) == identifier


def test_another_id_has_the_place_of_its_rows_creation() -> None:
    adopted = "f3a7c2d1-9b04-4e6f-a1b2-c3d4e5f60718"
    created_at = datetime(2026, 3, 4, 5, 6, 7, 891_999, tzinfo=UTC)
    place = place_of(adopted, created_at)
    assert place.endswith("-4e6f-a1b2-c3d4e5f60718")
    assert moment_of(place) == created_at.replace(microsecond=891_000)
    millisecond = timedelta(milliseconds=1)
    assert first_id_at(created_at - millisecond) < place < first_id_at(created_at + millisecond)
