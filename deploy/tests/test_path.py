"""The whole path of an operator, on one host, in order: empty, provisioned, deployed, upgraded, rolled back, restarted,
backed up, destroyed, restored. The commands are those of docs/operating.md. A step needs those before it."""

import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from deploy.tests import images
from deploy.tests.conftest import OPERATOR
from deploy.tests.containers import assert_no_rights_to_spare, inspect
from deploy.tests.document import Document
from deploy.tests.history import read_history
from deploy.tests.host import NAME, PORTAL, Host
from deploy.tests.load import Load
from deploy.tests.podman import podman, run
from tests.support.functions import ECHO, FAIL, execute, ready
from tests.support.platform import PNIL
from tests.support.waiting import eventually

DEPLOY = "ansible-playbook deploy.yml"
FIRST = f"{DEPLOY} --extra-vars projectnil_version=0.1.0"
UPGRADE = f"{DEPLOY} --extra-vars projectnil_version=0.2.0"
RESTORE = "ansible-playbook restore.yml --extra-vars projectnil_backup=projectnil-20261122T031500Z.tar.gz"
NO_PASSWORD = httpx.Auth()
# Since it was last started by hand or by a deployment.
_RESTARTS = "systemctl show --property=NRestarts --value projectnil-compiler"


def changes(output: str) -> int:
    """How many tasks changed something, as a playbook's recap says."""
    return sum(int(count) for count in re.findall(r"\bchanged=(\d+)", output))


def releases(host: Host) -> dict[str, str]:
    """The release of each container, by its unit."""
    shown = host.ssh("projectnil-status").splitlines()
    return {line.split()[0]: line.split()[2] for line in shown if line.startswith(("projectnil-api@", "projectnil-c"))}


def test_images_are_built_and_packed(document: Document, base_image: str) -> None:
    document.run("scripts/setup-deploy")
    document.run(". .venv-deploy/bin/activate")
    document.run("deploy/image/build 0.1.0", *images.build_options(base_image))
    document.run("deploy/image/fetch-postgres", images.make_postgres("localhost/projectnil:0.1.0"))


def test_an_empty_host_is_provisioned_and_a_second_time_changes_nothing(document: Document) -> None:
    document.run("cd deploy/ansible")
    assert changes(document.run("ansible-playbook provision.yml")) > 10
    assert changes(document.type("ansible-playbook provision.yml")) == 0


def test_a_release_is_deployed_and_a_second_time_changes_nothing(document: Document, host: Host) -> None:
    assert changes(document.run(FIRST)) > 5
    assert changes(document.type(FIRST)) == 0
    assert "projectnil-api@2" in document.run("ansible-playbook status.yml")
    assert set(releases(host).values()) == {"0.1.0"}


def test_pgmq_is_an_extension_there(host: Host) -> None:
    query = "SELECT extname FROM pg_extension"
    assert "pgmq" in host.ssh(f"podman exec projectnil-postgres psql -U projectnil -Atc '{query}'").splitlines()


def test_nothing_but_ssh_and_the_proxy_can_be_reached(host: Host) -> None:
    address = podman("inspect", "--format", "{{ .NetworkSettings.IPAddress }}", host.container).strip()
    host.ssh("systemd-run --quiet --unit=listener python3 -m http.server 9999")
    host.ssh("until curl --silent --output /dev/null http://127.0.0.1:9999; do sleep 0.1; done")
    assert is_open(address, 22)
    assert is_open(address, 443)
    for port in (9999, 5432, 8081):
        assert not is_open(address, port), port
    host.ssh("systemctl stop listener")


def test_the_firewall_begins_anew_without_what_podman_has(host: Host, api: httpx.Client) -> None:
    host.ssh("systemctl restart nftables")
    assert api.get("/functions").status_code == 200


@pytest.mark.parametrize("container", ["projectnil-postgres", "projectnil-api-1", "projectnil-compiler"])
def test_each_container_has_no_rights_to_spare(host: Host, container: str) -> None:
    assert_no_rights_to_spare(host, container, host.ssh("cat /etc/projectnil/secrets/postgres-password").strip())


def is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_stranger_may_ask_for_its_health_and_nothing_else(api: httpx.Client) -> None:
    assert api.get("/health", auth=("", "")).json()["status"] == "UP"
    assert api.get("/functions", auth=("", "")).status_code == 401
    assert api.get("/functions", auth=(OPERATOR[0], "guessed")).status_code == 401


def test_whoever_guesses_passwords_is_not_listened_to_for_a_while(host: Host, api: httpx.Client) -> None:
    # From another address than the others' requests, to one of the host's that is not its loopback.
    address = host.ssh("hostname --all-ip-addresses").split()[0]
    guess = f"curl --silent --insecure --user {OPERATOR[0]}:guessed https://{address}/functions"
    told = host.ssh(f"for nth in $(seq 30); do {guess} --output /dev/null --write-out '%{{http_code}} '; done").split()
    assert told[:20] == ["401"] * 20
    assert told[-1] == "429"
    assert json.loads(host.ssh(guess))["title"] == "Too many requests"
    assert api.get("/functions").status_code == 200


