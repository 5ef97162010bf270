"""A user's shell for a tutorial: it keeps what the page exports, and puts true ids of files for those of the page."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tutorial_page import Command

_FILE = re.compile(r"^file (\d+): ", re.MULTILINE)
# A shown verdict that ends a command with an exit code other than 0.
_REFUSED = re.compile(r"would be refused|^file \d+: \w+_failed", re.MULTILINE)
_KEPT = ("export ", "eval ")


@dataclass
class TutorialShell:
    """Runs the commands of one page in a folder like the checkout.

    Files that a page writes to /tmp are in `scratch`. A verdict `file 10: ...` on the page says that the page calls
    this file 10: later commands and shown outputs get the true number.
    """

    checkout: Path
    scratch: Path
    environment: dict[str, str]
    _exports: list[str] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)

    def run(self, command: Command) -> None:
        """Run a command and compare its exit code and its output with the page.

        Raises:
            AssertionError: they differ.
        """
        local = replace(command, line=self._local(command.line), shown=self._local(command.shown))
        run = subprocess.run(
            ["bash", "-c", "\n".join([*self._exports, local.line])], env=self.environment, cwd=self.checkout,
            stdin=subprocess.DEVNULL, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=300,
        )  # fmt: skip
        assert (run.returncode == 0) != bool(_REFUSED.search(local.shown)), f"$ {local.line}\n{run.stdout}"
        assert local.fits(run.stdout), f"$ {local.line}\nshown:\n{local.shown}\n\nprinted:\n{run.stdout}"
        if local.line.startswith(_KEPT):
            self._exports.append(local.line)
        self._ids.update(zip(_FILE.findall(command.shown), _FILE.findall(run.stdout), strict=True))

    def _local(self, text: str) -> str:
        """The text with this test's folder for /tmp, and with the true numbers of files in commands and keys."""
        text = text.replace("/tmp/", f"{self.scratch}/")
        return re.sub(
            r"(?<= )\d+$|(?<=/)\d+(?=/)", lambda found: self._ids.get(found[0], found[0]), text, flags=re.MULTILINE
        )
