"""Images built as docs/operating.md says, and a host that nobody has touched, for tests that follow that document."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.tests import images
from deploy.tests.certificates import make_authority, trusting
from deploy.tests.document import Document, operators_document
from deploy.tests.host import Host, running_host, write_inventory
from deploy.tests.podman import configure, free_ports

OPERATOR = ("operator", "correct horse battery staple")


@pytest.fixture(scope="session", autouse=True)
def _podman(tmp_path_factory: pytest.TempPathFactory) -> None:
    configure(tmp_path_factory.mktemp("podman"))


@pytest.fixture(scope="session")
def base_image() -> str:
    return images.make_base()


@pytest.fixture(scope="session")
def postgres_image(base_image: str) -> str:
    """The database's, from projectnil's own, which is packed for it too."""
    return images.make_postgres(images.make_projectnil(base_image))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an operator has on their side: the inventory, keys, certificates, fetched backups."""
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="session")
def host(folder: Path, base_image: str) -> Iterator[Host]:
    make_authority(folder)
    ports = dict(zip((22, 443), free_ports(2), strict=True))
    with running_host("host", images.make_host(base_image), folder, ports) as host:
        write_inventory(host, OPERATOR)
        yield host


@pytest.fixture(scope="session")
def document(host: Host) -> Document:
    """docs/operating.md, whose commands the tests run, in order."""
    return operators_document(host)


@pytest.fixture(scope="session")
def url(host: Host) -> str:
    return f"https://127.0.0.1:{host.ports[443]}"


@pytest.fixture(scope="session")
def api(url: str, folder: Path) -> Iterator[httpx.Client]:
    """A caller from outside, who knows the certificate's authority, and the password."""
    with httpx.Client(base_url=url, verify=trusting(folder), auth=OPERATOR, timeout=30) as http:
        yield http
