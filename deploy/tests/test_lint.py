"""The playbooks are clean before anything is run with them."""

import os

from deploy.tests.podman import REPOSITORY, run

ANSIBLE = REPOSITORY / "deploy" / "ansible"
TOOLS = REPOSITORY / ".venv-deploy" / "bin"


def test_ansible_lint_has_nothing_to_say() -> None:
    path = {"PATH": f"{TOOLS}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")}
    said = run(TOOLS / "ansible-lint", "--offline", "--strict", "-q", "--nocolor", ANSIBLE, settings=path)
    assert said == ""


def test_no_secret_is_in_the_repository() -> None:
    tracked = run("git", "ls-files", "deploy").splitlines()
    assert not [path for path in tracked if path.endswith((".pem", ".key", "/.env")) or "secrets/" in path]
    ignored = ["deploy/ansible/inventory.ini", "deploy/ansible/host_vars/h/vault.yml", "deploy/compose/.env"]
    ignored += ["deploy/compose/secrets/postgres-password", "deploy/dist/projectnil-0.1.0.tar.gz"]
    assert run("git", "check-ignore", *ignored).splitlines() == ignored
