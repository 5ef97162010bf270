"""What lies in incoming/ is noted by the sweep, for the monitoring: before a file is claimed, nothing else sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.contracts.catalog import Catalog
from include.contracts.problems import ContractError, Problem
from include.ingestion.claim import Run
from include.ingestion.sweep import sweep

if TYPE_CHECKING:
    from ingest_pipeline import Pipeline, Row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def noted(pipeline: Pipeline, catalog: Catalog) -> dict[str, Row]:
    """What the ledger says after a sweep, by dataset."""
    with pipeline.stores() as stores:
        sweep(lambda: catalog, stores.objects, stores.ledger, Run("sweep_test", "run-1"), pipeline.settings)
    rows = pipeline.sql("SELECT * FROM ops.incoming_files WHERE bucket = %s", pipeline.bucket)
    return {row["dataset"]: row for row in rows}


def test_sweep_notes_what_waits_and_forgets_it_when_it_is_gone(pipeline: Pipeline) -> None:
    dataset = pipeline.contract.dataset
    catalog = Catalog({dataset: pipeline.contract}, ())
    first, second = pipeline.put("a.csv", "x" * 10), pipeline.put("b.csv", "y" * 5)

    waiting = noted(pipeline, catalog)[dataset]

    assert (waiting["files"], waiting["size_bytes"]) == (2, 15)
    assert waiting["oldest_at"] == min(item.modified_at for item in pipeline.objects.list(pipeline.bucket, "incoming/"))
    for key in (first, second):
        pipeline.objects.delete(pipeline.bucket, key)
    gone = noted(pipeline, catalog)[dataset]
    assert (gone["files"], gone["size_bytes"], gone["oldest_at"]) == (0, 0, None)
    assert gone["looked_at"] > waiting["looked_at"]
    assert noted(pipeline, Catalog({}, ())) == {}


def test_sweep_notes_what_waits_for_a_broken_contract_and_no_stranger(pipeline: Pipeline) -> None:
    broken = ContractError.of(pipeline.folder / "orders.yaml", [Problem("kind", "is missing", "add it")])
    for key in ("incoming/orders/a.csv", "incoming/nobody/a.csv", "incoming/top.csv"):
        pipeline.objects.put(pipeline.bucket, key, b"a\n")

    found = noted(pipeline, Catalog({}, (broken,)))

    assert {dataset: row["files"] for dataset, row in found.items()} == {"orders": 1}
