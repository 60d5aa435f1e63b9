"""Settings come from the environment, in one place."""

from pathlib import Path

import pytest

from projectnil.config import Settings, read_settings, unknown_variables
from projectnil.domain.errors import InvalidInput
from projectnil.domain.limits import Limits


def test_an_empty_environment_gives_the_defaults_of_the_specification() -> None:
    assert read_settings({}).limits == Limits()


def test_a_variable_is_the_field_in_capitals_and_an_option_wins_over_it() -> None:
    environment = {"PROJECTNIL_PORT": "1234", "PROJECTNIL_HOST": "::1", "PROJECTNIL_DATA_DIR": "/srv/nil"}
    settings = read_settings(environment, port=99, host=None)
    assert (settings.port, settings.host, settings.data_dir) == (99, "::1", Path("/srv/nil"))


def test_lists_are_separated_by_commas() -> None:
    assert read_settings({"PROJECTNIL_COMPILER_LANGUAGES": "assemblyscript"}).compiler_languages == ("assemblyscript",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "99999"),
        ("LEASE_S", "nan"),
        ("EXECUTION_TIMEOUT_S", "0"),
        ("MEMORY_BYTES", "-1"),
        ("COMPILER_LANGUAGES", "cobol"),
        ("LOG_FORMAT", "xml"),
        ("UNCONFINED_COMPILERS", "yes"),
        ("SANDBOX_MAX_PROCESSES", "1"),
        ("ALLOWED_HOSTS", "https://one.example"),
        ("ALLOWED_HOSTS", "one.example:8080"),
        ("ALLOWED_HOSTS", "one.example,"),
        ("ALLOWED_ORIGINS", "one.example"),
        ("ALLOWED_ORIGINS", "https://one.example/"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "*"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"^PROJECTNIL_{name}: "):
        read_settings({f"PROJECTNIL_{name}": value})


def test_the_platform_is_known_by_the_name_it_listens_on() -> None:
    settings = read_settings(
        {"PROJECTNIL_HOST": "one.example", "PROJECTNIL_ALLOWED_HOSTS": "two.example , three.example"}
    )
    assert settings.known_hosts == ("one.example", "two.example", "three.example")


def test_the_databases_address_may_be_in_a_file_and_the_variable_wins_over_it(tmp_path: Path) -> None:
    path = tmp_path / "database-url"
    path.write_text("postgresql://nil@one/nil\n")
    environment = {"PROJECTNIL_DATABASE_URL_FILE": str(path)}
    assert read_settings(environment).database_url == "postgresql://nil@one/nil"
    assert read_settings(environment, database_url="postgresql://two/nil").database_url == "postgresql://two/nil"


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "decode")])
def test_a_file_without_an_address_is_refused_by_its_name(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "database-url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"^PROJECTNIL_DATABASE_URL_FILE: .*{reason}"):
        read_settings({"PROJECTNIL_DATABASE_URL_FILE": str(path)})


def test_misspelt_variables_are_found() -> None:
    assert unknown_variables({"PROJECTNIL_PROT": "1", "PROJECTNIL_PORT": "1", "PATH": ""}) == ["PROJECTNIL_PROT"]


def test_every_limit_is_a_setting() -> None:
    assert set(Limits.__struct_fields__) <= set(Settings.__struct_fields__)
