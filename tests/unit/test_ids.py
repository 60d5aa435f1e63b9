"""Version 7 ids carry their time."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from projectnil.domain.ids import first_id_at, moment_of, new_execution_id, parse_id


def test_new_ids_are_of_version_7_and_of_now() -> None:
    made = new_execution_id()
    assert UUID(made).version == 7
    assert str(UUID(made)) == made
    assert abs((moment_of(made) - datetime.now(UTC)).total_seconds()) < 5


def test_the_first_id_of_a_millisecond_is_not_above_any_id_made_in_it() -> None:
    made = new_execution_id()
    assert first_id_at(moment_of(made)) <= made
    assert moment_of(first_id_at(moment_of(made))) == moment_of(made)


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
