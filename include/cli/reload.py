"""`filegate reload`: loads archived files of a dataset again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from include.cli.contract_lookup import contract_of
from include.cli.moves import print_moves
from include.cli.output import confirm, fail
from include.cli.stores import reading
from include.command_errors import explained
from include.errors import in_stage

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.ingestion.upkeep.reload import Archived

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def reload(
    dataset: Annotated[str, typer.Argument(help="A dataset with an active contract.")],
    file: Annotated[list[int] | None, typer.Option(min=1, help="The file of this id; may be given again.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Move the files without asking.")] = False,
) -> None:
    """Load archived files again: all of a dataset, or some. Rows of newer files are never replaced by them.

    For after a change of the contract: the files move from processed/ back to incoming/ and are loaded as usual, each a
    new attempt of its entry.
    """
    from include.ingestion.upkeep.reload import archived
    from include.settings import ingest_settings

    contract = contract_of(dataset)
    if contract.is_draft:
        fail(f"the contract of {dataset} is a draft; run first: filegate contract activate {dataset}")
    with reading() as connection:
        chosen = archived(connection, dataset, ingest_settings().landing_bucket, file or None)
    if missing := sorted({*(file or ())} - {one.file_id for one in chosen}):
        fail(
            f"not an archived file of {dataset}: {', '.join(map(str, missing))}; see: filegate files --dataset "
            f"{dataset}. For a replay of rejected rows reload the file itself"
        )
    chosen = _reloadable(contract, chosen, file)
    if not chosen:
        typer.echo(f"{dataset} has no archived file; nothing was moved")
        return
    rows = sum(one.rows for one in chosen)
    typer.echo(f"{len(chosen):,} archived file{'s' * (len(chosen) != 1)} of {dataset} with {rows:,} rows")
    confirm("Load them again?", yes=yes)
    _reload(chosen)


def _reloadable(contract: Contract, found: list[Archived], asked: list[int] | None) -> list[Archived]:
    """The files that can be loaded again without a false result; of a snapshot's dataset only the last one is true.

    Of an archive with snapshots, that is the member that was loaded last.

    Raises:
        typer.Exit: the user asked for another one.
    """
    replayed = [one.file_id for one in found if one.rows_replayed]
    if contract.appends and replayed:
        listed = ", ".join(map(str, replayed))
        fail(f"rejected rows of file {listed} were appended by a replay; a reload would append them again")
    if not contract.is_snapshot:
        return found
    found = [replace(one, only_last=True) for one in found]
    if len(found) < 2:
        return found
    if asked:
        fail(f"each file of {contract.dataset} is a snapshot, and only the last one can be loaded again: choose one")
    typer.echo(f"each file of {contract.dataset} is a snapshot: only the last one is loaded again")
    return found[-1:]


def _reload(chosen: list[Archived]) -> None:
    """Move the files.

    Raises:
        typer.Exit: some stay in processed/; each is named with the reason.
    """
    from include.ingestion.upkeep.reload import reload as reload_files
    from include.settings import ingest_settings, store_settings
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import connect

    bucket = ingest_settings().landing_bucket
    with explained(), in_stage("reload"), connect(store_settings().warehouse()) as connection:
        done = reload_files(chosen, bucket, ObjectStore(store_settings().s3()), connection)
    print_moves(done, "its object is not in the bucket any more")
