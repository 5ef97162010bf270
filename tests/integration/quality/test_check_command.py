"""`filegate check` on real tables: what it prints, what it stores, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from include.stores.warehouse import connect
from local import addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {dataset}
name: Checked
version: 1.0.0
customProperties:
  - {{property: drift, value: {{time: at, columns: [kind]}}}}
schema:
  - name: {dataset}
    physicalType: table
    properties:
      - {{name: id, logicalType: integer, primaryKey: true, required: true}}
      - {{name: at, logicalType: timestamp, physicalType: timestamptz, logicalTypeOptions: {{timezone: true}}}}
      - {{name: kind, logicalType: string, required: true}}
"""
COLUMNS = [
    {"name": "id", "type": "bigint", "required": True},
    {"name": "at", "type": "timestamptz", "required": False},
    {"name": "kind", "type": "text", "required": False},
]
DATASETS = ("checked_orders", "checked_parts")
Ended = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def sql(platform: Platform) -> Iterator[Callable[..., list[Any]]]:
    with connect(platform.warehouse_config("owner")) as connection:

        def run(query: str, *values: object) -> list[Any]:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def tables(sql: Callable[..., list[Any]]) -> Iterator[None]:
    """Two tables with 200 rows 20 days ago and 100 yesterday, all of one kind, and their ledger entries."""
    for name in DATASETS:
        sql("SELECT ops.ensure_dataset(%s, %s::jsonb, ARRAY['id'])", name, json.dumps(COLUMNS))
        sql(
            f"INSERT INTO raw.{name} (_file_id, _source_row, _loaded_at, id, at, kind)"
            " SELECT 1, g, now(), g, now() - make_interval(days => CASE WHEN g > 200 THEN 1 ELSE 20 END), 'a'"
            " FROM generate_series(1, 300) AS g"
        )
        sql(
            "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, sha256, status, rows_read, rows_inserted,"
            " rows_updated, rows_unchanged, rows_duplicate, rows_rejected, loaded_at, settled_at, dag_id, run_id)"
            " VALUES (%s, 'landing', 'f', %s, 'archived', 300, 300, 0, 0, 0, 0, now(), now(), 'ingest', 'run')",
            name,
            name,
        )
    yield
    for name in DATASETS:
        sql(f"DROP TABLE raw.{name}")
        for ledger in ("file_ingestion_log", "quality_result", "drift_result"):
            sql(f"DELETE FROM ops.{ledger} WHERE dataset = %s", name)


@pytest.fixture
def check(platform: Platform, tmp_path: Path, tables: None) -> Callable[..., Ended]:
    """Run the command with the contracts of the two tables."""
    for name in DATASETS:
        (tmp_path / f"{name}.yaml").write_text(CONTRACT.format(dataset=name))
    environment = os.environ | addresses.for_library(platform) | {"INGEST_CONTRACTS_DIR": str(tmp_path)}

    def run(*arguments: str) -> Ended:
        command = [sys.executable, "-m", "include.cli", "check", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)

    return run


def test_sound_tables_pass_with_numbers_and_are_stored(
    check: Callable[..., Ended], sql: Callable[..., list[Any]]
) -> None:
    ended = check("--asset", "checked")
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    [count] = sql("SELECT count(*) FROM ops.quality_result WHERE dataset = ANY(%s)", list(DATASETS))[0]
    assert [line for line in lines if not line.startswith(" ")] == [
        *(f"{name}: {count // 2} checks, {count // 2} passed" for name in DATASETS),
        f"2 tables: {count} checks, {count} passed",
    ]
    assert "  passed    distribution_is_stable on kind: PSI 0.000, 100 rows, 200 before" in lines
    assert "  passed    rows_are_accounted_for: 300 rows in the table" in lines
    stored = sql("SELECT dataset, psi, status FROM ops.drift_result WHERE dataset = ANY(%s)", list(DATASETS))
    assert sorted(stored) == [(name, 0.0, "ok") for name in DATASETS]


def test_failures_show_expected_value_and_remedy_and_a_critical_one_ends_with_1(
    check: Callable[..., Ended], sql: Callable[..., list[Any]]
) -> None:
    sql("UPDATE raw.checked_orders SET kind = 'b' WHERE id > 200")
    sql("DELETE FROM raw.checked_orders WHERE id = 1")
    ended = check("--dataset", "checked_orders")
    assert (ended.returncode, ended.stderr) == (1, "")
    text = ended.stdout
    assert "  critical  distribution_is_stable on kind: PSI " in text
    assert "            expected: PSI below 0.1" in text
    assert "            remedy: SELECT" in text
    assert "  warning   rows_are_accounted_for: 299 rows in the table\n            expected: 300 rows" in text
    assert text.splitlines()[-1].startswith("1 table: ")
    assert text.splitlines()[-1].endswith(" passed, 1 warning, 1 critical")
    assert "checked_parts" not in text


def test_json_has_every_check(check: Callable[..., Ended]) -> None:
    ended = check("--dataset", "checked_parts", "--json")
    rows = json.loads(ended.stdout)
    assert ended.returncode == 0
    [drift] = [row for row in rows if row["check"] == "distribution_is_stable"]
    assert {name: drift[name] for name in ("table", "column", "outcome")} == {
        "table": "checked_parts",
        "column": "kind",
        "outcome": "passed",
    }


def test_broken_contract_is_named_and_the_others_are_checked(check: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "checked_parts.yaml").write_text("nonsense: 1")
    ended = check("--asset", "checked")
    assert ended.returncode == 1
    assert ended.stderr == "error: the contract of checked_parts is broken, so its table was not checked\n"
    assert ended.stdout.startswith("checked_orders: ")
