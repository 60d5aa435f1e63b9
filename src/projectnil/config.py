"""Every setting, read from the environment in this one place, into frozen values that are passed on.

A setting is a field of `Settings`; its variable is `PROJECTNIL_` and the field's name in capitals.
`docs/configuration.md` lists them all, and a test holds it to that. The client commands read only PROJECTNIL_URL, and
do so themselves: importing this would take longer than all they do.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import structs

from projectnil.domain.addresses import DEFAULT_URL
from projectnil.domain.errors import InvalidInput
from projectnil.domain.languages import Language
from projectnil.domain.limits import Limits
from projectnil.domain.text import wrong_kind
from projectnil.domain.web_origins import parse_authority, parse_origin

PREFIX = "PROJECTNIL_"


_LISTS = ("compiler_languages", "allowed_hosts", "allowed_origins")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration. Units are in the names; docs/configuration.md says what each is for."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = Path(".projectnil")
    database_url: str | None = None
    database_url_file: Path | None = None
    database_wait_s: float = 0.0
    database_connections: int = 8
    workers: int = 1
    url: str = DEFAULT_URL
    log_format: str = "auto"

    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    http_head_bytes: int = 64 * 1024
    http_path_bytes: int = 8 * 1024
    http_request_timeout_s: float = 30.0
    http_idle_timeout_s: float = 75.0
    http_answer_timeout_s: float = 60.0
    http_connections: int = 1000
    http_memory_bytes: int = 256 * 1024 * 1024

    execution_timeout_s: float = 10.0
    memory_bytes: int = 64 * 1024 * 1024
    input_bytes: int = 1024 * 1024
    output_bytes: int = 6 * 1024 * 1024
    source_bytes: int = 1024 * 1024
    compile_timeout_s: float = 30.0
    compile_slow_s: float = 3.0
    log_bytes: int = 64 * 1024

    sandbox_processes: int = 2
    sandbox_max_processes: int = 16
    sandbox_idle_s: float = 60.0

    compiler_languages: tuple[Language, ...] = tuple(Language)
    compiler_processes: int = 1
    compiler_warm_ups: int = 4
    compiler_memory_bytes: int = 768 * 1024 * 1024
    toolchains_dir: Path = Path(__file__).parents[2] / "toolchains"
    compiler_max_reads: int = 3
    unconfined_compilers: str = "refuse"
    job_visibility_s: int = 10

    lease_s: float = 5.0
    retention_days: int = 0
    archive_days: int = 7
    stop_grace_s: float = 2.5

    @property
    def limits(self) -> Limits:
        """The limits of SPEC, as one value."""
        return Limits(**{name: getattr(self, name) for name in Limits.__struct_fields__})

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """The names that the platform is known by; also the one that it was told to listen on."""
        return (self.host, *self.allowed_hosts)

    @property
    def module_cache_dir(self) -> Path:
        """Where ahead-of-time code lives: native code, writable by the platform alone."""
        return self.data_dir.absolute() / "modules"


def read_settings(environment: Mapping[str, str], **overrides: object) -> Settings:
    """Settings from `environment`; an override that is not None (a command line option) wins.

    Raises InvalidInput naming the variable whose value does not fit.
    """
    values: dict[str, object] = {}
    for name in Settings.__struct_fields__:
        text = environment.get(PREFIX + name.upper())
        if text is not None and text != "":
            values[name] = [item.strip() for item in text.split(",")] if name in _LISTS else text
    values.update({name: value for name, value in overrides.items() if value is not None})
    settings = _with_secrets(_convert(values))
    _check(settings)
    return settings


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """The `PROJECTNIL_` variables that no setting has: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _convert(values: dict[str, object]) -> Settings:
    converted: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        if field.name not in values:
            continue
        try:
            converted[field.name] = msgspec.convert(
                values[field.name], field.type, strict=False, dec_hook=_convert_path
            )
        except msgspec.ValidationError as error:
            raise InvalidInput(_why_not(str(error), values[field.name]), PREFIX + field.name.upper()) from None
    return Settings(**converted)  # type: ignore[arg-type] # each value was converted to its field's type above


def _with_secrets(settings: Settings) -> Settings:
    """The database's URL holds a password, so it may be in a file that only we can read."""
    if settings.database_url is not None or settings.database_url_file is None:
        return settings
    try:
        database_url = settings.database_url_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot be read: {error}", PREFIX + "DATABASE_URL_FILE") from None
    if not database_url:
        raise InvalidInput(f"{settings.database_url_file} is empty", PREFIX + "DATABASE_URL_FILE")
    return structs.replace(settings, database_url=database_url)


def _why_not(message: str, value: object) -> str:
    kinds = wrong_kind(message)
    return message if kinds is None else f"must be {kinds[0]}; it is {value!r}"


def _convert_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise NotImplementedError(kind)


def _check(settings: Settings) -> None:
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        zero_is_fine = name in ("port", "retention_days", "archive_days", "database_wait_s", "compiler_warm_ups")
        if isinstance(value, int | float) and not (value > 0 or (value == 0 and zero_is_fine)):
            least = "at least 0" if zero_is_fine else "greater than 0"
            raise InvalidInput(f"must be {least}; it is {value}", PREFIX + name.upper())
    _check_web_names(settings)
    if settings.port > 65535:
        raise InvalidInput(f"must be at most 65535; it is {settings.port}", PREFIX + "PORT")
    if settings.sandbox_max_processes < settings.sandbox_processes:
        raise InvalidInput(
            f"must be at least PROJECTNIL_SANDBOX_PROCESSES ({settings.sandbox_processes})",
            PREFIX + "SANDBOX_MAX_PROCESSES",
        )
    if settings.log_format not in ("auto", "json", "console"):
        raise InvalidInput("must be auto, json or console", PREFIX + "LOG_FORMAT")
    if settings.unconfined_compilers not in ("refuse", "allow"):
        raise InvalidInput("must be refuse or allow", PREFIX + "UNCONFINED_COMPILERS")


def _check_web_names(settings: Settings) -> None:
    for host in settings.allowed_hosts:
        authority = parse_authority(host)
        if authority is None or authority[1] is not None:
            raise InvalidInput(f"must be host names without scheme and port; one is {host!r}", PREFIX + "ALLOWED_HOSTS")
    for origin in settings.allowed_origins:
        if parse_origin(origin) is None:
            raise InvalidInput(
                f"must be origins such as https://example.org; one is {origin!r}", PREFIX + "ALLOWED_ORIGINS"
            )
