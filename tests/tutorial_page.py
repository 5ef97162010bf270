"""Reads the steps of a tutorial: its commands with the output that the page shows, and its contracts.

A console block has commands behind `$ ` and their output. A YAML block that begins with `# contracts/NAME.yaml` is that
file, any other one a part of a contract. In shown output `…` stands for any characters, a line with nothing else for
any number of lines, and the number of `file 12` for any number.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONTRACT = re.compile(r"# (contracts/[a-z_]+\.yaml)\n")


@dataclass(frozen=True)
class Command:
    """A command of the shell, and the output that the page shows."""

    line: str
    shown: str

    def fits(self, output: str) -> bool:
        """Whether the output is the shown one, but for blanks at the ends of lines."""
        return re.fullmatch(_pattern(self.shown), _trimmed(output)) is not None


@dataclass(frozen=True)
class Contract:
    """A file with a contract: its path in the checkout, and its text."""

    path: str
    text: str


@dataclass(frozen=True)
class Fragment:
    """Lines of a contract."""

    text: str


def steps(page: Path) -> Iterator[Command | Contract | Fragment]:
    """The steps of a page in their order."""
    for kind, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "console":
            yield from _commands(body.splitlines())
        elif found := _CONTRACT.match(body):
            yield Contract(found[1], body)
        else:
            yield Fragment(body)


def _commands(lines: list[str]) -> Iterator[Command]:
    at = 0
    while at < len(lines):
        assert lines[at].startswith("$ "), f"a block begins with a command, not with {lines[at]!r}"
        command, at = lines[at][2:], at + 1
        while not _is_complete(command):
            command, at = f"{command}\n{lines[at]}", at + 1
        end = next((one for one in range(at, len(lines)) if lines[one].startswith("$ ")), len(lines))
        yield Command(command, "\n".join(lines[at:end]))
        at = end


def _is_complete(command: str) -> bool:
    """Whether the shell would run the command, or wait for the end of a text."""
    checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
    return checked.returncode == 0 and not checked.stderr


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def _pattern(shown: str) -> str:
    """A regular expression for the output."""
    found = ""
    for line in _trimmed(shown).splitlines():
        if line.strip() == "…":
            found += r"(?:.*\n)*?"
        else:
            escaped = re.escape(line).replace("…", ".*")
            found += re.sub(r"\bfile\\ \d+", r"file\\ \\d+", escaped) + r"\n"
    return found.removesuffix(r"\n") if not found.endswith(r"*?") else found + r".*"
