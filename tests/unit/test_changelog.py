"""The migrations are formatted SQL that Liquibase reads too."""

import pytest

from projectnil.postgres.migrations.changelog import parse_changelog, read_changelog


def test_every_changeset_has_an_identity_of_its_own_and_a_rollback() -> None:
    changesets = read_changelog()
    identities = [(changeset.id, changeset.author, changeset.file) for changeset in changesets]
    assert len(set(identities)) == len(identities)
    # Removing pgmq would remove queues that are not ours, and adopted rows have nowhere to go back to.
    without_rollback = [changeset.id for changeset in changesets if not changeset.rollback]
    assert without_rollback == ["000-set-aside", "004-pgmq", "006-adopted-rows"]


def test_a_changeset_with_a_body_of_procedural_code_is_not_split_at_semicolons() -> None:
    for changeset in read_changelog():
        if "$$" in changeset.sql:
            assert changeset.is_one_statement, changeset.id


def test_sql_and_rollback_are_told_apart() -> None:
    text = (
        "--liquibase formatted sql logicalFilePath:x/1.sql\n\n--changeset me:1\nCREATE TABLE a ();\n"
        "--rollback DROP TABLE a;\n--changeset me:2 splitStatements:false stripComments:false\n"
        "SELECT 1;\n--rollback empty\n"
    )
    first, second = parse_changelog(text)
    assert (first.sql, first.rollback) == ("CREATE TABLE a ();", "DROP TABLE a;")
    assert (second.id, second.sql, second.rollback) == ("2", "SELECT 1;", "")


def test_a_changeset_outside_transactions_is_split_into_statements() -> None:
    text = (
        "--liquibase formatted sql logicalFilePath:x/1.sql\n--changeset me:1 runInTransaction:false\n"
        "-- First; then:\nDROP INDEX a;\nCREATE INDEX a\n  ON b (c);\n--rollback DROP INDEX a;\n"
    )
    [changeset] = parse_changelog(text)
    assert not changeset.runs_in_transaction
    assert changeset.statements == [
        "-- First; then:\nDROP INDEX a;",
        "CREATE INDEX a\n  ON b (c);",
    ]


@pytest.mark.parametrize(
    "text", ["CREATE TABLE a ();", "--liquibase formatted sql logicalFilePath:x\n--changeset nonsense\nSELECT 1;"]
)
def test_a_file_of_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a formatted SQL|cannot read"):
        parse_changelog(text)