def test_a_function_is_registered_and_run_through_the_published_port(api: httpx.Client) -> None:
    echo, fail = ready(api, ECHO, "echo"), ready(api, FAIL, "fail")
    assert execute(api, echo, {"a": 1})["output"] == {"a": 1}
    assert execute(api, fail, {})["status"] == "FAILED"


def test_the_platform_is_asked_by_its_own_name_and_no_other(api: httpx.Client) -> None:
    assert api.get("/functions", headers={"Host": NAME, "Origin": f"https://{NAME}"}).status_code == 200
    assert api.get("/functions", headers={"Host": NAME, "Origin": "https://evil.example"}).status_code == 403
    assert api.get("/functions", headers={"Host": "evil.example"}).status_code == 421


def test_pages_of_an_allowed_origin_ask_without_a_password_and_call_with_one(api: httpx.Client) -> None:
    asking = {"Host": NAME, "Origin": PORTAL, "Access-Control-Request-Method": "POST"}
    answer = api.options("/functions", headers=asking, auth=NO_PASSWORD)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PORTAL
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    called = api.get("/functions", headers={"Host": NAME, "Origin": PORTAL})
    assert (called.status_code, called.headers["Access-Control-Allow-Origin"]) == (200, PORTAL)
    assert (
        api.options("/functions", headers={**asking, "Origin": "https://evil.example"}, auth=NO_PASSWORD).status_code
        == 403
    )


@pytest.mark.parametrize(
    ("method", "without"),
    [("GET", ""), ("POST", ""), ("OPTIONS", "Origin"), ("OPTIONS", "Access-Control-Request-Method")],
)
def test_nothing_but_a_preflight_passes_without_a_password(api: httpx.Client, method: str, without: str) -> None:
    asking = {"Host": NAME, "Origin": PORTAL, "Access-Control-Request-Method": "POST"}
    asking.pop(without, None)
    assert api.request(method, "/functions", headers=asking, auth=NO_PASSWORD).status_code == 401


@pytest.mark.parametrize("body", [b"{}", iter([b"{", b"}"])], ids=["announced", "chunked"])
def test_a_preflight_with_a_body_does_not_pass_without_a_password(
    api: httpx.Client, body: bytes | Iterator[bytes]
) -> None:
    asking = {"Host": NAME, "Origin": PORTAL, "Access-Control-Request-Method": "POST"}
    assert api.request("OPTIONS", "/functions", headers=asking, auth=NO_PASSWORD, content=body).status_code == 401


def test_the_client_calls_with_a_password_and_shows_it_to_nobody(url: str, folder: Path) -> None:
    trusted = {"SSL_CERT_FILE": str(folder / "authority.pem")}
    name, password = OPERATOR
    with_password = url.replace("https://", f"https://{name}:{quote(password)}@")
    assert "echo" in run(PNIL, "list", settings={**trusted, "PROJECTNIL_URL": with_password})
    with pytest.raises(AssertionError, match="a name and a password are asked for"):
        run(PNIL, "list", settings={**trusted, "PROJECTNIL_URL": url})


def echo_of(api: httpx.Client) -> str:
    return next(str(function["id"]) for function in api.get("/functions").json() if function["name"] == "echo")


def test_an_upgrade_under_load_fails_no_request(
    document: Document, host: Host, api: httpx.Client, folder: Path, base_image: str
) -> None:
    document.run("../image/build 0.2.0", *images.build_options(base_image))
    with Load(api, folder, echo_of(api)) as load:
        document.run(UPGRADE)
        time.sleep(2)
    assert load.wrong == []
    assert load.answered > 100
    assert set(releases(host).values()) == {"0.2.0"}


def test_a_release_that_breaks_at_the_second_api_is_rolled_back_and_fails_no_request(
    document: Document, host: Host, api: httpx.Client, folder: Path
) -> None:
    images.make_broken("0.2.0", "0.3.0")
    host.ssh("touch $(podman volume inspect --format '{{.Mountpoint}}' projectnil-api-2)/broken")
    with Load(api, folder, echo_of(api)) as load:
        output = document.type(f"{DEPLOY} --extra-vars projectnil_version=0.3.0", fails=True)
    assert "Release 0.3.0 is not healthy (Wait until it is healthy (2)" in output
    assert load.wrong == []
    assert load.answered > 100
    assert set(releases(host).values()) == {"0.2.0"}
    assert "projectnil:0.3.0" not in host.ssh("podman images")
    assert changes(document.type(DEPLOY)) == 0


def test_the_log_of_each_container_is_in_the_journal_as_it_was_written(host: Host) -> None:
    lines = host.ssh(
        "journalctl --unit 'projectnil-api@1' --output cat --grep execution.completed --lines 20"
    ).splitlines()
    assert len(lines) == 20
    assert {json.loads(line)["event"] for line in lines} == {"execution.completed"}
    assert "sandbox.unhardened" not in host.ssh("journalctl --unit 'projectnil-api@*' --output cat")
    assert "database system is ready" in host.ssh("journalctl --unit projectnil-postgres --output cat")


