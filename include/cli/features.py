"""`filegate features`: the views of features, their tables, parameters, and values at any time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cli.output import FAILED, WRONG_USAGE, fail, print_first_columns, print_rows
from include.cli.platform_access import use_platform
from include.cli.stores import reading
from include.command_errors import explained
from include.errors import CommandError, visible
from include.features.build import build as build_view
from include.features.build import missing_tables
from include.features.build import sample as sample_view
from include.features.definition import Constant
from include.features.reader import read_features
from include.features.tables import create_ready_view
from include.features.tables import fit as fit_view
from include.settings import FEATURES_DIR, store_settings
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.features.compiler import FeatureView
    from include.features.reader import FeatureCatalog
    from include.stores.warehouse import Connection

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
    help="Describe, build, fit or sample features for models.",
)  # fmt: skip
_LOAD = "drop one into incoming/DATASET/, or try `filegate generate DATASET --drop`"
_VIEW = typer.Argument(metavar="VIEW", help="A view of features/, such as users.")
_JSON = typer.Option("--json", help="JSON instead of text.")


@app.command()
def describe(
    view: Annotated[str, typer.Argument(metavar="[VIEW]", help="One view; all if none.")] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show every view with its entity, raw tables and features; exit 1 when a definition is broken."""
    with explained():
        catalog = read_features(FEATURES_DIR)
        views = [_found(catalog, view)] if view else list(catalog.views.values())
    if as_json:
        typer.echo(json.dumps([_described(one) for one in views], indent=2, ensure_ascii=False))
    else:
        for one in views:
            _print_view(one)
    if not view and _print_broken(catalog):
        raise typer.Exit(FAILED)


@app.command()
def build(
    view: Annotated[str, typer.Argument(metavar="[VIEW]", help="One view; all if none.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Compute every time again.")] = False,
) -> None:
    """Bring features.VIEW up to date: new midnights, and those that late or changed rows concern.

    Exit 1 when a view was not built.
    """
    with explained():
        catalog = read_features(FEATURES_DIR)
        views = [_found(catalog, view)] if view else list(catalog.views.values())
    is_incomplete = False
    with _writing() as connection:
        for one in views:
            done = build_view(connection, one, full=full)
            if done.missing:
                is_incomplete = True
                typer.echo(f"{one.name} was not built: {_not_loaded(done.missing)}: {_LOAD}", err=True)
                continue
            fitted = f", parameters version {done.parameters}" if done.parameters else ""
            typer.echo(f"{one.name}: {done.times} times, {done.rows:,} rows{fitted}")
    if (not view and _print_broken(catalog)) or is_incomplete:
        raise typer.Exit(FAILED)


@app.command()
def fit(
    view: Annotated[str, _VIEW],
    until: Annotated[str, typer.Option("--until", help="Time T; values of the 28 days before it are taken.")],
) -> None:
    """Add a version of the parameters of VIEW. features.VIEW_ready has it at once; models keep theirs."""
    at = _moment(until, "--until")
    with explained():
        found = _found(read_features(FEATURES_DIR), view)
    with _writing() as connection, connection.transaction():
        if not connection.execute(b"SELECT to_regclass(%s)", (f"features.{found.name}",)).fetchall()[0][0]:
            raise CommandError(f"features.{found.name} does not exist", f"run `filegate features build {found.name}`")
        version = fit_view(connection, found, at)
        create_ready_view(connection, found)
    typer.echo(f"{found.name}: parameters version {version}")


@app.command()
def sample(
    view: Annotated[str, _VIEW],
    at: Annotated[str, typer.Option("--at", help="Any time T, such as 2026-11-30 or 2026-11-30T12:00:00Z.")],
    entity: Annotated[str | None, typer.Option("--entity", help="The join key of one entity; all if none.")] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Compute the features of VIEW at a time from the raw tables, and print them. Nothing is written."""
    moment = _moment(at, "--at")
    with explained():
        found = _found(read_features(FEATURES_DIR), view)
    with reading() as connection:
        if missing := missing_tables(connection, found):
            raise CommandError(_not_loaded(missing), _LOAD)
        rows = [_printable(row) for row in sample_view(connection, found, moment, entity)]
    if as_json:
        print_rows(rows, (), as_json=True)
    elif rows:
        print_first_columns(rows)
    else:
        typer.echo(f"{found.name} has no row at {moment.isoformat()}")


@contextmanager
def _writing() -> Iterator[Connection]:
    """A session of the role that writes features.

    Raises:
        SystemExit: the warehouse does not answer or refuses.
    """
    use_platform("WAREHOUSE_TRANSFORM_PASSWORD")
    with explained(), connect(store_settings().warehouse("transform")) as connection, warehouse_errors():
        yield connection


def _found(catalog: FeatureCatalog, name: str) -> FeatureView:
    for error in catalog.broken:
        if error.stem == name:
            raise error
    if name not in catalog.views:
        known = ", ".join(sorted(catalog.views)) or "none"
        raise CommandError(f"there is no view '{name}'", f"views: {known}")
    return catalog.views[name]


def _not_loaded(datasets: tuple[str, ...]) -> str:
    return f"no file of {', '.join(datasets)} was loaded yet"


def _moment(text: str, option: str) -> datetime:
    """A time of the command line; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text!r} is no time; write for instance 2026-11-30T12:00:00Z", WRONG_USAGE)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _described(view: FeatureView) -> dict[str, Any]:
    file = view.file
    return {
        "view": view.name, "description": file.description, "owner": file.owner, "entity": file.entity,
        "join_key": view.key, "sources": list(view.sources), "history_days": file.history,
        "features": [
            one.model_dump(exclude={"for_each", "missing"})
            | {"missing": one.missing.model_dump() if isinstance(one.missing, Constant) else one.missing}
            for one in view.features
        ],
    }  # fmt: skip


def _print_view(view: FeatureView) -> None:
    file = view.file
    typer.echo(f"{view.name}: {file.description}")
    typer.echo(f"  table features.{view.name}, key {view.key}, from {', '.join(view.sources)}, owner {file.owner}")
    rows = [
        {"feature": one.name, "type": one.type, "unit": one.unit or "-", "missing": _missing(one.missing),
         "normalize": one.normalize, "description": one.description}
        for one in view.features
    ]  # fmt: skip
    print_rows(rows, rows[0], as_json=False)
    typer.echo("")


def _missing(missing: str | Constant) -> str:
    return f"constant {missing.constant:g}" if isinstance(missing, Constant) else missing


def _print_broken(catalog: FeatureCatalog) -> bool:
    """Print the problems of broken definitions; whether there are any."""
    for error in catalog.broken:
        typer.echo(f"BROKEN  {visible(str(error.file))}", err=True)
        for problem in error.problems:
            typer.echo(f"  - {visible(str(problem))}", err=True)
    return bool(catalog.broken)
