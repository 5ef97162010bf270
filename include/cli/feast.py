"""`filegate feast`: Feast's virtualenv, its repository, and the values of the online store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from include.cli.output import FAILED, fail
from include.cli.platform_access import use_platform, use_settings
from include.command_errors import explained
from include.errors import CommandError
from include.feature_store import calls, environment
from include.feature_store.changes import built_views, changes
from include.feature_store.config import FeatureStoreConfig
from include.features.reader import read_features
from include.settings import FEATURES_DIR, store_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.features.compiler import FeatureView

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
    help="Install Feast, fill and read its online store.",
)  # fmt: skip


@app.command()
def setup() -> None:
    """Make Feast's virtualenv with the locked versions, or bring it up to date (600 MB, in FEAST_DIR)."""
    use_settings()
    with explained():
        environment.make(typer.echo)
    typer.echo(f"Feast is ready: {environment.python()}")


@app.command()
def repository() -> None:
    """Write feature_store.yaml and definitions.py for Feast, and print their folder."""
    config = _config()
    with explained():
        typer.echo(calls.prepare(built_views(config, _views())))


@app.command()
def materialize() -> None:
    """Write new rows of features.VIEW into the online store; the DAG materialize_features does the same."""
    config = _config()
    with explained():
        found = changes(config, _views())
        folder = calls.prepare(found.built)
        if not found.due:
            typer.echo("The online store has every row of the tables of features.")
            return
        due = [one.arguments() for one in found.due]
        written = calls.call(config, "materialize", repository=str(folder), due=due)
    for view, entities in written.items():
        typer.echo(f"{view}: {entities:,} entities online")


@app.command()
def get(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view of features/, such as users.")],
    entity: Annotated[str, typer.Argument(metavar="ENTITY", help="The join key of one entity.")],
) -> None:
    """Print the online features of an entity as JSON; exit 1 if it has none."""
    config = _config()
    with explained():
        built = {one.name: one for one in built_views(config, _views())}
        if view not in built:
            raise CommandError(f"features.{view} does not exist", f"run `filegate features build {view}`")
        found = built[view]
        features = [f"{view}:{one.name}" for one in found.features]
        folder = str(calls.prepare(built.values()))
        values = calls.call(config, "online", repository=folder, features=features, key=found.key, entities=[entity])
    row = {name: given[0] for name, given in values.items() if name != found.key}
    if all(value is None for value in row.values()):
        fail(f"the online store has no {found.file.entity} {entity!r} at {datetime.now(UTC):%Y-%m-%dT%H:%M}Z", FAILED)
    typer.echo(json.dumps(row, indent=2, ensure_ascii=False))


def _views() -> Iterable[FeatureView]:
    return read_features(FEATURES_DIR).views.values()


def _config() -> FeatureStoreConfig:
    """The stores, from the environment or the embedded platform."""
    use_platform("WAREHOUSE_FEAST_PASSWORD")
    stores = store_settings()
    warehouse = stores.warehouse("feast")
    return FeatureStoreConfig(warehouse, warehouse.model_copy(update={"database": stores.warehouse_feast_database}))
