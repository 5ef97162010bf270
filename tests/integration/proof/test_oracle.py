"""The pipeline and the oracle agree on rows, counts, codes, columns and lines, for any file."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from both_paths import BothPaths
from file_cases import Case, cases
from hypothesis import HealthCheck, given, settings
from ingest_pipeline import direct

from include.ingestion.attempt import open_stores
from include.ingestion.engine import engine
from include.settings import IngestSettings
from local.services import bucket as local_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

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
def both_paths(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothPaths]:
    """Connections and a bucket that all examples share."""
    local_bucket.client(platform.s3_config).create_bucket(Bucket=BUCKET)
    folder = tmp_path_factory.mktemp("proof")
    ingest = IngestSettings(landing_bucket=BUCKET, spool_dir=folder / "spool", lock_timeout_seconds=10)
    s3, warehouse = platform.s3_config, platform.warehouse_config()
    ingest.spool_dir.mkdir()
    with (
        direct(platform.warehouse_config("owner")) as owner,
        open_stores(s3, warehouse) as stores,
        engine(ingest.spool_dir, ingest),
    ):
        yield BothPaths(stores, ingest, s3, warehouse, owner, folder)


@given(case=cases())
@BUDGET
def test_pipeline_and_oracle_agree(both_paths: BothPaths, case: Case) -> None:
    assert not both_paths.differences(case), described(case)


def described(case: Case) -> str:
    """The case as readable text."""
    contract = case.contract
    lines = [f"key {contract.key}, newest by {contract.newest_by}, unknown columns: {contract.unknown_columns}, "
             f"{contract.budget}, {contract.mode}, deletes {contract.deletes} up to {contract.max_delete_share}, "
             f"least {contract.min_share_of_usual}"]  # fmt: skip
    lines += [f"  {short(part)}" for part in (contract.dialect, *contract.columns, *contract.row_rules)]
    return "\n".join(lines + [f"{file.name}: {file.body!r}" for file in case.files])


def short(part: Any) -> str:
    """A part of a contract without the fields that have their defaults."""
    values = ((field, getattr(part, field.name)) for field in fields(part))
    return ", ".join(f"{field.name}={value!r}" for field, value in values if value not in (field.default, ""))
