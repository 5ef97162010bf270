"""`filegate reprocess --rejects`: reads rejected rows of loaded files again."""

from __future__ import annotations

from dataclasses import asdict

import typer

from include.cli.contract_lookup import catalog, found_in
from include.cli.output import fail, print_rows
from include.cli.platform_access import use_platform
from include.command_errors import explained
from include.errors import in_stage, visible


def replay(file_ids: list[int], *, dry_run: bool, as_json: bool = False) -> None:
    """Request a replay of each file, or say what it would take, if asked as JSON.

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
        chosen = [replayable(file_id, bucket, connection) for file_id in dict.fromkeys(file_ids)]
        for wanted in chosen:
            if found_in(contracts, wanted.dataset).is_draft:
                fail(f"the contract of {wanted.dataset} is a draft; run: filegate contract activate {wanted.dataset}")
            rows = f"{wanted.rows:,} rejected row{'s' * (wanted.rows != 1)} of file {wanted.file_id}"
            if dry_run:
                if not as_json:
                    typer.echo(f"would replay {rows}")
                continue
            file_id = request_replay(wanted, bucket, ObjectStore(store_settings().s3()), connection)
            typer.echo(visible(f"file {file_id}: {wanted.key} replays {rows}"))
    if as_json:
        print_rows([asdict(wanted) for wanted in chosen], (), as_json=True)
