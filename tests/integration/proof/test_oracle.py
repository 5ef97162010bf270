"""The pipeline and the independent reference agree on rows, counts, codes, columns and lines, whatever is sent."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from both_roads import Roads
from file_cases import Case, cases
from hypothesis import HealthCheck, given, settings
from ingest_pipeline import direct

from include.ingestion.engine import engine
from include.ingestion.road import open_stores
from include.settings import IngestSettings
from local import bucket as local_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.platform import Platform

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "100"))
LONG = EXAMPLES > 100
BUDGET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    database=None,
    print_blob=LONG,
    report_multiple_bugs=LONG,
    suppress_health_check=list(HealthCheck),
)
BUCKET = "proof-oracle"
pytestmark = [pytest.mark.integration, pytest.mark.timeout(max(600, 6 * EXAMPLES))]


@pytest.fixture(scope="module")
def roads(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roads]:
    """Connections and a bucket that all examples share."""
    local_bucket.client(platform.s3_config).create_bucket(Bucket=BUCKET)
    folder = tmp_path_factory.mktemp("proof")
    how = IngestSettings(landing_bucket=BUCKET, spool_dir=folder / "spool", lock_timeout_seconds=10)
    s3, warehouse = platform.s3_config, platform.warehouse_config()
    how.spool_dir.mkdir()
    with (
        direct(platform.warehouse_config("owner")) as owner,
        open_stores(s3, warehouse) as stores,
        engine(how.spool_dir, how),
    ):
        yield Roads(stores, how, s3, warehouse, owner, folder)


@given(case=cases())
@BUDGET
def test_pipeline_and_oracle_agree(roads: Roads, case: Case) -> None:
    assert not roads.differences(case), told(case)


def told(case: Case) -> str:
    """The case as a person reads it."""
    contract = case.contract
    lines = [f"key {contract.key}, newest by {contract.newest_by}, unknown columns: {contract.unknown_columns}, "
             f"{contract.budget}"]  # fmt: skip
    lines += [f"  {short(part)}" for part in (*contract.columns, *contract.row_rules)]
    return "\n".join(lines + [f"{file.name}: {file.body!r}" for file in case.files])


def short(part: Any) -> str:
    """A part of a contract without what it leaves to its defaults."""
    told = [f"{f.name}={getattr(part, f.name)!r}" for f in fields(part) if getattr(part, f.name) not in (f.default, "")]
    return ", ".join(told)
