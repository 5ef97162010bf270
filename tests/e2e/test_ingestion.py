"""Files dropped into the bucket of a running platform: their outcome, and the state of the platform afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from include.samples.badness import Bad, BadKind
from local.services.airflow import SCHEDULER
from local.settings import REPOSITORY
from local.supervisor.processes import is_alive
from tests.archive_files import zipped

if TYPE_CHECKING:
    from local.supervisor.status import ServiceStatus
    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

COUNTS = ("rows_read", "rows_inserted", "rows_updated", "rows_unchanged", "rows_duplicate", "rows_rejected")


def counts(entry: dict[str, Any]) -> tuple[int, ...]:
    return tuple(entry[name] for name in COUNTS)


def test_dropped_file_of_each_outcome_is_moved_to_its_key(running: Running) -> None:
    running.sample("sales", "good.csv", 10_000, seed=1)
    running.sample("sales", "good.parquet", 10_000, "parquet", seed=1, start=10_000)
    running.sample("sales", "good.json", 10_000, "json", seed=1, start=20_000)
    running.sample("sales", "good.ndjson", 10_000, "ndjson", seed=1, start=30_000)
    running.sample("sales", "good.csv.gz", 10_000, "csv.gz", seed=1, start=40_000)
    broken = running.sample("sales", "broken.csv", 10_000, bad=[Bad(BadKind.BAD_DATE, 1)], seed=2, start=50_000)
    running.sample("sales", "picture.csv", 10, bad=[Bad(BadKind.PNG)])
    running.sample("inventory", "inventory.csv", 10_000, bad=[Bad(BadKind.MISSING_KEY, 5)], seed=3)
    good = ("good.csv", "good.parquet", "good.json", "good.ndjson", "good.csv.gz")
    for name in (*good, "broken.csv", "picture.csv"):
        running.drop(name, f"incoming/sales/{name}")
    running.drop("inventory.csv", "incoming/inventory/inventory.csv")
    running.drop("picture.csv", "incoming/no_dataset/picture.png")

    loaded = []
    for name in good:
        entry = running.settled(f"incoming/sales/{name}")
        loaded.append(entry["file_id"])
        assert (entry["status"], counts(entry)) == ("archived", (10_000, 10_000, 0, 0, 0, 0)), name
        assert entry["settled_key"] == f"processed/sales/{entry['file_id']}/{name}"

    entry = running.settled("incoming/sales/broken.csv")
    assert (entry["status"], entry["error_code"]) == ("validation_failed", "error-budget-exceeded")
    failed_key = f"failed/validation_failed/sales/{entry['file_id']}/broken.csv"
    assert running.keys(failed_key) == [failed_key, f"{failed_key}.rejects.csv", f"{failed_key}.report.json"]
    [reject] = json.loads(running.body(f"{failed_key}.report.json"))["rejected_rows"]
    [bad] = broken.bad_rows
    assert (reject["source_row"], reject["source_line"], reject["column_name"], reject["code"]) == (
        bad.source_row,
        bad.line,
        "sale_date",
        "bad-date",
    )
    assert "2026-02-30" in reject["message"]

    assert running.settled("incoming/sales/picture.csv")["error_code"] == "unknown-format"
    entry = running.settled("incoming/inventory/inventory.csv")
    assert (entry["status"], counts(entry)) == ("archived", (10_000, 9_995, 0, 0, 0, 5))
    assert running.settled("incoming/no_dataset/picture.png")["error_code"] == "unknown-dataset"
    assert [key for key in running.keys("incoming/") if not key.startswith("incoming/commits/")] == []
    assert running.keys("staging/") == []
    assert running.query("SELECT count(*) FROM raw.sales WHERE _file_id = ANY(%s)", [loaded]) == [(50_000,)]

    running.drop("good.csv", "incoming/sales/again.csv")
    assert running.settled("incoming/sales/again.csv")["status"] == "duplicate"


def test_file_waits_for_a_locked_table_and_is_loaded_afterwards(running: Running) -> None:
    """No dbt model reads this table: otherwise the lock would make the transformation fail."""
    running.sample("inventory", "locked.csv", 1_000, seed=4, start=100_000)
    key = "incoming/inventory/locked.csv"
    owner = running.platform.warehouse_config("owner")
    with psycopg.connect(
        host=owner.host,
        port=owner.port,
        dbname=owner.database,
        user=owner.user,
        password=owner.password.get_secret_value(),
    ) as blocker:
        blocker.execute("LOCK TABLE raw.inventory IN ACCESS EXCLUSIVE MODE")
        running.drop("locked.csv", key)
        entry = running.until(lambda: (e := running.entry(key)).get("error_code") == "target-locked" and e, "waiting")
        assert entry["settled_at"] is None
    entry = running.settled(key)
    assert entry["status"] == "archived"
    assert counts(entry) == (1_000, 1_000, 0, 0, 0, 0)
    states = {run["state"] for run in running.airflow("dags/ingest_inventory/dagRuns?limit=100")["dag_runs"]}
    assert "failed" not in states


def test_reprocessing_takes_a_quarantined_file_through_the_pipeline_again(running: Running) -> None:
    running.sample("sales", "again.csv", 100, seed=6, start=300_000)
    key = "incoming/again_of_no_dataset.csv"
    running.drop("again.csv", key)
    first = running.settled(key)
    assert (first["status"], first["error_code"]) == ("validation_failed", "unknown-dataset")

    conf = {"dataset": "unknown", "name": "again_of_no*"}
    running.airflow("dags/reprocess_failed/dagRuns", {"logical_date": None, "conf": conf})

    def events() -> list[str]:
        query = (
            "SELECT e.status FROM ops.file_event AS e JOIN ops.file_ingestion_log AS l USING (file_id) "
            "WHERE l.object_key = %s ORDER BY e.event_id"
        )
        return [status for (status,) in running.query(query, [key])]

    running.until(lambda: events().count("validation_failed") > 1 and running.entry(key)["settled_at"], "reprocessed")
    assert running.entry(key)["settled_key"].startswith("failed/validation_failed/unknown/")


@pytest.mark.parametrize("stage", ["validate", "load"])
def test_killed_task_process_loses_and_duplicates_nothing(running: Running, stage: str) -> None:
    start = {"validate": 1_000_000, "load": 2_000_000}[stage]
    running.sample("sales", f"killed_{stage}.csv", 400_000, seed=5, start=start)
    key = f"incoming/sales/killed_{stage}.csv"
    running.drop(f"killed_{stage}.csv", key)
    running.until(lambda: (e := running.entry(key)).get("attempts") == 1 and e["stage"] == stage, stage)
    assert running.kill_tasks()
    entry = running.settled(key)
    assert (entry["status"], counts(entry)) == ("archived", (400_000, 400_000, 0, 0, 0, 0))
    assert entry["attempts"] >= 2
    assert running.query("SELECT count(*) FROM raw.sales WHERE _file_id = %s", [entry["file_id"]]) == [(400_000,)]
    assert running.query("SELECT tablename FROM pg_tables WHERE schemaname = 'load'") == []


def test_killed_scheduler_leaves_no_worker_that_holds_its_connections(running: Running) -> None:
    def scheduler() -> ServiceStatus:
        return next(service for service in running.platform.status() if service.name == SCHEDULER)

    killed = scheduler().pid
    workers = running.until(lambda: psutil.Process(killed).children(), "the scheduler has workers")
    os.kill(killed, signal.SIGKILL)
    # Without local.supervisor.leftovers they would wait for work forever.
    running.until(lambda: not any(map(is_alive, workers)), "its workers are ended")
    assert scheduler().pid != killed
    running.sample("sales", "after_the_scheduler.csv", 100, seed=6, start=95_000_000)
    running.drop("after_the_scheduler.csv", "incoming/sales/after_the_scheduler.csv")
    assert running.settled("incoming/sales/after_the_scheduler.csv")["status"] == "archived"


def test_large_file_does_not_delay_another_dataset(running: Running) -> None:
    running.sample("sales", "large.csv", 2_000_000, seed=6, start=10_000_000)
    running.sample("inventory", "small.csv", 1_000, seed=7, start=500_000)
    running.drop("large.csv", "incoming/sales/large.csv")
    running.until(lambda: running.entry("incoming/sales/large.csv").get("attempts") == 1, "started")
    running.drop("small.csv", "incoming/inventory/small.csv")
    small = running.settled("incoming/inventory/small.csv")
    large = running.settled("incoming/sales/large.csv", 420)
    assert small["status"] == large["status"] == "archived"
    assert small["loaded_at"] < large["loaded_at"]


def test_thousand_small_files_are_all_settled(running: Running) -> None:
    for number in range(1_000):
        bad = [Bad(BadKind.TEXT_IN_NUMBER, 1)] if number % 100 == 0 else []
        running.sample("sales", f"many_{number}.csv", 100, bad=bad, seed=number, start=20_000_000 + 100 * number)
        running.drop(f"many_{number}.csv", f"incoming/sales/many_{number}.csv")
    ends = (
        "SELECT status, count(*) FROM ops.file_ingestion_log "
        "WHERE object_key LIKE %s AND settled_at IS NOT NULL GROUP BY 1"
    )

    def outcomes() -> dict[str, int]:
        return dict(running.query(ends, [r"incoming/sales/many\_%"]))

    running.until(lambda: sum(outcomes().values()) == 1_000, "all settled", 540)
    assert outcomes() == {"archived": 990, "validation_failed": 10}
    assert [key for key in running.keys("incoming/") if not key.startswith("incoming/commits/")] == []


def test_new_contract_becomes_a_dag_and_a_broken_one_breaks_no_other(running: Running) -> None:
    text = (running.contracts / "sales.yaml").read_text(encoding="utf-8")
    (running.contracts / "refunds.yaml").write_text(
        text.replace("name: sales", "name: refunds").replace("id: sales", "id: refunds").replace("sales*", "refunds*"),
        encoding="utf-8",
    )
    (running.contracts / "broken.yaml").write_text("kind: DataContract\nversion: 1\n", encoding="utf-8")
    running.sample("sales", "refunds.csv", 100, seed=8)
    running.drop("refunds.csv", "incoming/refunds_january.csv")

    entry = running.settled("incoming/refunds/refunds_january.csv", 420)
    assert (entry["dataset"], entry["status"]) == ("refunds", "archived")
    errors = running.until(lambda: running.airflow("importErrors")["import_errors"], "the broken contract is shown")
    assert "broken.yaml" in errors[0]["stack_trace"]
    assert "Remedy" in errors[0]["stack_trace"]
    shown = status(running)
    assert shown.returncode == 3
    assert "import error in " in shown.stderr
    assert "broken.yaml has" in shown.stderr
    (running.contracts / "broken.yaml").unlink()
    running.until(lambda: status(running).returncode == 0, "every contract has its DAGs, and no file an import error")


STATEMENT = """\
apiVersion: v3.1.0
kind: DataContract
id: statements
name: Bank statements
version: 1.0.0
status: active
description: {purpose: Bookings as the bank exports them.}
team: {name: accounts}
customProperties:
  - property: ingestion
    value: {filePatterns: ["statement*"]}
  - property: dialect
    value: {encoding: cp1252, delimiter: ";", skipLines: 2, footerLines: 1, decimal: ",", thousands: "."}