def test_another_image_of_the_database_is_deployed(document: Document, host: Host) -> None:
    image = "localhost/projectnil-postgres:current"
    host.ssh(f"printf 'FROM {image}\\nLABEL other=yes\\n' | podman build --quiet --tag {image} -")
    document.type(f"{DEPLOY} --extra-vars projectnil_images_dir=/nowhere")
    assert is_another_database(host)


def is_another_database(host: Host) -> bool:
    return "other" in inspect(host, "projectnil-postgres")["Config"]["Labels"]


def test_a_setting_that_the_compiler_does_not_start_with_is_rolled_back_and_so_is_the_database(
    document: Document, host: Host
) -> None:
    # With it comes the tarball's image of the database again.
    broken = """{"projectnil_settings": {"PROJECTNIL_TOOLCHAINS_DIR": "/nowhere"}}"""
    output = document.type(f"{DEPLOY} --extra-vars '{broken}'", fails=True)
    assert "is not healthy (Wait until it takes jobs" in output
    assert "PROJECTNIL_TOOLCHAINS_DIR" not in host.ssh("cat /etc/projectnil/projectnil.env")
    assert is_another_database(host)
    document.type(DEPLOY)
    assert not is_another_database(host)


def test_an_api_is_taken_away_and_comes_back(document: Document, host: Host, api: httpx.Client, folder: Path) -> None:
    one = "--extra-vars projectnil_api_instances=1"
    with Load(api, folder, echo_of(api)) as load:
        document.type(f"ansible-playbook provision.yml {one}")
        document.type(f"{DEPLOY} {one}")
        assert set(releases(host)) == {"projectnil-api@1", "projectnil-compiler"}
        document.type("ansible-playbook provision.yml")
        document.type(DEPLOY)
    assert load.wrong == []
    assert set(releases(host)) == {"projectnil-api@1", "projectnil-api@2", "projectnil-compiler"}


def test_all_comes_back_after_a_restart_of_the_host(host: Host, api: httpx.Client) -> None:
    before = read_history(api)
    host.restart()
    wait_up(api)
    assert read_history(api) == before


def wait_up(api: httpx.Client) -> None:
    """Until functions can be run again."""
    eventually("healthy again", lambda: api.get("/health").status_code == 200, patience_s=90)


def test_what_was_backed_up_is_there_again_after_the_volume_was_destroyed(
    document: Document, host: Host, api: httpx.Client, folder: Path
) -> None:
    before = read_history(api)
    assert {function["name"] for function in before[0]} == {"echo", "fail"}
    assert len(before[1]) > 200
    document.run("ansible-playbook backup.yml")
    backup = max((folder / "backups").glob("*.tar.gz"))
    host.ssh("systemctl stop projectnil-compiler 'projectnil-api@*' projectnil-postgres")
    host.ssh("podman volume rm projectnil-postgres && rm /var/backups/projectnil/*")
    # As on another host, whose database has another password.
    host.ssh("rm /etc/projectnil/secrets/*")
    document.type("ansible-playbook provision.yml")
    document.run(RESTORE, instead=("projectnil-20261122T031500Z.tar.gz", backup.name))
    assert read_history(api) == before
    assert execute(api, echo_of(api), {"after": "all"})["output"] == {"after": "all"}
    assert execute(api, ready(api, ECHO, "new"), {"b": 2})["output"] == {"b": 2}


def test_a_damaged_backup_is_refused_and_leaves_the_database_as_it_was(
    document: Document, api: httpx.Client, folder: Path
) -> None:
    before = read_history(api)
    whole = max((folder / "backups").glob("*.tar.gz"))
    damaged = whole.with_name("projectnil-20260101T000000Z.tar.gz")
    damaged.write_bytes(whole.read_bytes()[:1_000_000])
    checksum = hashlib.sha256(damaged.read_bytes()).hexdigest()
    damaged.with_name(f"{damaged.name}.sha256").write_text(f"{checksum}  {damaged.name}\n")
    output = document.type(f"ansible-playbook restore.yml --extra-vars projectnil_backup={damaged.name}", fails=True)
    assert "Unexpected EOF" in output
    wait_up(api)
    assert read_history(api) == before


def test_a_database_that_is_stopped_stays_stopped_and_all_goes_on_after_it(host: Host, api: httpx.Client) -> None:
    host.ssh("systemctl stop projectnil-postgres")
    eventually("the compiler is tried again", lambda: host.ssh(_RESTARTS).strip() != "0", patience_s=60)
    assert api.get("/functions").status_code == 503
    assert "projectnil-postgres        inactive" in host.ssh("projectnil-status || test $? = 1")
    host.ssh("systemctl start projectnil-postgres")
    wait_up(api)
    assert execute(api, ready(api, ECHO, "late"), {"c": 3})["output"] == {"c": 3}


def test_old_executions_are_dropped_in_a_container(host: Host) -> None:
    pruned = host.ssh("podman exec projectnil-api-1 pnil prune --older-than 520w")
    assert pruned == "no partition is wholly older than 520w\n"


def test_every_command_of_the_document_was_run(document: Document) -> None:
    assert document.left == []
