"""compose.yaml on a host, with the commands of docs/operating.md; then with Liquibase as the migration service."""

from collections.abc import Iterator

import httpx
import pytest

from deploy.tests import images
from deploy.tests.containers import assert_no_rights_to_spare, inspect
from deploy.tests.document import Document, compose_document
from deploy.tests.host import Host, running_host
from deploy.tests.podman import REPOSITORY, free_ports, podman, run
from tests.support.functions import ECHO, Json, execute, ready
from tests.support.waiting import eventually

COMPOSE = "/root/projectnil/deploy/compose"
SERVICES = ("postgres", "api", "compiler")


@pytest.fixture(scope="module")
def host(base_image: str, postgres_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with a checkout, Podman, podman-compose, and the packed images in deploy/dist."""
    run("deploy/image/fetch-postgres", postgres_image, settings={"PROJECTNIL_DIST": str(images.DIST)})
    ports = {22: free_ports(1)[0]}
    folder = tmp_path_factory.mktemp("compose")
    with running_host("compose", images.make_host(base_image), folder, ports) as host:
        host.ssh(
            "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends"
            " podman podman-compose crun catatonit netavark aardvark-dns nftables iptables openssl >/dev/null",
            timeout_s=600,
        )
        # systemd in a container, on the older control groups, takes the scope of a container that has just begun for an
        # empty one and ends it.
        containers_conf = '[engine]\\ncgroup_manager = "cgroupfs"\\n'
        host.ssh(f"mkdir -p /etc/containers && printf '{containers_conf}' >/etc/containers/containers.conf")
        host.ssh("mkdir -p projectnil/deploy/dist projectnil/src")
        for part in ("deploy/compose", "deploy/liquibase", "src/projectnil"):
            podman("cp", REPOSITORY / part, f"{host.container}:/root/projectnil/{part}")
        for tarball in ("projectnil-0.1.0.tar.gz", "projectnil-postgres.tar.gz"):
            podman("cp", images.DIST / tarball, f"{host.container}:/root/projectnil/deploy/dist/")
        yield host


@pytest.fixture(scope="module")
def document(host: Host) -> Document:
    return compose_document(host)


@pytest.fixture(scope="module")
def api(host: Host) -> Iterator[httpx.Client]:
    with host.forwarded(8080) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        yield http


def wait_up(api: httpx.Client) -> None:
    """Until functions can be compiled and run."""
    eventually("up", lambda: bool(api.get("/health").json()["compiler"]["status"] == "UP"), patience_s=60)


def test_the_documents_commands_start_it_all(document: Document, api: httpx.Client) -> None:
    document.run_all()
    wait_up(api)
    assert execute(api, ready(api, ECHO, "echo"), {"a": 1})["output"] == {"a": 1}


@pytest.mark.parametrize("service", SERVICES)
def test_each_container_has_no_rights_to_spare(host: Host, service: str) -> None:
    container = f"projectnil_{service}_1"
    assert_no_rights_to_spare(host, container, host.ssh(f"cat {COMPOSE}/secrets/postgres-password").strip())
    assert inspect(host, container)["HostConfig"]["LogConfig"]["Size"] == "10MB"


def test_an_api_that_dies_comes_back(host: Host, api: httpx.Client) -> None:
    host.ssh("kill -9 $(podman inspect --format '{{.State.Pid}}' projectnil_api_1)")
    wait_up(api)
    assert [function["name"] for function in api.get("/functions").json()] == ["echo"]


def test_another_container_reaches_the_api_by_its_name(host: Host) -> None:
    asking = "import urllib.request as http; print(http.urlopen('http://api:8080/health').status)"
    assert host.ssh(f'podman exec projectnil_compiler_1 python3 -c "{asking}"') == "200\n"


def test_a_proxy_is_named_in_the_settings(host: Host, api: httpx.Client) -> None:
    named = {"Host": "functions.example.com"}
    assert api.get("/health", headers=named).status_code == 421
    host.ssh(f"sed -i 's/^PROJECTNIL_ALLOWED_HOSTS=api$/&,{named['Host']}/' {COMPOSE}/.env")
    host.ssh(f"cd {COMPOSE} && podman-compose down && podman-compose up --detach", timeout_s=180)
    wait_up(api)
    assert api.get("/health", headers=named).status_code == 200


def test_what_was_stored_outlived_the_containers(api: httpx.Client) -> None:
    echo = api.get("/functions").json()[0]["id"]
    assert [found["output"] for found in details(api, echo)] == [{"a": 1}]


def details(api: httpx.Client, function_id: str) -> list[Json]:
    executions = api.get(f"/functions/{function_id}/executions").json()
    return [api.get(f"/executions/{found['id']}").json() for found in executions]


def test_liquibase_is_the_migration_service_of_another(host: Host, api: httpx.Client, base_image: str) -> None:
    packed = images.pack(images.make_liquibase(base_image), "liquibase")
    podman("cp", packed, f"{host.container}:/root/liquibase.tar.gz")
    host.ssh("podman load --quiet --input liquibase.tar.gz")
    host.ssh(f"cd {COMPOSE} && podman-compose down --volumes", timeout_s=120)
    files = "--file compose.yaml --file compose.liquibase.yaml"
    host.ssh(
        f"cd {COMPOSE} && LIQUIBASE_IMAGE={images.LIQUIBASE_IMAGE} podman-compose {files} up --detach", timeout_s=180
    )
    wait_up(api)
    assert execute(api, ready(api, ECHO, "echo"), {"b": 2})["output"] == {"b": 2}
    query = "SELECT DISTINCT liquibase FROM databasechangelog"
    assert "4.28" in host.ssh(f"podman exec projectnil_postgres_1 psql -U projectnil -Atc '{query}'")
