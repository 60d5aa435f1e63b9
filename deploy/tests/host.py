"""A host to deploy to, over ssh on loopback: a container with systemd and sshd, and inside it Podman of its own."""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from deploy.tests import images
from deploy.tests.podman import REPOSITORY, free_ports, podman, run

NAME = "functions.example.com"
# Another web application, whose pages may call.
PORTAL = "https://portal.example.com"
_ANSIBLE = REPOSITORY / ".venv-deploy" / "bin"
_START_TIMEOUT_S = 60
_DIAGNOSIS = """
exec 2>&1
while read -r command; do
    echo "== $command"
    SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat $command </dev/null
done <<COMMANDS
systemctl is-system-running
systemctl list-jobs
systemctl --failed
systemctl status ssh
ss -ltn
journalctl -b --unit=ssh --lines=30
journalctl -b --priority=warning --lines=50
COMMANDS
true
"""


class Host(msgspec.Struct, frozen=True):
    """container: its name. folder: for the inventory, keys and fetched files. ports: of this machine, by the host's."""

    container: str
    folder: Path
    ports: dict[int, int]

    @property
    def ssh_command(self) -> list[str]:
        """A command line that runs the script which is its last argument, as root on the host."""
        return [
            "ssh", "-F", "none", "-i", str(self.folder / "key"), "-p", str(self.ports[22]),
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "BatchMode=yes", "root@127.0.0.1",
        ]  # fmt: skip

    def ssh(self, script: str, timeout_s: float = 120) -> str:
        """Run it as root on the host, over ssh; returns its standard output."""
        return run(*self.ssh_command, script, timeout_s=timeout_s)

    @contextmanager
    def forwarded(self, port: int) -> Iterator[int]:
        """A port of this machine that leads to one of the host's loopback, which nobody else can reach."""
        ours = free_ports(1)[0]
        *ssh, address = self.ssh_command
        with subprocess.Popen(
            [*ssh, "-N", "-o", "LogLevel=ERROR", "-L", f"127.0.0.1:{ours}:127.0.0.1:{port}", address]
        ) as tunnel:
            try:
                yield ours
            finally:
                tunnel.terminate()

    def environment(self) -> dict[str, str]:
        """For Ansible: this host, in the operator's own inventory, and the password of the operator's vault."""
        return {
            "PATH": f"{_ANSIBLE}:{os.environ['PATH']}",
            "ANSIBLE_INVENTORY": str(self.folder / "inventory.ini"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "vault-password"),
            "ANSIBLE_NOCOLOR": "1",
            "PROJECTNIL_DIST": str(images.DIST),
        }

    def restart(self) -> None:
        """Power it off and on again."""
        podman("restart", "--time", "60", self.container, timeout_s=180)
        self.wait()

    def wait(self) -> None:
        """Until sshd answers. Raises AssertionError with what the host's systemd says when it does not."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                self.ssh("true", timeout_s=10)
            except AssertionError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"{error}\n{self.diagnosis()}") from None
                time.sleep(0.5)
            else:
                return

    def diagnosis(self) -> str:
        """What systemd says on a host that does not answer by ssh."""
        return podman("exec", self.container, "sh", "-c", _DIAGNOSIS)


@contextmanager
def running_host(name: str, image: str, folder: Path, ports: dict[int, int]) -> Iterator[Host]:
    """A host that nobody has touched yet. folder: for its keys. ports: published on loopback, by the host's own."""
    host = Host(f"projectnil-test-{name}", folder, ports)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
    podman("rm", "--force", "--volumes", host.container)
    published = [f"--publish=127.0.0.1:{ours}:{theirs}" for theirs, ours in ports.items()]
    podman(
        "run", "--detach", f"--name={host.container}", "--hostname=functions", "--privileged", "--systemd=always",
        # Podman's own storage cannot lie on an overlay.
        "--volume=/var/lib/containers", *published, image,
    )  # fmt: skip
    try:
        podman("exec", host.container, "ssh-keygen", "-q", "-A")
        for home, user in (("/root", "root"), ("/home/admin", "admin")):
            keys = f"{home}/.ssh/authorized_keys"
            podman("cp", folder / "key.pub", f"{host.container}:{keys}")
            podman("exec", host.container, "chown", f"{user}:", keys)
        # Also at the next boot, as on any real host.
        podman("exec", host.container, "systemctl", "enable", "--quiet", "--now", "ssh")
        key = podman("exec", host.container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{ports[22]} {' '.join(key)}\n")
        host.wait()
        yield host
    finally:
        podman("rm", "--force", "--volumes", "--time", "5", host.container, timeout_s=120)


def write_inventory(host: Host, operator: tuple[str, str]) -> None:
    """What an operator writes: the host's name, who may call (in a vault), the certificate (its key encrypted)."""
    folder = host.folder
    (folder / "inventory.ini").write_text(
        "[projectnil]\n"
        f"{NAME} ansible_host=127.0.0.1 ansible_port={host.ports[22]} ansible_user=admin "
        f"ansible_ssh_private_key_file={folder / 'key'} "
        f"ansible_ssh_common_args='-F none -o UserKnownHostsFile={folder / 'known_hosts'}'\n"
    )
    name, password = operator
    hashed = hashlib.sha256(password.encode()).hexdigest()
    secrets = folder / "host_vars" / NAME / "vault.yml"
    secrets.parent.mkdir(parents=True)
    # JSON is YAML.
    secrets.write_text(json.dumps({"projectnil_users": {name: hashed}}))
    (folder / "vault-password").write_text("a password of the test\n")
    for secret in (secrets, folder / "key.pem"):
        run(_ANSIBLE / "ansible-vault", "encrypt", secret, settings=host.environment())
    (secrets.parent / "main.yml").write_text(
        json.dumps(
            {
                "projectnil_images_dir": str(images.DIST),
                "projectnil_domain": NAME,
                "projectnil_tls_certificate": str(folder / "certificate.pem"),
                "projectnil_tls_key": str(folder / "key.pem"),
                "projectnil_backup_fetch_to": str(folder / "backups"),
                "projectnil_backup_from": str(folder / "backups"),
                # What a container's limits leave room for.
                "projectnil_max_connections": 400,
                "projectnil_settings": {"PROJECTNIL_ALLOWED_ORIGINS": PORTAL},
                # A release that is not healthy by then will not be.
                "release_patience_s": 15,
            }
        )
    )
