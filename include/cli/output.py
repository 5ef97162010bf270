"""How commands print: tables within 80 columns, JSON for programs, one line for an error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FAILED = 1
WRONG_USAGE = 2
REFUSED = 4  # a load would be refused
_PIPE_WIDTH = 100_000  # no line is broken where the output goes into a file or a program
_LONGEST_CELL = 24
_COUNTS = {"read", "loaded", "rejected", "written", "files", "rows", "failed", "waiting", "incoming"}


def output_console() -> Console:
    """A console for stdout, as wide as the terminal; in a pipe so wide that no line is broken."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Iterable[str], *, as_json: bool) -> None:
    """Print rows as a table of the given columns, or all their fields as a JSON array."""
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2, default=str))
        return
    console = output_console()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold" if console.is_terminal else "")
    columns = list(columns)
    for column in columns:
        table.add_column(column.upper().replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column), is_count=column in _COUNTS)) for column in columns))
    console.print(table)


def print_first_columns(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with the columns that fit into the terminal's width, and name the others. In a pipe all fit."""
    console = output_console()
    names = list(rows[0]) if rows else []
    shown, width = 0, 0
    for name in names:
        cells = [_cut(_cell(row.get(name), is_count=False), console) for row in rows]
        width += max(len(name), *(cell_len(cell) for cell in cells)) + 2
        if shown and width > console.width:
            break
        shown += 1
    chosen = [{name: _cut(_cell(row[name], is_count=False), console) for name in names[:shown]} for row in rows]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold" if console.is_terminal else "")
    for name in names[:shown]:
        table.add_column(Text(name), overflow="fold")
    for row in chosen:
        table.add_row(*map(Text, row.values()))
    console.print(table)
    if names[shown:]:
        console.print(Text(f"and {len(names) - shown} more columns: {', '.join(names[shown:])}"))


def _cut(text: str, console: Console) -> str:
    """The beginning of a long text on a terminal."""
    return text if not console.is_terminal or len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print one line on stderr and end.

    Args:
        message: what happened, where, and what to do.
        code: the exit code.
    """
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is changed, unless the user has said yes.

    Raises:
        typer.Exit: standard input is no terminal, so there is no answer.
        typer.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        fail("standard input is no terminal, so the command cannot ask; give --yes", WRONG_USAGE)
    typer.confirm(question, abort=True)


def _cell(value: Any, *, is_count: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if is_count else visible(str(value))
