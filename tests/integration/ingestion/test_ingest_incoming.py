"""The sweep notes the files in incoming/ for the monitoring: a file has no entry before it is claimed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from include.contracts.catalog import Catalog
from include.contracts.model import ContractStatus
from include.contracts.problems import ContractError, Problem, Remains
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.sweep import sweep
from include.ingestion.waiting import sweep_is_due

if TYPE_CHECKING:
    from ingest_pipeline import Pipeline, Row

pytestmark = pytest.mark.integration


def noted(pipeline: Pipeline, catalog: Catalog) -> dict[str, Row]:
    """The noted files after a sweep, by dataset."""
    with pipeline.stores() as stores:
        sweep(lambda: catalog, stores, AirflowRun("sweep_test", "run-1"), pipeline.settings)
    rows = pipeline.sql("SELECT * FROM ops.incoming_files WHERE bucket = %s", pipeline.bucket)
    return {row["dataset"]: row for row in rows}


def test_sweep_notes_waiting_files_and_updates_the_note_when_they_are_gone(pipeline: Pipeline) -> None:
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
    assert gone["listed_at"] > waiting["listed_at"]
    assert noted(pipeline, Catalog({}, ())) == {}


def test_sweep_is_due_while_the_ledger_has_work_for_it(pipeline: Pipeline) -> None:
    catalog = Catalog({pipeline.contract.dataset: pipeline.contract}, ())

    def due() -> bool:
        return sweep_is_due(pipeline.bucket, pipeline.warehouse)

    assert not due()
    key = pipeline.put("a.csv", "x")
    noted(pipeline, catalog)
    assert due(), "a file was waiting at the last sweep"
    pipeline.objects.delete(pipeline.bucket, key)
    noted(pipeline, catalog)
    assert not due()
    pipeline.put("b.csv", pipeline.sample("b.csv", 10).path.read_bytes())
    pipeline.ingest(pipeline.claim())
    assert due(), "a file is not settled yet"
    pipeline.settle()
    assert not due()
    dataset, began = pipeline.contract.dataset, datetime.now(UTC)
    pipeline.put("c.csv", "x")
    pipeline.ingest(pipeline.claim())
    pipeline.settle()
    assert not due()
    held = "INSERT INTO ops.alert (kind, about, cause, covered_until, held_back) VALUES ('quarantine', %s, '', %s, 1)"
    pipeline.sql(held, dataset, began)
    assert due(), "the alert about a file in quarantine was held back"
    pipeline.sql("UPDATE ops.alert SET covered_until = now() WHERE about = %s", dataset)
    assert not due()
    pipeline.sql("DELETE FROM ops.alert WHERE about = %s", dataset)


def test_sweep_notes_files_that_wait_for_a_broken_contract_and_no_unknown_file(pipeline: Pipeline) -> None:
    broken = ContractError.of(pipeline.folder / "orders.yaml", [Problem("kind", "is missing", "add it")])
    for key in ("incoming/orders/a.csv", "incoming/elsewhere/a.csv", "incoming/top.csv"):
        pipeline.objects.put(pipeline.bucket, key, b"a\n")

    found = noted(pipeline, Catalog({}, (broken,)))

    assert {dataset: row["files"] for dataset, row in found.items()} == {"orders": 1}


def test_sweep_leaves_top_level_files_of_a_broken_contract_and_notes_them(pipeline: Pipeline) -> None:
    """They are neither routed to a dataset with a less specific pattern nor quarantined."""
    orders = replace(pipeline.contract, dataset="orders", file_patterns=("orders*.csv",))
    remains = Remains(("orders_eu*.csv", "eu_orders*.csv"), "orders_eu")
    broken = ContractError.of(pipeline.folder / "orders_eu.yaml", [Problem("kind", "is missing", "add it")], remains)
    odd = ContractError.of(pipeline.folder / "n\udcff.yaml", [Problem("", "not UTF-8", "save it as UTF-8")])
    waits = ["incoming/eu_orders_1.csv", "incoming/orders_eu/a.csv", "incoming/orders_eu_1.csv"]
    for key in [*waits, "incoming/orders_us_1.csv", "incoming/unmatched.csv"]:
        pipeline.objects.put(pipeline.bucket, key, b"a\n")

    with pipeline.stores() as stores:
        catalog, run = Catalog({"orders": orders}, (broken, odd)), AirflowRun("sweep_test", "run-1")
        swept = sweep(lambda: catalog, stores, run, pipeline.settings)

    assert (swept.routed, swept.quarantined) == (1, 1)
    left = sorted(item.key for item in pipeline.objects.list(pipeline.bucket, "incoming/"))
    assert left == sorted([*waits, "incoming/orders/orders_us_1.csv"])
    [row] = pipeline.sql(
        "SELECT files FROM ops.incoming_files WHERE bucket = %s AND dataset = 'orders_eu'", pipeline.bucket
    )
    assert row["files"] == 3


def test_sweep_leaves_files_of_a_draft_and_lists_them(pipeline: Pipeline) -> None:
    draft = replace(pipeline.contract, dataset="visits", file_patterns=("visits*.csv",), status=ContractStatus.DRAFT)
    catalog = Catalog({pipeline.contract.dataset: pipeline.contract}, (), {"visits": draft})
    keys = ["incoming/visits/a.csv", "incoming/visits_1.csv"]
    for key in [*keys, "incoming/unmatched.csv"]:
        pipeline.objects.put(pipeline.bucket, key, b"a\n")

    with pipeline.stores() as stores:
        run = AirflowRun("sweep_test", "run-1")
        swept = sweep(lambda: catalog, stores, run, pipeline.settings)

    assert (swept.routed, swept.quarantined, swept.waiting) == (0, 1, 2)
    assert sorted(item.key for item in pipeline.objects.list(pipeline.bucket, "incoming/")) == keys
    [row] = pipeline.sql(
        "SELECT files FROM ops.incoming_files WHERE bucket = %s AND dataset = 'visits'", pipeline.bucket
    )
    assert row["files"] == 2


def test_activated_draft_gets_its_files(pipeline: Pipeline) -> None:
    contract = replace(pipeline.contract, dataset="visits", file_patterns=("visits*.csv",))
    pipeline.objects.put(pipeline.bucket, "incoming/visits_1.csv", b"a\n")
    with pipeline.stores() as stores:
        run = AirflowRun("sweep_test", "run-1")
        for catalog in (Catalog({}, (), {"visits": contract}), Catalog({"visits": contract})):
            swept = sweep(iter([catalog]).__next__, stores, run, pipeline.settings)
    assert swept.routed == 1
    assert [item.key for item in pipeline.objects.list(pipeline.bucket, "incoming/")] == [
        "incoming/visits/visits_1.csv"
    ]


def test_sweep_without_any_contract_quarantines_nothing(pipeline: Pipeline) -> None:
    keys = ["incoming/sales.csv", "incoming/sales/a.csv"]
    for key in keys:
        pipeline.objects.put(pipeline.bucket, key, b"a\n")
    with pipeline.stores() as stores:
        run = AirflowRun("sweep_test", "run-1")
        swept = sweep(lambda: Catalog({}), stores, run, pipeline.settings)
    assert (swept.routed, swept.quarantined) == (0, 0)
    assert {item.key for item in pipeline.objects.list(pipeline.bucket, "incoming/")} == set(keys)
