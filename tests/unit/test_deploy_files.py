"""deploy/ says the same thing in several languages: compose, Quadlet, Ansible, Liquibase."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from projectnil.config import Settings, read_settings
from tests.docs.markdown import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
VARIABLES = yaml.safe_load((DEPLOY / "ansible" / "group_vars" / "all.yml").read_text())
UNITS = {"postgres": "postgres", "api": "api@", "compiler": "compiler", "migrate": "migrate"}


def unit(service: str) -> dict[str, list[str]]:
    """The keys of a Quadlet unit, each with its values; systemd's format has no reader in Python, for a key repeats."""
    values: dict[str, list[str]] = {}
    for line in (DEPLOY / "quadlet" / f"projectnil-{UNITS[service]}.container").read_text().splitlines():
        if line[:1].isalpha():
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


@pytest.mark.parametrize("service", UNITS)
def test_a_container_has_the_same_rights_in_compose_and_in_quadlet(service: str) -> None:
    compose, quadlet = COMPOSE[service], unit(service)
    assert compose["read_only"]
    assert quadlet["ReadOnly"] == ["true"]
    assert compose["cap_drop"] == ["ALL"]
    assert quadlet["DropCapability"] == ["all"]
    assert compose["security_opt"] == ["no-new-privileges"]
    assert quadlet["NoNewPrivileges"] == ["true"]
    assert sorted(compose["tmpfs"]) == sorted(quadlet["Tmpfs"])
    if service != "postgres":
        assert compose["init"]
        assert quadlet["RunInit"] == ["true"]


@pytest.mark.parametrize("service", UNITS)
def test_a_container_does_the_same_in_compose_and_in_quadlet(service: str) -> None:
    compose, quadlet = COMPOSE[service], unit(service)
    # Only Ansible makes a variable of the database's own memory.
    command = quadlet["Exec"][0].replace("${POSTGRES_SHARED_BUFFERS}", VARIABLES["projectnil_postgres_shared_buffers"])
    assert " ".join(compose["command"]) == command
    if service in ("api", "compiler"):
        grace_s = int(compose["stop_grace_period"].removesuffix("s"))
        assert quadlet["StopTimeout"] == [str(grace_s)]
        # Long enough for what was asked of the platform itself.
        assert grace_s > Settings().stop_grace_s


@pytest.mark.parametrize("service", ["postgres", "api", "compiler"])
def test_a_container_has_the_same_memory_in_compose_and_in_ansible(service: str) -> None:
    assert (
        COMPOSE[service]["mem_limit"] == f"${{{service.upper()}_MEMORY:-{VARIABLES[f'projectnil_{service}_memory']}}}"
    )


def test_the_example_shows_the_defaults_of_compose() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text()
    shown = re.findall(r"^#([A-Z_]+)=(.*)$", (DEPLOY / "compose" / "example.env").read_text(), flags=re.MULTILINE)
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    assert {name: value for name, value in shown if not name.startswith("PROJECTNIL_")} == defaults


def test_every_variable_that_the_roles_read_is_shown_to_the_operator() -> None:
    files = [path for path in (DEPLOY / "ansible").rglob("*") if path.is_file() and path.suffix in (".yml", ".j2")]
    read: set[str] = set()
    for path in files:
        read |= {word for word in _words(path) if word.startswith("projectnil_")}
    assert read - set(VARIABLES) - {"projectnil_backup", "projectnil_status"} == set()


def _words(path: Path) -> list[str]:
    return "".join(letter if letter.isalnum() or letter == "_" else " " for letter in path.read_text()).split()


def test_the_platform_behind_the_proxy_is_known_by_its_name_and_operators_may_add_others() -> None:
    template = (DEPLOY / "ansible" / "roles" / "release" / "templates" / "projectnil.env.j2").read_text()
    assert '"PROJECTNIL_ALLOWED_HOSTS": projectnil_domain' in template
    assert '"PROJECTNIL_ALLOWED_ORIGINS": "https://" ~ projectnil_domain' in template
    assert "[own[name], projectnil_settings[name] | default('')]" in template


def test_in_compose_containers_reach_the_api_by_its_name_and_operators_may_add_others() -> None:
    assert COMPOSE["api"]["env_file"] == [".env"]
    lines = (DEPLOY / "compose" / "example.env").read_text().splitlines()
    settings = dict(line.split("=") for line in lines if line.startswith("PROJECTNIL_"))
    assert "api" in read_settings(settings).allowed_hosts


def test_liquibase_applies_every_file_that_pnil_applies_in_the_same_order() -> None:
    changelog: dict[str, Any] = yaml.safe_load((DEPLOY / "liquibase" / "changelog.yaml").read_text())
    included = [entry["include"]["file"] for entry in changelog["databaseChangeLog"]]
    migrations = ROOT / "src" / "projectnil" / "postgres" / "migrations"
    assert included == sorted(path.name for path in migrations.glob("*.sql"))


def test_the_image_has_no_package_that_a_checkout_has_not() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / "locks" / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line}

    assert pins("runtime.lock") <= pins("requirements.lock")
