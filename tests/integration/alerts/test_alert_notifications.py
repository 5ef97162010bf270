"""Which alerts are sent, and how often: with a real warehouse and a real mail server."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alerting_world import BUCKET, smtp
from psycopg.rows import tuple_row

from include.contracts.catalog import read_catalog
from include.ingestion.attempt import open_stores
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.sweep import sweep
from include.ingestion.waiting import sweep_is_due
from include.settings import CONTRACTS_DIR, IngestSettings
from include.stores.object_store import ObjectStore
from include.stores.sql_text import statement
from include.stores.warehouse import connect
from local.services import bucket
from local.settings import free_ports

if TYPE_CHECKING:
    import psycopg
    from alerting_world import Tasks
    from mail_server import MailServer

    from local.supervisor.platform import Platform

    Warehouse = psycopg.Connection[dict[str, Any]]

pytestmark = pytest.mark.integration

BEGAN = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
SECRET = "Jane Doe"
CLAIMED = {"kind": "quarantine", "about": "sales", "causes": ["empty-file"]}


def quarantine(owner: Warehouse, name: str, code: str = "empty-file", dataset: str = "sales", **changes: Any) -> None:
    """Insert a file that was quarantined just now."""
    values = {
        "dataset": dataset, "bucket": BUCKET, "object_key": f"incoming/{dataset}/{name}", "etag": name,
        "status": "validation_failed", "stage": "validate", "error_code": code,
        "error_message": f"the value of {SECRET} is bad", "dag_id": f"ingest_{dataset}", "run_id": "run 1/é",
        "settled_key": f"failed/validation_failed/{dataset}/1/{name}", "settled_at": datetime.now(UTC), **changes,
    }  # fmt: skip
    columns, placeholders = ", ".join(values), ", ".join(f"%({column})s" for column in values)
    owner.execute(f"INSERT INTO ops.file_ingestion_log ({columns}) VALUES ({placeholders})", values)


def age(owner: Warehouse, hours: float = 2) -> None:
    """Make all notifications older by this many hours."""
    owner.execute(
        "UPDATE ops.alert SET sent_at = sent_at - %(by)s, failed_at = failed_at - %(by)s",
        {"by": timedelta(hours=hours)},
    )


def claim(connection: psycopg.Connection[Any]) -> tuple[int, bool]:
    """Claim the alert about files as another process does; return how often it was due, and whether it is claimed."""
    times = {"since": BEGAN, "quiet": timedelta(hours=1), "pause": timedelta(minutes=2)}
    cursor = connection.cursor(row_factory=tuple_row).execute(statement("claim_alert"), CLAIMED | times)
    return cursor.fetchall()[0]


def subjects(mails: MailServer) -> list[str]:
    return [mail["Subject"].removeprefix("[FileGate] ") for mail in mails.mails]


def text(mails: MailServer) -> str:
    return mails.mails[-1].get_body(("plain",)).get_content()


# Files


def test_quarantined_files_are_notified_with_counts_codes_and_reports(
    tasks: Tasks, mails: MailServer, owner: Warehouse
) -> None:
    quarantine(owner, "old.csv", settled_at=datetime.now(UTC) - timedelta(hours=2))
    for number in range(4):
        quarantine(owner, f"{number}.csv", "missing-columns")
    quarantine(owner, "last.csv")
    quarantine(owner, "other.csv", dataset="inventory")
    quarantine(owner, "back.csv", settled_key=None)
    tasks.do("files", dataset="sales", began=BEGAN, ALERTS_MAX_FILES="2")
    assert subjects(mails) == ["sales: 5 files quarantined"]
    message = text(mails)
    assert "empty-file: 1\nmissing-columns: 4\n" in message
    assert f"- last.csv: empty-file\n  s3://{BUCKET}/failed/validation_failed/sales/1/last.csv.report.json" in message
    assert "- 3.csv: missing-columns" in message
    assert "and 3 more" in message
    assert "http://airflow.example:8080/dags/ingest_sales/runs/run%201/%C3%A9" in message
    for name in ("old.csv", "other.csv", "back.csv", "0.csv", SECRET):
        assert name not in message


def test_swept_unknown_files_are_notified_with_the_location_of_their_report(
    tasks: Tasks, mails: MailServer, platform: Platform, owner: Warehouse
) -> None:
    """The ledger entry and the objects are written by the real sweep."""
    bucket.client(platform.s3_config).create_bucket(Bucket=BUCKET)
    objects = ObjectStore(platform.s3_config)
    objects.put(BUCKET, "incoming/<b>what is this.dat", b"?")
    with open_stores(platform.s3_config, platform.warehouse_config()) as stores:
        run = AirflowRun("sweep_unmatched", "run-7")
        settings = IngestSettings(landing_bucket=BUCKET)
        swept = sweep(lambda: read_catalog(CONTRACTS_DIR), stores, run, settings)
    assert swept.quarantined == 1
    tasks.do("files", dataset="unknown", began=BEGAN)
    assert subjects(mails) == ["unknown: 1 file quarantined"]
    message = text(mails)
    assert "- <b>what is this.dat: unknown-dataset" in message
    assert "/dags/sweep_unmatched/runs/run-7" in message
    [key] = re.findall(r"s3://[^/]+/(.+)", message)
    assert key.endswith("what is this.dat.report.json")
    assert objects.head(BUCKET, key) is not None


def test_run_without_quarantined_files_sends_nothing(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    tasks.do("files", dataset="sales", began=BEGAN)
    assert mails.mails == []
    assert owner.execute("SELECT * FROM ops.alert").fetchall() == []


def test_same_cause_is_held_back_and_sent_with_all_files_later(
    tasks: Tasks, mails: MailServer, owner: Warehouse
) -> None:
    for number in range(5):
        quarantine(owner, f"{number}.csv")
        tasks.do("files", dataset="sales", began=BEGAN)
    tasks.do("held_back")
    assert subjects(mails) == ["sales: 1 file quarantined"]
    age(owner)
    tasks.do("held_back")
    assert subjects(mails)[1:] == ["sales: 4 files quarantined"]
    age(owner)
    tasks.do("held_back")
    assert len(mails.mails) == 2


def test_new_cause_is_sent_at_once_with_the_held_back_files(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    for name, code in (("a.csv", "empty-file"), ("b.csv", "empty-file"), ("c.csv", "too-large")):
        quarantine(owner, name, code)
        tasks.do("files", dataset="sales", began=BEGAN)
    assert subjects(mails) == ["sales: 1 file quarantined", "sales: 2 files quarantined"]
    assert "empty-file: 1\ntoo-large: 1\n" in text(mails)


def test_datasets_do_not_suppress_alerts_of_each_other(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    for dataset in ("sales", "inventory", "unknown"):
        quarantine(owner, "a.csv", dataset=dataset)
        tasks.do("files", dataset=dataset, began=BEGAN)
    assert subjects(mails) == [f"{about}: 1 file quarantined" for about in ("sales", "inventory", "unknown")]


def test_files_whose_alert_failed_are_notified_later(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    quarantine(owner, "a.csv")
    away = {"AIRFLOW_CONN_ALERTS_SMTP": smtp(free_ports(1)[0]), "ALERTS_ATTEMPTS": "1"}
    assert "could not be sent" in tasks.do("files", dataset="sales", began=BEGAN, **away)["log"]
    # During the pause no run tries the server again.
    assert "could not be sent" not in tasks.do("held_back", **away)["log"]
    age(owner)
    tasks.do("held_back")
    assert subjects(mails) == ["sales: 1 file quarantined"]


def test_files_that_were_requeued_meanwhile_are_not_notified(
    tasks: Tasks, mails: MailServer, platform: Platform, owner: Warehouse
) -> None:
    for name in ("a.csv", "b.csv"):
        quarantine(owner, name)
        tasks.do("files", dataset="sales", began=BEGAN)
    assert sweep_is_due(BUCKET, platform.warehouse_config())
    owner.execute("UPDATE ops.file_ingestion_log SET settled_key = NULL WHERE bucket = %s", [BUCKET])
    age(owner)
    tasks.do("held_back")
    assert len(mails.mails) == 1
    assert not sweep_is_due(BUCKET, platform.warehouse_config())


def test_cause_that_another_process_notifies_is_held_back(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    """If that process dies, the next run sends the alert after the pause."""
    quarantine(owner, "a.csv")
    assert claim(owner) == (1, True)
    tasks.do("files", dataset="sales", began=BEGAN)
    assert mails.mails == []
    age(owner)
    tasks.do("files", dataset="sales", began=BEGAN)
    assert len(mails.mails) == 1


def test_only_one_process_notifies_of_a_cause(platform: Platform, owner: Warehouse) -> None:
    def claim_once(_: int) -> tuple[int, bool]:
        with connect(platform.warehouse_config()) as connection:
            return claim(connection)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(claim_once, range(8)))
    assert sum(is_claimed for _, is_claimed in claims) == 1
    assert sorted(due for due, _ in claims) == list(range(1, 9))


def test_file_that_arrives_while_another_process_notifies_is_notified_by_the_sweep(
    tasks: Tasks, mails: MailServer, owner: Warehouse
) -> None:
    """The other process has read the ledger before the file arrives, and stores its notification afterwards."""
    quarantine(owner, "a.csv")
    due, _ = claim(owner)
    until = datetime.now(UTC)
    quarantine(owner, "b.csv")
    tasks.do("files", dataset="sales", began=BEGAN)
    owner.execute(statement("record_alert_sent"), {**CLAIMED, "until": until, "due": due})
    assert mails.mails == []
    age(owner)
    tasks.do("held_back")
    assert subjects(mails) == ["sales: 1 file quarantined"]
    assert "- b.csv: empty-file" in text(mails)
    age(owner)
    tasks.do("held_back")
    assert len(mails.mails) == 1


# Messages


@pytest.mark.parametrize(
    ("consumed", "subject", "detail"),
    [
        pytest.param(
            {"code": "error-budget-exceeded", "stopped": 1, "messages": 300, "dead_letters": 2},
            "transactions: 1 batch stopped", "error-budget-exceeded: 1", id="stopped",
        ),
        pytest.param(
            {"messages": 100, "dead_letters": 6}, "transactions: 6 dead letters", "dead-letters: 6", id="dead-letters"
        ),
        pytest.param(
            {"code": "unknown-columns", "stopped": 2, "dead_letters": 1},
            "transactions: 2 batches stopped, 1 dead letter", "unknown-columns: 2", id="both",
        ),
        pytest.param(
            {"messages": 5, "removed": [0, 10, 14]},
            "transactions: messages removed before they were read", "partition 0: 10 to 14", id="removed unread",
        ),
    ],
)  # fmt: skip
def test_bad_messages_are_notified(
    tasks: Tasks, mails: MailServer, consumed: dict[str, Any], subject: str, detail: str
) -> None:
    answer = tasks.do("messages", **consumed)
    assert answer["raised"] == ("PermanentError" if "code" in consumed else "")
    assert subjects(mails) == [subject]
    for part in (detail, "transactions.dlq", "/dags/consume_transactions/runs/run-1"):
        assert part in text(mails)
    assert SECRET not in text(mails)


@pytest.mark.parametrize(
    "consumed",
    [
        pytest.param({"messages": 100, "dead_letters": 5}, id="within-the-budget"),
        pytest.param({"messages": 100}, id="all-good"),
        pytest.param({"code": "broker-refused"}, id="failed-otherwise"),
    ],
)
def test_other_runs_of_a_topic_are_not_notified(tasks: Tasks, mails: MailServer, consumed: dict[str, Any]) -> None:
    tasks.do("messages", **consumed)
    assert mails.mails == []


def test_stopped_batch_notifies_once_and_counts_its_runs(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    stopped = {"code": "error-budget-exceeded", "stopped": 1}
    for _ in range(4):
        tasks.do("messages", **stopped)
    assert len(mails.mails) == 1
    age(owner)
    tasks.do("messages", **stopped)
    assert "3 times more since the last message" in text(mails)


# Checks


def test_critical_checks_of_this_run_are_notified(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    written = (
        "INSERT INTO ops.quality_result (dataset, expectation, column_name, severity, success, observed, checked_at) "
        "VALUES ('alerted_sales', %s, 'amount', %s, %s, 'Jane Doe', %s)"
    )
    later, before = datetime.now(UTC) + timedelta(minutes=5), datetime.now(UTC) - timedelta(minutes=5)
    owner.execute(written, ["expect_sum", "critical", False, later])
    owner.execute(written, ["expect_passed", "critical", True, later])
    owner.execute(written, ["expect_little", "warning", False, later])
    owner.execute(written, ["expect_before", "critical", False, before])
    assert tasks.do("checks", code="quality-critical")["raised"] == "PermanentError"
    assert subjects(mails) == ["alerted_sales: 1 critical check failed"]
    message = text(mails)
    for part in ("alerted_sales: expect_sum on amount", "s3://quality-docs/index.html", "/dags/check_quality/runs/"):
        assert part in message
    for part in ("expect_passed", "expect_little", "expect_before", SECRET):
        assert part not in message


def test_critical_checks_are_notified_if_no_result_is_found(tasks: Tasks, mails: MailServer) -> None:
    assert tasks.do("checks", code="quality-critical")["raised"] == "PermanentError"
    assert subjects(mails) == ["check_quality: critical checks failed"]


def test_check_with_another_error_is_not_notified(tasks: Tasks, mails: MailServer) -> None:
    assert tasks.do("checks", code="warehouse-refused")["raised"] == "PermanentError"
    assert mails.mails == []


# Runs


def test_failed_run_is_notified_by_the_callback_of_its_dag(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    tasks.do("run", dag_id="maintain_platform", failed=["collect_1", "collect_0"])
    tasks.do("run", dag_id="maintain_platform", failed=["collect_0"])
    assert subjects(mails) == ["maintain_platform: the run failed"]
    message = text(mails)
    assert "- collect_0: failed\n- collect_1: failed\n" in message
    assert "http://airflow.example:8080/dags/maintain_platform/runs/run-1" in message
    assert "good" not in message


def test_failed_run_is_notified_while_the_warehouse_is_unavailable(mailing: Tasks, mails: MailServer) -> None:
    """The warehouse may be the reason of the failure."""
    nowhere = f"postgres://ingest:hidden-password@127.0.0.1:{free_ports(1)[0]}/warehouse"
    answer = mailing.do("run", dag_id="maintain_platform", failed=["list_elements"], AIRFLOW_CONN_WAREHOUSE_PG=nowhere)
    assert subjects(mails) == ["maintain_platform: the run failed"]
    assert "Could not read which alerts were sent before" in answer["log"]
    assert "The alert was not sent" not in answer["log"]
    assert "hidden-password" not in answer["log"]


# Runs of sources


def attempt(owner: Warehouse, city: str, code: str | None, text: str | None, **changes: Any) -> None:
    """Insert an attempt of an element of the source `weather`; one without a code succeeded."""
    values = {
        "source": "weather", "element": f"/v1/forecast?city={city}", "dag_id": "collect_weather", "run_id": "run-1",
        "started_at": datetime.now(UTC), "ended_at": datetime.now(UTC), "status": "failed" if code else "success",
        "error_code": code, "error_message": text, **changes,
    }  # fmt: skip
    columns, placeholders = ", ".join(values), ", ".join(f"%({column})s" for column in values)
    owner.execute(f"INSERT INTO ops.source_run ({columns}) VALUES ({placeholders})", values)


def source_failed(tasks: Tasks, failed: list[str], **environment: str) -> dict[str, Any]:
    """End a run of `collect_weather` with these failed tasks."""
    return tasks.do("run", dag_id="collect_weather", file="collect_sources", failed=failed, **environment)


AWAY = "The API of weather does not answer: 503 Service Unavailable."
DENIED = "The API of weather answers 401. Check login and password of the connection source_weather."


def test_failed_source_is_notified_with_element_code_message_and_remedy(
    tasks: Tasks, mails: MailServer, owner: Warehouse
) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    attempt(owner, "Berlin", "source-unavailable", "an earlier attempt", started_at=before)
    attempt(owner, "Berlin", "source-unavailable", AWAY)
    attempt(owner, "London", "source-refused", DENIED)
    attempt(owner, "Nairobi", "internal", f"the value of {SECRET} is bad")
    attempt(owner, "Quito", None, None, status="running", ended_at=None)
    attempt(owner, "Tokyo", "source-unavailable", "an earlier attempt", started_at=before)
    attempt(owner, "Tokyo", None, None)
    attempt(owner, "Lima", "source-refused", "of another run", run_id="run-0")
    source_failed(tasks, [f"collect_{number}" for number in range(6)])
    assert subjects(mails) == ["weather: 4 elements not collected"]
    message = text(mails)
    for part in (
        "source: weather\nrun: run-1\n",
        "internal: 1\nsource-refused: 1\nsource-unavailable: 1\nworker-died: 1\n",
        f"- /v1/forecast?city=Berlin: source-unavailable\n  {AWAY}\n",
        f"- /v1/forecast?city=London: source-refused\n  {DENIED}\n",
        "- /v1/forecast?city=Quito: worker-died\n  The process ended before its run did.",
        "source-refused: Check connection and names. source-unavailable: Nothing, unless it lasts.",
        "2 more tasks failed: the log gives the reason.",
        "http://airflow.example:8080/dags/collect_weather/runs/run-1",
    ):
        assert part in message
    for part in (SECRET, "earlier attempt", "Tokyo", "Lima"):
        assert part not in message


def test_failing_source_is_notified_once_and_a_new_cause_at_once(
    tasks: Tasks, mails: MailServer, owner: Warehouse
) -> None:
    attempt(owner, "Berlin", "source-unavailable", AWAY)
    for _ in range(3):
        source_failed(tasks, ["collect_0"])
    assert subjects(mails) == ["weather: 1 element not collected"]
    attempt(owner, "London", "source-refused", DENIED)
    source_failed(tasks, ["collect_0", "collect_1"])
    assert subjects(mails)[1:] == ["weather: 2 elements not collected"]


def test_source_without_failed_elements_is_notified_with_its_tasks(
    tasks: Tasks, mails: MailServer, owner: Warehouse
) -> None:
    source_failed(tasks, ["list_elements"])
    assert subjects(mails) == ["collect_weather: the run failed"]
    assert "source: weather\nrun: run-1\n" in text(mails)
    assert "- list_elements: failed\n" in text(mails)


def test_failed_source_is_notified_while_the_warehouse_is_unavailable(mailing: Tasks, mails: MailServer) -> None:
    nowhere = f"postgres://ingest:hidden-password@127.0.0.1:{free_ports(1)[0]}/warehouse"
    answer = source_failed(mailing, ["collect_0"], AIRFLOW_CONN_WAREHOUSE_PG=nowhere)
    assert subjects(mails) == ["collect_weather: the run failed"]
    assert "- collect_0: failed\n" in text(mails)
    assert "Could not read what the run of weather collected" in answer["log"]
    assert "hidden-password" not in answer["log"]


# Alerts that are off, and wrong settings


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        pytest.param("files", {"dataset": "sales", "began": BEGAN}, id="files"),
        pytest.param("held_back", {}, id="held-back"),
        pytest.param("messages", {"stopped": 1}, id="messages"),
        pytest.param("run", {"dag_id": "maintain_platform", "failed": []}, id="run"),
    ],
)
def test_alerts_that_are_off_send_nothing_and_query_nothing(
    mailing: Tasks, mails: MailServer, action: str, arguments: dict[str, Any]
) -> None:
    """There is no connection to a warehouse here, so a query would be logged as an error."""
    answer = mailing.do(action, **arguments, ALERTS_TO="")
    assert (answer["log"], answer["raised"], mails.mails) == ("", "", [])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"ALERTS_QUIET_MINUTES": "none-secret"}, "quiet_minutes", id="setting"),
        pytest.param({"ALERTS_NOTIFIER_KWARGS": '{"token": "none-secret'}, 'field "notifier_kwargs"', id="broken-json"),
        pytest.param({"ALERTS_TO": "a@example.com\nBcc: b@example.com"}, "to:", id="address"),
    ],
)
def test_wrong_settings_fail_no_run(
    tasks: Tasks, mails: MailServer, owner: Warehouse, wrong: dict[str, str], message: str
) -> None:
    quarantine(owner, "a.csv")
    answer = tasks.do("files", dataset="sales", began=BEGAN, **wrong)
    assert answer["raised"] == ""
    assert "correct the settings ALERTS_*" in answer["log"]
    assert message in answer["log"]
    assert "none-secret" not in answer["log"]
    assert mails.mails == []
