"""The migration that renames functions and a column, on a filled database of the previous version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from include.stores.migrations import MIGRATIONS, _url
from include.stores.sql_text import statement
from local.services.postgres import superuser_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[object, ...]]
DATABASE, PREVIOUS, VERSION = "earlier", "0012", "0013"
RENAMED = {
    "forget_alerts": "purge_alerts",
    "forget_file_events": "purge_file_events",
    "forget_quality_results": "purge_quality_results",
    "note_lock_wait": "record_lock_wait",
    "note_replaced_versions": "record_replaced_versions",
}
FILLED = """
INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, etag, sha256, run_id)
VALUES ('sales', 'landing', 'incoming/sales/a.csv', 'e1', 's1', 'r'), ('sales', 'landing', 'incoming/sales/b.csv', 'e2', 's2', 'r');
INSERT INTO ops.file_ingestion_log (dataset, topic, partition, first_offset, last_offset)
VALUES ('transactions', 'transactions', 0, 5, 9);
UPDATE ops.file_ingestion_log
SET status = 'validation_failed', error_code = 'bad-number', settled_at = now() - interval '30 days', settled_key = 'failed/a.csv'
WHERE file_id = 1;
UPDATE ops.file_event SET happened_at = now() - interval '40 days' WHERE file_id = 1;
INSERT INTO ops.rejected_rows VALUES (1, 7, 8, 'amount', 'bad-number', 'not a number', '"x",1');
INSERT INTO ops.quality_result (dataset, file_id, expectation, severity, success, checked_at)
VALUES ('sales', 1, 'rows', 'critical', false, now()), ('sales', NULL, 'rows', 'info', true, now() - interval '200 days');
INSERT INTO ops.source_state (source, resource, endpoint, newest_at, answer)
VALUES ('github', 'o/r', 'commits', now(), 'new records');
INSERT INTO ops.incoming_files (bucket, dataset, files, size_bytes, oldest_at) VALUES ('landing', 'sales', 3, 90, now());
INSERT INTO ops.alert (kind, about, cause, told_until, told_at, held_back) VALUES ('quarantine', 'sales', '', now(), now(), 2);
INSERT INTO ops.dataset_lock VALUES ('sales', 2);
INSERT INTO ops.work_lock VALUES ('sweep');
INSERT INTO ops.dataset_column (dataset, column_name, source_name) VALUES ('sales', 'price', 'Price');
SELECT ops.ensure_dataset('sales', '[{"name": "id", "type": "text"}, {"name": "price", "type": "numeric(9,2)"}]', ARRAY['id']);
INSERT INTO raw.sales (_file_id, _source_row, _loaded_at, id, price) VALUES (2, 1, now(), 'a', 1.50), (2, 2, now(), 'b', 2.00);
CREATE VIEW analytics.waiting AS SELECT dataset, files, looked_at FROM ops.incoming_files;
GRANT SELECT ON analytics.waiting TO reader;
"""  # noqa: E501


def migrate(platform: Platform, revision: str) -> None:
    config = platform.warehouse_config("owner").model_copy(update={"database": DATABASE})
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    with create_engine(_url(config), poolclass=NullPool).connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, revision)


@pytest.fixture
def earlier(platform: Platform) -> Iterator[Connection]:
    """A superuser's connection to a database of the previous version with rows in every table."""
    with superuser_connection(platform.settings, platform.credentials) as server:
        server.execute(f"CREATE DATABASE {DATABASE} OWNER warehouse_owner")
        try:
            migrate(platform, PREVIOUS)
            with superuser_connection(platform.settings, platform.credentials, DATABASE) as connection:
                connection.execute("SET ROLE warehouse_owner")
                connection.execute(FILLED.encode())
                connection.execute("RESET ROLE")
                yield connection
        finally:
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def contents(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """The rows of every table, by schema and table."""
    tables = rows(
        connection, "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('ops', 'raw')"
    )
    return {str(name): sorted(rows(connection, f"SELECT * FROM {name}"), key=str) for (name,) in tables}


def columns(connection: Connection) -> set[tuple[object, ...]]:
    return set(
        rows(connection, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'ops'")
    )


def functions(connection: Connection) -> dict[object, tuple[object, ...]]:
    """Name, owner, rights and settings of the functions of `ops`, by the function's identity."""
    found = rows(
        connection,
        "SELECT oid, proname, proowner::regrole::text, proacl::text, prosecdef, proconfig::text FROM pg_proc "
        "WHERE pronamespace = 'ops'::regnamespace",
    )
    return {oid: tuple(properties) for oid, *properties in found}


def rights(connection: Connection) -> set[tuple[object, ...]]:
    return set(rows(connection, "SELECT oid, relacl::text FROM pg_class WHERE relnamespace = 'ops'::regnamespace"))


def test_upgrade_keeps_rows_rights_and_functions(platform: Platform, earlier: Connection) -> None:
    content, names, known, granted = contents(earlier), columns(earlier), functions(earlier), rights(earlier)
    assert [table for table, found in content.items() if not found] == []

    migrate(platform, VERSION)

    assert contents(earlier) == content
    assert names - columns(earlier) == {
        ("incoming_files", "looked_at"), ("alert", "told_until"), ("alert", "told_at")
    }  # fmt: skip
    assert columns(earlier) - names == {
        ("incoming_files", "listed_at"), ("alert", "covered_until"), ("alert", "sent_at")
    }  # fmt: skip
    assert rights(earlier) == granted
    assert functions(earlier) == {
        oid: (RENAMED.get(str(name), name), *properties) for oid, (name, *properties) in known.items()
    }
    assert set(RENAMED) <= {name for name, *_ in known.values()}
    earlier.execute("SET ROLE reader")
    assert rows(earlier, "SELECT dataset, files FROM analytics.waiting") == [("sales", 3)]


def test_statements_work_after_the_upgrade(platform: Platform, earlier: Connection) -> None:
    migrate(platform, VERSION)
    earlier.execute("SET ROLE ingest")

    earlier.execute(statement("record_lock_wait"), {"file_id": 2, "message": "waits"})
    earlier.execute(statement("record_replaced_versions"), {"file_id": 2, "messages": ["v1", "v2"]})
    events = rows(earlier, "SELECT error_code, error_message FROM ops.file_event WHERE file_id = 2 ORDER BY event_id")
    replaced = "replaced-before-claim"
    assert events[1:] == [("waiting-for-loader", "waits"), (replaced, "v1"), (replaced, "v2")]

    gone = earlier.execute(statement("purge_file_events"), {"keep": "10 days", "most": 10}).fetchone()
    assert gone == (2,)
    assert earlier.execute(statement("purge_alerts"), {"keep": "10 days"}).fetchone() == (0,)
    values = {"bucket": "landing", "datasets": ["events"], "files": [1], "sizes": [5], "oldest": [None]}
    earlier.execute(statement("record_incoming"), values)
    assert rows(earlier, "SELECT dataset, files, listed_at IS NULL FROM ops.incoming_files") == [("events", 1, False)]

    earlier.execute("SET ROLE transform")
    assert earlier.execute(statement("purge_quality_results"), {"keep_days": 90}).fetchone() == (1,)
    earlier.execute("SET ROLE reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        earlier.execute(statement("purge_file_events"), {"keep": "10 days", "most": 10})
