"""`filegate remove`: removes a dataset's table, ledger entries and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from include.cli.contract_lookup import catalog, known_datasets, unknown
from include.cli.output import confirm, fail
from include.cli.platform_access import use_platform
from include.command_errors import explained
from include.errors import in_stage

if TYPE_CHECKING:
    from include.ingestion.upkeep.remove import Holdings

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def remove(
    dataset: Annotated[str, typer.Argument(help="A dataset whose contract was deleted or is a draft.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove a dataset for good: its table, its ledger entries and its files in the bucket. Its contract file stays.

    Refused while its contract is active or a load runs. Needs the login of the warehouse's owner.
    """
    from include.contracts.reader import DATASET_NAME
    from include.ingestion.upkeep.remove import holdings, remove_dataset
    from include.settings import ingest_settings, store_settings
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import connect

    use_platform("WAREHOUSE_OWNER_PASSWORD")
    _refuse_active(dataset)
    settings, bucket = store_settings(), ingest_settings().landing_bucket
    if not settings.warehouse_owner_password.get_secret_value():
        fail("removing a dataset needs the owner's login; set WAREHOUSE_OWNER_PASSWORD, see: filegate env --owner")
    if not DATASET_NAME.fullmatch(dataset):
        _unknown(dataset)
    objects = ObjectStore(settings.s3())
    with explained(), in_stage("remove"), connect(settings.warehouse("owner")) as connection:
        found = holdings(dataset, bucket, objects, connection)
        if found.is_empty:
            _unknown(dataset)
        _print(dataset, bucket, found)
        confirm(f"Remove all of {dataset}? It cannot be undone.", yes=yes)
        remove_dataset(dataset, bucket, objects, connection)
    typer.echo(f"{dataset} is removed")


def _refuse_active(dataset: str) -> None:
    """Refuse a dataset with an active contract, and one whose contract is broken and may be active.

    Raises:
        typer.Exit: it is.
    """
    contracts = catalog()
    broken = next((error.file for error in contracts.broken if dataset in {error.dataset, error.file.stem}), None)
    if broken is not None:
        fail(f"the contract of {dataset} is broken and may be active; correct or delete {broken} first")
    if dataset in contracts.contracts:
        fail(f"the contract of {dataset} is active; delete {contracts.contracts[dataset].path} first")


def _print(dataset: str, bucket: str, found: Holdings) -> None:
    size = sum(item.size for item in found.objects)
    table = f"table raw.{dataset}: {found.rows:,} rows" if found.rows is not None else f"no table raw.{dataset}"
    typer.echo(table)
    typer.echo(f"ledger: {found.entries:,} entries")
    typer.echo(f"bucket {bucket}: {len(found.objects):,} objects, {size:,} bytes")
    if found.elsewhere:
        typer.echo(f"{found.elsewhere:,} entries are of other buckets: their objects stay there")


def _unknown(dataset: str) -> None:
    unknown(dataset, known_datasets(), "there is nothing of a dataset")
