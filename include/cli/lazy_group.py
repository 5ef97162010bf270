"""A command group that imports a command when it is called.

`filegate --help` lists every command in a fraction of a second: the help lines stand in tables, and neither DuckDB nor
Airflow is imported for them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperGroup

from include.cli.output import WRONG_USAGE, fail
from include.cli.platform_access import use_platform, use_settings
from include.errors.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Command:
    """A command or a group of commands, and where its code is.

    `target` is `module:app` for all commands of a typer app, `module:app.name` for one of them. A command that
    `needs` a variable gets the addresses of the embedded platform if the environment does not name it. One that
    `reads_settings` and needs no server gets the settings of the pipelines in `.env`.
    """

    section: str
    name: str
    target: str
    help: str
    needs: str = ""
    reads_settings: bool = False


def lazy_group(commands: Sequence[Command]) -> type[TyperGroup]:
    """The class of a group with these commands, listed by section in this order."""

    class Group(LazyGroup):
        table: ClassVar[dict[str, Command]] = {command.name: command for command in commands}

    return Group


class LazyGroup(TyperGroup):
    """Finds names in its table and imports the command that is called."""

    table: ClassVar[dict[str, Command]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Every name, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, imported now; None if there is none of this name."""
        found = self.table.get(cmd_name)
        return _imported(found) if found else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command. An unknown name ends with exit code 2 and the nearest names."""
        if args[0] not in self.table and not args[0].startswith("-"):
            near = did_you_mean(args[0], self.table).capitalize()
            fail(f"there is no command {args[0]!r}. {near}See: filegate --help", WRONG_USAGE)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """A line for each command, by section, plain text within 80 columns."""
        lines = [f"Usage: {ctx.command_path} COMMAND [ARGUMENTS]", "", self.help or ""]
        for section in dict.fromkeys(command.section for command in self.table.values()):
            of_section = [command for command in self.table.values() if command.section == section]
            lines += ["", f"{section}:", *(f"  {command.name:<15} {command.help}" for command in of_section)]
        lines += ["", f"{ctx.command_path} COMMAND --help explains a command.", ""]
        formatter.write("\n".join(lines))


def _imported(command: Command) -> Any:
    module, _, attribute = command.target.partition(":")
    app, _, name = attribute.partition(".")
    group: Any = typer.main.get_command(getattr(importlib.import_module(module), app))
    # An app with a single command is that command, not a group of one.
    chosen = group.commands[name] if name and hasattr(group, "commands") else group
    chosen.name = command.name
    if command.needs:
        chosen.invoke = _after(lambda: use_platform(command.needs), chosen.invoke)
    elif command.reads_settings:
        chosen.invoke = _after(use_settings, chosen.invoke)
    return chosen


def _after(prepare: Callable[[], None], invoke: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def prepare_and_invoke(context: Any) -> Any:
        prepare()
        return invoke(context)

    return prepare_and_invoke
