"""The tasks of the DAGs `reprocess_failed` and `sweep_unmatched`: both move files to where their DAG ingests them."""

from __future__ import annotations

import logging

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.errors import in_stage, visible
from include.orchestration.alerts import notify_held_back_files, notify_quarantined_files
from include.orchestration.defaults import no_retry_of_permanent_errors, skip_on_outage
from include.settings import ingest_settings

# Seconds between two sweeps at most. The Prometheus rule IncomingNotWatched allows 600.
MAX_SWEEP_INTERVAL_SECONDS = 300

log = logging.getLogger(__name__)


@task
def requeue_files(dataset: str, stage: str, name: str) -> dict[str, int]:
    """Move quarantined files back to incoming/, and return the counts by outcome.

    Args:
        dataset: whose files; `all` for every dataset.
        stage: the stage that refused them, empty for every stage.
        name: the pattern of their names.
    """
    from include.contracts.reserved import EVERY
    from include.ingestion.upkeep.requeue import Selection, requeue
    from include.orchestration.catalog import catalog
    from include.orchestration.stores import connected_stores

    bucket = ingest_settings().landing_bucket
    known = set(catalog().known)
    with no_retry_of_permanent_errors(), in_stage("reprocess"), connected_stores() as stores:
        selection = Selection("" if dataset == EVERY else dataset, stage, name)
        result = requeue(selection, bucket, stores.objects, stores.connection, known)
    for key in result.keys:
        log.info("Moved to %s", visible(key))
    for key in result.missing:
        log.warning("Not in quarantine any more: %s", visible(key))
    for key in result.waiting:
        log.warning(
            "Still in quarantine, because another file of its name waits in incoming/; trigger again: %s", visible(key)
        )
    for key in result.refused:
        log.warning(
            "Still in quarantine, because the store does not serve it; restore it from cold storage or grant the right "
            "to read it, then trigger again: %s", visible(key),
        )  # fmt: skip
    counts = {"requeued": len(result.keys), "missing": len(result.missing), "waiting": len(result.waiting)}
    return counts | ({"refused by the store": len(result.refused)} if result.refused else {})


@task
def sweep_incoming() -> dict[str, int]:
    """Route or quarantine the files that no ingest DAG waits for; send alerts for these, and those held back before."""
    from include.contracts.reserved import UNKNOWN
    from include.ingestion.records import AirflowRun
    from include.ingestion.upkeep.sweep import sweep
    from include.orchestration.catalog import catalog, no_contract_message
    from include.orchestration.stores import connected_stores

    context = get_current_context()
    run = AirflowRun(context["dag"].dag_id, context["run_id"])
    try:
        with no_retry_of_permanent_errors(), skip_on_outage(), in_stage("sweep"), connected_stores() as stores:
            swept = sweep(catalog, stores, run, ingest_settings())
    finally:
        # Also after a sweep that found no files: the previous one may have died before it sent its alert.
        notify_quarantined_files(UNKNOWN)
        notify_held_back_files()
    if catalog().is_empty:  # checked last: the sweep reads the contracts after it has listed the bucket
        raise AirflowFailException(no_contract_message())
    drafts = {"waiting for activation": swept.waiting} if swept.waiting else {}
    return {"routed": swept.routed, "quarantined": swept.quarantined, **drafts}
