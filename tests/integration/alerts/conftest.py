"""A mail server, and a process that sends alerts as tasks do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alerting_world import BUCKET, Tasks, smtp
from mail_server import MailServer, serving
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def mail_server() -> Iterator[MailServer]:
    with serving() as server:
        yield server


@pytest.fixture
def mails(mail_server: MailServer) -> MailServer:
    """The server without the mail of other tests."""
    mail_server.reset()
    return mail_server


@pytest.fixture(scope="session")
def alerting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    home = tmp_path_factory.mktemp("airflow")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALERTS_", "INGEST_"))}
    environment = kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__BASE_URL": "http://airflow.example:8080",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://unused:x@127.0.0.1:1/none",
        "PYTHONPATH": str(ROOT),
    }
    script = Path(__file__).with_name("alerting_tasks.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        cwd=home,
    ) as process:  # fmt: skip
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


@pytest.fixture
def mailing(alerting: subprocess.Popen[str], mails: MailServer) -> Tasks:
    """Tasks with recipients and without a warehouse."""
    return Tasks(
        alerting,
        {
            "ALERTS_TO": "ops@example.com, owner@example.com",
            "ALERTS_SENDER": "FileGate <filegate@example.com>",
            "ALERTS_TIMEOUT_SECONDS": "5",
            "AIRFLOW_CONN_ALERTS_SMTP": smtp(mails.port),
        },
    )


@pytest.fixture
def owner(platform: Platform) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to the warehouse as its owner, without alerts and files of other tests."""
    config = platform.warehouse_config("owner")
    with psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True, row_factory=dict_row,
    ) as connection:  # fmt: skip
        yield connection
        connection.execute("DELETE FROM ops.alert")
        connection.execute("DELETE FROM ops.source_run WHERE source = 'weather'")
        connection.execute("DELETE FROM ops.quality_result WHERE dataset LIKE 'alerted%'")
        connection.execute("DELETE FROM ops.file_ingestion_log WHERE bucket = %s", [BUCKET])


@pytest.fixture
def tasks(mailing: Tasks, platform: Platform, owner: psycopg.Connection[dict[str, Any]]) -> Tasks:
    """Tasks with recipients and with a warehouse."""
    config = platform.warehouse_config()
    mailing.environment |= {
        "INGEST_LANDING_BUCKET": BUCKET,
        "AIRFLOW_CONN_WAREHOUSE_PG": json.dumps(
            {
                "conn_type": "postgres",
                "host": config.host,
                "port": config.port,
                "schema": config.database,
                "login": config.user,
                "password": config.password.get_secret_value(),
            }
        ),
    }
    return mailing
