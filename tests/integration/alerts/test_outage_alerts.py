"""When files that wait because of an outage, or a store that does not respond, cause an alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alerting_world import BUCKET

from local.settings import free_ports

if TYPE_CHECKING:
    import psycopg
    from alerting_world import Tasks
    from mail_server import MailServer

    Warehouse = psycopg.Connection[dict[str, Any]]

pytestmark = pytest.mark.integration

SECRET = "Jane Doe"


def postponed(owner: Warehouse, name: str, minutes: float, **changes: Any) -> None:
    """Insert a file that was claimed this many minutes ago and postponed just now."""
    values = {
        "dataset": "sales", "bucket": BUCKET, "object_key": f"incoming/sales/{name}", "etag": name,
        "error_code": "target-locked", "error_message": f"{SECRET} holds a lock", "postponed_at": datetime.now(UTC),
        "claimed_at": datetime.now(UTC) - timedelta(minutes=minutes), **changes,
    }  # fmt: skip
    columns, placeholders = ", ".join(values), ", ".join(f"%({column})s" for column in values)
    owner.execute(f"INSERT INTO ops.file_ingestion_log ({columns}) VALUES ({placeholders})", values)


def subjects(mails: MailServer) -> list[str]:
    return [mail["Subject"].removeprefix("[FileGate] ") for mail in mails.mails]


def text(mails: MailServer) -> str:
    return mails.mails[-1].get_body(("plain",)).get_content()


def test_files_that_wait_for_ten_minutes_cause_one_alert(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    postponed(owner, "young.csv", 9)
    tasks.do("waiting", dataset="sales")
    assert mails.mails == []

    postponed(owner, "a.csv", 12)
    postponed(owner, "b.csv", 11, error_code="service-unavailable")
    postponed(owner, "moves.csv", 11, status="validation_failed", error_code="empty-file")
    postponed(owner, "other.csv", 90, dataset="inventory")
    tasks.do("waiting", dataset="sales")
    tasks.do("waiting", dataset="sales")

    assert subjects(mails) == [
        "sales: waiting for bucket-unavailable, service-unavailable, target-locked for 12 minutes"
    ]
    message = text(mails)
    assert "bucket-unavailable: 1\n" in message
    assert "target-locked: 1\n" in message
    assert SECRET not in message


def test_file_that_loaded_after_it_waited_causes_no_alert(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    postponed(owner, "a.csv", 60, settled_at=datetime.now(UTC), status="duplicate", error_code=None)

    tasks.do("waiting", dataset="sales")

    assert mails.mails == []


def test_waiting_minutes_are_a_setting(tasks: Tasks, mails: MailServer, owner: Warehouse) -> None:
    postponed(owner, "a.csv", 3)

    tasks.do("waiting", dataset="sales", ALERTS_WAITING_MINUTES="2")

    assert subjects(mails) == ["sales: waiting for target-locked for 3 minutes"]


def test_sensors_of_all_datasets_share_the_alert_about_a_store(tasks: Tasks, mails: MailServer) -> None:
    began = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    for dataset in ("sales", "inventory", "orders"):
        tasks.do("outage", awaited=f"files of {dataset}", code="bucket-unavailable", began=began)

    assert subjects(mails) == ["bucket-unavailable: waiting for bucket-unavailable for 10 minutes"]
    assert "files of sales" in text(mails)


def test_outage_of_the_warehouse_is_notified_without_it(tasks: Tasks, mails: MailServer) -> None:
    [closed] = free_ports(1)
    away = json.dumps(json.loads(tasks.environment["AIRFLOW_CONN_WAREHOUSE_PG"]) | {"port": closed})
    began = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()

    tasks.do(
        "outage", awaited="files of sales", code="warehouse-unavailable", began=began, AIRFLOW_CONN_WAREHOUSE_PG=away
    )

    assert subjects(mails) == ["warehouse-unavailable: waiting for warehouse-unavailable for 10 minutes"]
