"""Whether a `filegate` command that a text names exists, with its options, and the commands that a text names."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import typer

from include.cli.app import commands
from include.cli.lazy_group import lazy_group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# In code quotes, behind the prompt of a console, at the begin of a line in a code block, in a substitution.
_NAMED = re.compile(r"(?m)(?:`|^ *\$ |^|\$\()(?:\.venv/bin/)?filegate ([a-z][^`\n)]*)")
_ENDS = {"|", ">", "&&", ";", "||", "2>"}


def named_in(text: str) -> Iterator[list[str]]:
    """The words of each command, without `filegate`."""
    for line in _NAMED.findall(text):
        plain = line.replace("[", " ").replace("]", " ")
        try:
            words = shlex.split(plain, comments=True)
        except ValueError:  # the text of an option goes on in the next line
            words = plain.split()
        end = next((at for at, word in enumerate(words) if word in _ENDS), len(words))
        yield words[:end]


def problem_of(words: Sequence[str]) -> str:
    """What is wrong with a command's name or options; empty if it exists."""
    command: Any = lazy_group(commands())(name="filegate")
    context, left = typer.Context(command), list(words)
    while hasattr(command, "get_command") and left:
        found = command.get_command(context, left[0].rstrip(".,:;"))
        if found is None:
            return f"there is no command {left[0]}"
        command, left = found, left[1:]
    if command.context_settings.get("ignore_unknown_options"):
        return ""
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    given = [word.partition("=")[0].rstrip(".,:;") for word in _before_arguments(left) if re.match(r"--?[a-z]", word)]
    return "".join(f"{command.name} has no option {name}" for name in given if name not in known)


def _before_arguments(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words