schema:
  - name: statements
    properties:
      - {name: booking, logicalType: string, primaryKey: true, required: true}
      - name: booked_on
        logicalType: date
        customProperties: [{property: formats, value: ["%d.%m.%y"]}, {property: sourceName, value: Buchungstag}]
      - name: amount
        logicalType: number
        physicalType: numeric(12,2)
        customProperties: [{property: sourceName, value: "Betrag (\u20ac)"}]
"""
EXPORT = "Kontoauszug\n\nBooking;Buchungstag;Betrag (\u20ac)\n{}Saldo;;0,00\n"


def test_export_in_its_own_dialect_is_loaded_as_it_comes_and_in_an_archive(running: Running) -> None:
    (running.contracts / "statements.yaml").write_text(STATEMENT, encoding="utf-8")
    export = EXPORT.format("k\u00f6ln;31.12.99;-1.234,50\nb;01.02.26;7,00\n").encode("cp1252")
    (running.folder / "export.csv").write_bytes(export)
    more = EXPORT.format("c;03.02.26;8,25\n").encode("cp1252")
    bad = EXPORT.format("d;03.02.26;8.25\n").encode("cp1252")
    (running.folder / "exports.zip").write_bytes(zipped(("feb/more.csv", more), ("feb/bad.csv", bad)))
    running.drop("export.csv", "incoming/statement_1.csv")
    running.drop("exports.zip", "incoming/statements/exports.zip")

    entry = running.settled("incoming/statements/statement_1.csv", 420)
    assert (entry["status"], counts(entry)) == ("archived", (2, 2, 0, 0, 0, 0))
    archive = running.settled("incoming/statements/exports.zip", 420)
    assert (archive["status"], counts(archive)) == ("archived", (0, 0, 0, 0, 0, 0))
    assert archive["settled_key"] in running.keys("processed/statements/")
    member = running.settled("incoming/statements/exports.zip#feb/more.csv")
    assert (member["status"], counts(member)) == ("archived", (1, 1, 0, 0, 0, 0))
    refused = running.settled("incoming/statements/exports.zip#feb/bad.csv")
    assert (refused["status"], refused["error_code"]) == ("validation_failed", "error-budget-exceeded")
    assert refused["settled_key"].endswith("/bad.csv")
    [[line, column, code, value]] = running.query(
        "SELECT source_line, column_name, code, message LIKE '%%8.25%%' FROM ops.rejected_rows WHERE file_id = %s",
        [refused["file_id"]],
    )
    assert (line, column, code, value) == (4, "amount", "bad-number", True)
    rows = running.query("SELECT booking, booked_on::text, amount::text FROM raw.statements ORDER BY booking")
    assert rows == [("b", "2026-02-01", "7.00"), ("c", "2026-02-03", "8.25"), ("k\u00f6ln", "1999-12-31", "-1234.50")]


def test_draft_waits_until_it_is_activated(running: Running) -> None:
    text = (running.contracts / "sales.yaml").read_text(encoding="utf-8")
    text = (
        text.replace("name: sales", "name: returns").replace("id: sales", "id: returns").replace("sales*", "returns*")
    )
    contract = running.contracts / "returns.yaml"
    contract.write_text(text.replace("status: active", "status: draft"), encoding="utf-8")
    running.sample("sales", "returns.csv", 100, seed=9)
    keys = ["incoming/returns/returns.csv", "incoming/returns_january.csv"]
    for key in keys:
        running.drop("returns.csv", key)
    waiting = "SELECT files FROM ops.incoming_files WHERE dataset = 'returns' AND files = 2"
    running.until(lambda: running.query(waiting), "the sweep lists what waits")
    assert [key for key in running.keys("incoming/") if "returns" in key] == keys
    assert "ingest_returns" not in {dag["dag_id"] for dag in running.airflow("dags?limit=100")["dags"]}

    contract.write_text(text, encoding="utf-8")

    moved = [keys[0], "incoming/returns/returns_january.csv"]  # same content: the first one is loaded
    assert {running.settled(key, 420)["status"] for key in moved} == {"archived", "duplicate"}


def test_drop_waits_for_the_verdict(running: Running) -> None:
    running.sample("inventory", "waited.csv", 500, seed=10, start=7_000_000)
    loaded = filegate(running, "drop", running.folder / "waited.csv", "--dataset", "inventory", "--wait")
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert re.search(r"^file \d+: archived$", loaded.stdout, re.MULTILINE)
    again = filegate(running, "drop", running.folder / "waited.csv", "--dataset", "inventory", "--wait")
    assert (again.returncode, "duplicate" in again.stdout) == (0, True)

    (running.folder / "refused.csv").write_text("no,header,of,ours\n1,2,3,4\n")
    refused = filegate(running, "drop", running.folder / "refused.csv", "--dataset", "inventory", "--wait")
    assert refused.returncode == 1
    assert "validation_failed: missing-columns" in refused.stdout


def test_psql_and_logs_look_into_the_platform(running: Running) -> None:
    counted = filegate(running, "psql", "--", "-Atc", "SELECT current_user, count(*) > 0 FROM raw.sales")
    assert counted.stdout.split() == ["reader|t"]
    assert filegate(running, "logs", "airflow-scheduler", "--lines", "5").stdout
    unknown = filegate(running, "logs", "airflow-schedular")
    assert unknown.returncode == 1
    assert "did you mean airflow-scheduler?" in unknown.stderr


def filegate(running: Running, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, for the running platform."""
    settings = {"PLATFORM_HOME": str(running.platform.settings.platform_home)}
    return subprocess.run(
        [sys.executable, "-m", "include.cli", *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | settings | {"INGEST_CONTRACTS_DIR": str(running.contracts)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def status(running: Running) -> subprocess.CompletedProcess[str]:
    """`filegate status` of the running platform."""
    settings = {"PLATFORM_HOME": str(running.platform.settings.platform_home)}
    return subprocess.run(
        [sys.executable, "-m", "local", "status"],
        cwd=REPOSITORY,
        env=os.environ | settings | {"INGEST_CONTRACTS_DIR": str(running.contracts)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
