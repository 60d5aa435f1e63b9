"""The real Liquibase and `pnil migrate`, from the same files: one schema, one record, and every step back and forth."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from deploy.tests import images
from deploy.tests.podman import free_ports, podman, run
from projectnil.postgres.migrations.changelog import read_changelog
from tests.support.platform import PNIL
from tests.support.waiting import eventually

PASSWORD = "a-password-of-the-test"
CHANGESETS = [changeset.id for changeset in read_changelog()]
PREDECESSOR = Path(__file__).parents[2] / "tests" / "postgres" / "predecessor.sql"
_CONTAINER = "projectnil-test-liquibase-postgres"


class Server(msgspec.Struct, frozen=True):
    """A Postgres that offers pgmq as an extension. port: of loopback."""

    port: int

    def url(self, database: str) -> str:
        return f"postgresql://projectnil:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """An empty database; returns its name."""
        self._run("createdb", "--username=projectnil", database)
        return database

    def dump(self, database: str, *options: str) -> str:
        """The whole schema, with the tables that record what was applied; without what differs each time."""
        dumped = self._run("pg_dump", "--username=projectnil", "--schema-only", "--no-owner", *options, database)
        return "\n".join(line for line in dumped.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    def query(self, database: str, sql: str) -> list[str]:
        return self._run(
            "psql", "--username=projectnil", "-AtX", f"--dbname={database}", f"--command={sql}"
        ).splitlines()

    def _run(self, *command: str) -> str:
        return podman("exec", _CONTAINER, *command)


@pytest.fixture(scope="module")
def server(postgres_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    secret = tmp_path_factory.mktemp("secrets") / "postgres-password"
    secret.write_text(PASSWORD)
    secret.chmod(0o444)
    port = free_ports(1)[0]
    podman("rm", "--force", "--volumes", _CONTAINER)
    podman(
        "run", "--detach", f"--name={_CONTAINER}", f"--publish=127.0.0.1:{port}:5432",
        f"--volume={secret}:/run/secrets/postgres-password:ro", "--env=POSTGRES_USER=projectnil",
        "--env=POSTGRES_DB=projectnil", "--env=POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password", postgres_image,
    )  # fmt: skip
    try:
        server = Server(port)
        eventually("a server that answers", lambda: _answers(server), patience_s=60)
        yield server
    finally:
        podman("rm", "--force", "--volumes", "--time", "5", _CONTAINER)


def _answers(server: Server) -> bool:
    psycopg.connect(server.url("projectnil")).close()
    return True


def liquibase(server: Server, database: str, *command: str) -> str:
    """Run the command with the files and the changelog that deploy/liquibase/update has."""
    search_path = ("deploy/liquibase", "src/projectnil/postgres/migrations")
    return run(
        images.LIQUIBASE / "liquibase", "--show-banner=false",
        f"--search-path={','.join(search_path)}", "--changelog-file=changelog.yaml",
        f"--url=jdbc:postgresql://127.0.0.1:{server.port}/{database}", "--username=projectnil",
        f"--password={PASSWORD}", *command, settings={"JAVA_HOME": images.java_home()},
    )  # fmt: skip


def pnil_migrate(server: Server, database: str) -> list[str]:
    """Returns the changesets it applied."""
    done = run(PNIL, "migrate", settings={"PROJECTNIL_DATABASE_URL": server.url(database)})
    return [line.removeprefix("applied ") for line in done.splitlines() if line != "the database is up to date"]


def record(server: Server, database: str) -> list[str]:
    """What was applied, by whom, and when."""
    return server.query(database, "SELECT id, filename, dateexecuted FROM databasechangelog ORDER BY orderexecuted")


def test_both_make_the_same_schema(server: Server) -> None:
    liquibase(server, server.create("by_liquibase"), "update")
    assert pnil_migrate(server, server.create("by_pnil")) == CHANGESETS
    assert server.dump("by_liquibase") == server.dump("by_pnil")
    assert "pgmq" in server.query("by_pnil", "SELECT extname FROM pg_extension")


def test_liquibase_recognises_what_pnil_migrated(server: Server) -> None:
    database = server.create("pnil_first")
    pnil_migrate(server, database)
    before = record(server, database), server.dump(database)
    liquibase(server, database, "update")
    assert (record(server, database), server.dump(database)) == before
    liquibase(server, database, "validate")
    # It completes the record with its checksums, and still finds the same files on its next run.
    assert server.query(database, "SELECT count(*) FROM databasechangelog WHERE md5sum IS NULL") == ["0"]
    liquibase(server, database, "update")
    assert (record(server, database), server.dump(database)) == before


def test_pnil_recognises_what_liquibase_migrated(server: Server) -> None:
    database = server.create("liquibase_first")
    liquibase(server, database, "update")
    before = record(server, database), server.dump(database)
    assert pnil_migrate(server, database) == []
    assert (record(server, database), server.dump(database)) == before


def test_each_goes_on_where_the_other_stopped(server: Server) -> None:
    half = len(CHANGESETS) // 2
    liquibase(server, server.create("mixed"), "update-count", f"--count={half}")
    assert pnil_migrate(server, "mixed") == CHANGESETS[half:]
    liquibase(server, "mixed", "rollback-count", f"--count={half}")
    assert pnil_migrate(server, "mixed") == CHANGESETS[-half:]
    liquibase(server, "mixed", "update")
    assert server.dump("mixed") == server.dump("by_pnil")


def test_every_changeset_rolls_back_and_applies_again(server: Server) -> None:
    database = server.create("back_and_forth")
    pgmq = CHANGESETS.index("004-pgmq") + 1

    def dump(applied: int) -> str:
        # pgmq itself stays when its changeset rolls back, for others may use it. The triggers on its tables do not.
        without = ("--exclude-schema=pgmq", "--exclude-extension=pgmq") if applied <= pgmq else ()
        return server.dump(database, "--exclude-table=databasechangelog*", *without)

    dumps = [dump(0)]
    for applied in range(1, len(CHANGESETS) + 1):
        liquibase(server, database, "update-count", "--count=1")
        dumps.append(dump(applied))
    for applied in reversed(range(len(CHANGESETS))):
        liquibase(server, database, "rollback-count", "--count=1")
        assert dump(applied) == dumps[applied], CHANGESETS[applied]
    assert record(server, database) == []
    liquibase(server, database, "update")
    assert dump(len(CHANGESETS)) == dumps[-1]


def test_a_database_with_rows_rolls_back_its_last_changeset_and_gets_it_again(server: Server) -> None:
    database = server.create("with_rows")
    pnil_migrate(server, database)
    server.query(
        database,
        "INSERT INTO functions (name, language, source) VALUES ('f', 'assemblyscript', 's');"
        "SELECT pgmq.send('compilation_jobs', jsonb_build_object('functionId', id, 'source', source)) FROM functions",
    )
    liquibase(server, database, "rollback-count", "--count=1")
    liquibase(server, database, "update")
    assert server.query(database, "SELECT (SELECT count(*) FROM functions), count(*) FROM pgmq.q_compilation_jobs") == [
        "1|1"
    ]


def test_liquibase_adopts_a_database_of_the_original_system(server: Server) -> None:
    database = server.create("adopted")
    with psycopg.connect(server.url(database)) as conn:
        conn.execute("CREATE EXTENSION pgmq")
        conn.execute(PREDECESSOR.read_text().encode())
    before = server.query(database, "SELECT id, name FROM functions ORDER BY id")
    count = server.query(database, "SELECT count(*) FROM executions")
    liquibase(server, database, "update")
    assert server.query(database, "SELECT id, name FROM functions ORDER BY id") == before
    assert server.query(database, "SELECT count(*) FROM executions") == count
    assert pnil_migrate(server, database) == []
