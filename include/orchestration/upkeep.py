"""The tasks of the DAGs that keep order: reprocessing and sweeping."""

from __future__ import annotations

import logging

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.errors import visible
from include.orchestration.alerts import tell_of_files_held_back, tell_of_quarantined_files
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.outside import skipped_for_outside_trouble
from include.settings import ingest_settings

# Seconds between two sweeps at most. The rule IncomingNotWatched of Prometheus allows 600.
SWEEP_AT_LATEST = 300

log = logging.getLogger(__name__)


@task
def put_back_files(dataset: str, stage: str, name: str) -> dict[str, int]:
    """Move quarantined files back to incoming/."""
    from include.ingestion.reprocess import Selection, put_back
    from include.orchestration.catalog import catalog
    from include.orchestration.stores import connected_stores

    bucket = ingest_settings().landing_bucket
    known = set(catalog().known)
    with no_retry_of_permanent_errors(), connected_stores() as stores:
        returned = put_back(Selection(dataset, stage, name), bucket, stores.objects, stores.ledger, known)
    for key in returned.keys:
        log.info("Back to %s", visible(key))
    for key in returned.missing:
        log.warning("Not in quarantine any more: %s", visible(key))
    for key in returned.waiting:
        log.warning(
            "Still in quarantine, for another file of its name waits in incoming/; trigger again: %s", visible(key)
        )
    for key in returned.refused:
        log.warning(
            "Still in quarantine, for the store does not serve it; restore it from cold storage or grant the right to "
            "read it, then trigger again: %s", visible(key),
        )  # fmt: skip
    counts = {"returned": len(returned.keys), "missing": len(returned.missing), "waiting": len(returned.waiting)}
    return counts | ({"refused by the store": len(returned.refused)} if returned.refused else {})


@task
def sweep_incoming() -> dict[str, int]:
    """Route or quarantine what no ingest DAG waits for; tell people of the latter, and of what they were not told."""
    from include.contracts.reserved import UNKNOWN
    from include.ingestion.claim import Run
    from include.ingestion.sweep import sweep
    from include.orchestration.catalog import catalog, no_contract_message
    from include.orchestration.stores import connected_stores

    context = get_current_context()
    run = Run(context["dag"].dag_id, context["run_id"])
    try:
        with no_retry_of_permanent_errors(), skipped_for_outside_trouble(), connected_stores() as stores:
            swept = sweep(catalog, stores.objects, stores.ledger, run, ingest_settings())
    finally:
        # Also after a sweep that found none: the one before may have died before it told.
        tell_of_quarantined_files(UNKNOWN)
        tell_of_files_held_back()
    if catalog().is_empty:  # asked last: the sweep reads the contracts once the bucket is listed
        raise AirflowFailException(no_contract_message())
    drafts = {"waiting for activation": swept.waiting} if swept.waiting else {}
    return {"routed": swept.routed, "quarantined": swept.quarantined, **drafts}
