"""`filegate reprocess --rejects`: reads rejected rows of loaded files again."""

from __future__ import annotations

import typer

from include.cli.contract_lookup import catalog, found_in
from include.cli.output import fail
from include.cli.platform_access import use_platform
from include.cli.stores import explained
from include.errors import in_stage, visible


def replay(file_ids: list[int], *, dry_run: bool) -> None:
    """Request a replay of each file, or say what it would take.

    Raises:
        typer.Exit: a file has no rejected rows that can be replayed, or its dataset no active contract. Nothing is
            requested for the files after it.
    """
    from include.ingestion.upkeep.replay import replayable, request_replay
    from include.settings import ingest_settings, store_settings
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import connect

    use_platform()
    contracts, bucket = catalog(), ingest_settings().landing_bucket
    with explained(), in_stage("reprocess"), connect(store_settings().warehouse()) as connection:
        for wanted in [replayable(file_id, bucket, connection) for file_id in dict.fromkeys(file_ids)]:
            if found_in(contracts, wanted.dataset).is_draft:
                fail(f"the contract of {wanted.dataset} is a draft; run: filegate contract activate {wanted.dataset}")
            rows = f"{wanted.rows:,} rejected row{'s' * (wanted.rows != 1)} of file {wanted.file_id}"
            if dry_run:
                typer.echo(f"would replay {rows}")
                continue
            file_id = request_replay(wanted, bucket, ObjectStore(store_settings().s3()), connection)
            typer.echo(visible(f"file {file_id}: {wanted.key} replays {rows}"))
