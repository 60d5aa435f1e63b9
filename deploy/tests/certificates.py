"""A certificate for the host of the test, from an authority that only the test trusts."""

import ssl
from pathlib import Path

from deploy.tests.podman import run

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def make_authority(folder: Path) -> None:
    """Writes authority.pem, and the host's certificate.pem and key.pem."""
    run(
        "openssl", "req", "-x509", *_KEY, "-subj", "/CN=projectnil's tests",
        "-keyout", folder / "authority.key", "-out", folder / "authority.pem",
    )  # fmt: skip
    run(
        "openssl", "req", "-x509", *_KEY, "-subj", "/CN=functions.example.com",
        "-addext", "subjectAltName=DNS:functions.example.com,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE",
        "-CA", folder / "authority.pem", "-CAkey", folder / "authority.key",
        "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
    )  # fmt: skip


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "authority.pem"))
