"""Runs the playbook against a folder that imitates a host's checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ANSIBLE = Path(__file__).parents[3] / "deploy" / "ansible"


@dataclass(frozen=True)
class Host:
    """A folder with a checkout that has only a Makefile, and with programs that come first on the PATH."""

    home: Path

    @property
    def checkout(self) -> Path:
        return self.home / "checkout"

    @property
    def calls(self) -> list[str]:
        """The recorded calls of the replacement programs."""
        return (self.home / "calls").read_text().splitlines()

    def write_commands(self, makefile: str, filegate: str) -> None:
        """Write the checkout's Makefile, and its `filegate` as a shell script."""
        (self.checkout / "Makefile").write_text(makefile)
        command = self.checkout / ".venv" / "bin" / "filegate"
        command.write_text(f"#!/bin/sh\n{filegate}\n")
        command.chmod(0o755)

    def play(self, tags: str, **variables: object) -> subprocess.CompletedProcess[str]:
        values = {"filegate_path": str(self.checkout), "filegate_install_packages": False, **variables}
        own = {
            "PATH": f"{self.home}{os.pathsep}{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_HOME": str(self.home / "ansible"),
            "ANSIBLE_REMOTE_TEMP": str(self.home / "ansible"),
        }
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("site.yml", "--inventory", "inventories/localhost.yml", "--tags", tags),
                *("--extra-vars", json.dumps(values)),
            ],
            cwd=ANSIBLE,
            env=os.environ | own,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """With the virtualenv of this test in the checkout."""
    (tmp_path / "checkout" / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "checkout" / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "calls").touch()
    return Host(tmp_path)
