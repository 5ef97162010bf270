"""`filegate lake`: read the lakehouse with DuckDB, as the role and with the key that may only read it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cli.output import fail, print_first_columns, print_rows
from include.cli.platform_access import use_platform
from include.command_errors import explained
from include.errors import reason_of
from include.lake.config import reader_config
from include.lake.connect import open_lake

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
_PROMPT, _CONTINUED = "lake> ", "  ... "


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="For instance: FROM lake.raw.sales LIMIT 10")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Run one query and print its rows. `FROM lake.raw.sales AT (VERSION => 12)` reads the past."""
    with _reading() as engine:
        try:
            _print(engine, query, as_json=as_json)
        except _errors() as error:
            fail(reason_of(error))


@app.command()
def shell() -> None:
    """Read queries from the terminal, each ended by a semicolon, until Ctrl-D."""
    with _reading() as engine:
        for query in _queries():
            try:
                _print(engine, query, as_json=False)
            except _errors() as error:
                typer.echo(f"error: {reason_of(error)}", err=True)


@contextmanager
def _reading() -> Iterator[duckdb.DuckDBPyConnection]:
    use_platform("WAREHOUSE_LAKE_READER_PASSWORD")
    with explained(), open_lake(reader_config(), read_only=True) as engine:
        yield engine


def _errors() -> tuple[type[Exception], ...]:
    import duckdb

    return (duckdb.Error,)


def _print(engine: duckdb.DuckDBPyConnection, query: str, *, as_json: bool) -> None:
    found = engine.execute(query)
    names = [column[0] for column in found.description or ()]
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    if as_json:
        print_rows(rows, names, as_json=True)
    else:
        print_first_columns(rows)


def _queries() -> Iterator[str]:
    """The queries that the user types, or that standard input has."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        import readline  # noqa: F401 - input() then edits lines and remembers them
    lines: list[str] = []
    while True:
        try:
            lines.append(input((_CONTINUED if lines else _PROMPT) if is_terminal else ""))
        except EOFError:
            break
        if lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
    if any(line.strip() for line in lines):
        yield "\n".join(lines)
