"""The baseline of durable writes: pgbench, from the embedded server's own wheel, on the platform's own server."""

import os
import re
import subprocess
from pathlib import Path

import msgspec

from projectnil.postgres import password
from projectnil.postgres.embedded import binaries

# The platform's own table, with all that belongs to it: partitions, the reference to functions, the second index.
SAME_TABLE = """
INSERT INTO executions (id, function_id, status, input, started_at)
    VALUES (uuidv7(), 'FUNCTION_ID', 'RUNNING', '{"hello":"world"}', now()) RETURNING id \\gset
UPDATE executions SET status = 'COMPLETED', output = '{"hello":"world"}', completed_at = now()
    WHERE id = :id::uuid AND status = 'RUNNING';
"""
# A table with nothing but its rows: no partitions, no reference, one index.
BARE_TABLE = """
INSERT INTO bench_bare (id, function_id, status, input)
    VALUES (uuidv7(), 'FUNCTION_ID', 'RUNNING', '{"hello":"world"}') RETURNING id \\gset
UPDATE bench_bare SET status = 'COMPLETED', output = '{"hello":"world"}', completed_at = now()
    WHERE id = :id::uuid AND status = 'RUNNING';
"""
_CREATE_BARE = """
CREATE TABLE IF NOT EXISTS bench_bare (
    id uuid PRIMARY KEY, function_id uuid NOT NULL, status execution_status NOT NULL,
    input jsonb, output jsonb, created_at timestamptz NOT NULL DEFAULT now(), completed_at timestamptz)
"""


class Pgbench(msgspec.Struct, frozen=True):
    """Runs on one server. sockets: the folder of its Unix socket."""

    sockets: Path
    function_id: str

    def prepare(self) -> None:
        """Make the bare table."""
        run_sql(self.sockets, _CREATE_BARE)

    def two_commits(self, script: str, clients: int, duration_s: float) -> tuple[float, float]:
        """Insert, then update, each its own commit. Returns executions a second, and the mean latency in ms."""
        command = [
            _program("pgbench"),
            *_database(self.sockets),
            "--no-vacuum",
            "--protocol=prepared",
            "--file=/dev/stdin",
        ]
        sizes = [f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(duration_s))}"]
        text = script.replace("FUNCTION_ID", self.function_id)
        done = _run([*command, *sizes], self.sockets, text)
        rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        latency_ms = re.search(r"^latency average = ([0-9.]+) ms", done.stdout, re.MULTILINE)
        failed = re.search(r"^number of failed transactions: ([0-9]+)", done.stdout, re.MULTILINE)
        if done.returncode or rate is None or latency_ms is None or failed is None or failed[1] != "0":
            raise RuntimeError(f"pgbench did not do what it should:\n{done.stdout}\n{done.stderr}")
        return float(rate[1]), float(latency_ms[1])


def run_sql(sockets: Path, sql: str) -> None:
    """Run statements one by one on the platform's database. sockets: the server's folder."""
    command = [_program("psql"), *_database(sockets), "--quiet", "--set=ON_ERROR_STOP=1"]
    done = _run(command, sockets, sql)
    if done.returncode:
        raise RuntimeError(f"psql failed:\n{done.stderr}")


def _run(command: list[str], sockets: Path, text: str) -> subprocess.CompletedProcess[str]:
    # The cluster's folder is in the platform's data folder, and so is the password.
    settings = {**os.environ, "PGPASSWORD": password.read(sockets.with_name("postgres.password"))}
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=settings)


def _database(sockets: Path) -> list[str]:
    return [f"--host={sockets}", "--username=postgres", "--dbname=projectnil"]


def _program(name: str) -> str:
    return str(binaries() / name)
