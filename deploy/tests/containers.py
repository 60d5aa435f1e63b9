"""The containers of a host, as Podman made them."""

import json
from typing import Any

from deploy.tests.host import Host


def inspect(host: Host, container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.ssh(f"podman inspect {container}"))[0]
    return found


def assert_no_rights_to_spare(host: Host, container: str, password: str) -> None:
    """Bounded, without root, capabilities, or a file system to write to; the password is not in its environment."""
    found = inspect(host, container)
    settings = found["HostConfig"]
    assert settings["ReadonlyRootfs"]
    assert not found["EffectiveCaps"]
    assert "no-new-privileges" in settings["SecurityOpt"]
    assert settings["Memory"] > 0
    assert found["Config"]["User"].split(":")[0] not in ("", "0", "root")
    assert not any(password in variable for variable in found["Config"]["Env"])
