"""`filegate sources` and `filegate source`: the definitions of sources, and what their last runs did."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC
from pathlib import Path  # noqa: TC003 (typer reads the annotations when it runs)
from typing import TYPE_CHECKING, Annotated, Any

import typer
from psycopg.rows import dict_row

from include.cli.output import FAILED, output_console, print_rows
from include.cli.platform_access import use_platform
from include.cli.source_draft import draft
from include.cli.stores import reading
from include.command_errors import explained
from include.errors import visible
from include.settings import source_settings
from include.sources.kinds import schema
from include.sources.reader import SourceError, definition_files, find_in_settings, read_source, read_sources
from include.stores.sql_text import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from include.contracts.problems import Problem
    from include.sources.kinds import AnySource
    from include.sources.reader import FindContract
    from include.stores.warehouse import Connection

_COLUMNS = ("name", "dataset", "deliver", "schedule", "last_run", "status", "read", "written", "failed", "error")
_NO_DEFINITION: dict[str, Any] = {"dataset": None, "deliver": None, "schedule": None}
_NO_RUN: dict[str, Any] = {
    "last_run": None, "status": None, "read": None, "written": None, "failed": None, "error": None
}  # fmt: skip

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
source = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
    help="Check definitions of sources, print their JSON Schema; draft the contract of a database's table.",
)  # fmt: skip
source.command()(draft)


@app.command()
def sources(as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False) -> None:
    """List every source: its definition, when its last run began, what became of it, and how many records it read.

    A run has a status and counts of all its elements. `failed` are records that could not be taken from an answer.
    Times are UTC. A source with runs and without a definition is listed, too.
    """
    use_platform()  # first: its environment says where the definitions are
    with reading() as connection:
        rows = source_rows(last_runs(connection))
    if as_json:
        print_rows(rows, _COLUMNS, as_json=True)
        return
    if not rows:
        typer.echo(f"no source in {source_settings().dir}")
        return
    print_rows([row | {"last_run": _minute(row["last_run"])} for row in rows], _COLUMNS, as_json=False)
    for note in source_notes(rows):
        output_console().print(note, markup=False)


def last_runs(connection: Connection) -> list[dict[str, Any]]:
    """Return the last run of each source that has one."""
    return connection.cursor(row_factory=dict_row).execute(statement("list_source_runs")).fetchall()


def source_notes(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line on the sources that a stand-in answered, and one on those that ask for no request before a time.

    Args:
        rows: of `source_rows`.
    """
    rows = list(rows)
    notes = {
        "answered by a stand-in, not by the real API": [row["name"] for row in rows if row.get("stand_in")],
        "the API asks for no request before": [
            f"{row['name']} {_minute(row['waits_until'])} UTC" for row in rows if row.get("waits_until")
        ],
    }
    return [f"{what}: {', '.join(names)}" for what, names in notes.items() if names]


def source_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each source, by its definition and its last run, ordered by name.

    Args:
        found: of `last_runs`.

    Raises:
        PipelineError: the definitions cannot be read at all. One that is invalid has a row with its error.
    """
    every = read_sources(source_settings().dir)
    defined = {name: _row(one) for name, one in every.sources.items()}
    defined |= {
        error.stem: {**_NO_DEFINITION, "error": error.code, "error_message": error.message} for error in every.broken
    }
    runs = {run["source"]: {name: value for name, value in run.items() if name != "source"} for run in found}
    return [
        {"name": name} | _NO_DEFINITION | _NO_RUN | runs.get(name, {}) | defined.get(name, {})
        for name in sorted({*defined, *runs})
    ]


def _row(one: AnySource) -> dict[str, Any]:
    return {"dataset": one.dataset, "deliver": one.deliver, "schedule": one.schedule}


def _minute(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


@source.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Definitions; all of the folder if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Check definitions of sources; exit 1 when one is broken."""
    with explained():
        folder, find = source_settings().dir, find_in_settings()
    found = [(path, _error_of(path, find)) for path in paths or definition_files(folder)]
    if as_json:
        rows = [
            {"path": str(path), "sound": error is None, "problems": [asdict(one) for one in _problems(error)]}
            for path, error in found
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _print(found, folder)
    if any(error is not None for _, error in found):
        raise typer.Exit(FAILED)


@source.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of definitions: an editor completes and checks with it."""
    typer.echo(json.dumps(schema(), indent=2))


def _error_of(path: Path, find: FindContract) -> SourceError | None:
    try:
        read_source(path, find)
    except SourceError as error:
        return error
    return None


def _problems(error: SourceError | None) -> tuple[Problem, ...]:
    return error.problems if error else ()


def _print(found: list[tuple[Path, SourceError | None]], folder: Path) -> None:
    if not found:
        typer.echo(f"no source in {folder}")
    for path, error in found:
        typer.echo(f"{'sound ' if error is None else 'BROKEN'}  {visible(str(path))}")
        for problem in _problems(error):
            typer.echo(f"  - {visible(str(problem))}")
