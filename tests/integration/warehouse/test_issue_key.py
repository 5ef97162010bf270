"""The migration that changes the key of issues to the API's id, on a table of the previous version."""

from __future__ import annotations

import psycopg
import pytest

from local.settings import REPOSITORY

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[object, ...]]
SCRIPT = REPOSITORY / "sql" / "migrations" / "versions" / "0011_messages.sql"


@pytest.fixture
def owner(rolled_back: Connection) -> Connection:
    """A connection of the owner, with a table of the previous version; everything is rolled back."""
    rolled_back.execute("DROP TABLE IF EXISTS raw.issues")
    rolled_back.execute(
        "CREATE TABLE raw.issues (repository text, number bigint, issue_id bigint, fetched_at timestamptz, "
        "_file_id bigint NOT NULL, _source_row bigint NOT NULL, PRIMARY KEY (repository, number))"
    )
    return rolled_back


def migrate(connection: Connection) -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    with connection.cursor() as cursor:
        cursor.execute(script[script.index("DO $$") :].encode())


def test_duplicate_issues_are_merged_under_the_last_name(owner: Connection) -> None:
    owner.execute(
        "INSERT INTO raw.issues VALUES ('o/old', 1, 11, '2026-01-01Z', 1, 1), ('o/old', 2, 12, '2026-01-01Z', 1, 2), "
        "('o/new', 1, 11, '2026-02-01Z', 2, 1), ('o/new', 3, 13, '2026-02-01Z', 2, 3)"
    )
    migrate(owner)
    found = owner.execute("SELECT repository, number, issue_id FROM raw.issues ORDER BY issue_id").fetchall()
    assert found == [("o/new", 1, 11), ("o/old", 2, 12), ("o/new", 3, 13)]
    with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
        owner.execute("INSERT INTO raw.issues VALUES ('o/x', 9, 11, '2026-01-01Z', 1, 1)")


def test_table_of_the_new_key_is_left_as_it_is(owner: Connection) -> None:
    migrate(owner)
    owner.execute("INSERT INTO raw.issues VALUES ('o/old', 1, 11, NULL, 1, 1)")
    migrate(owner)
    assert owner.execute("SELECT count(*) FROM raw.issues").fetchall() == [(1,)]


def test_warehouse_without_issues_is_left_as_it_is(owner: Connection) -> None:
    owner.execute("DROP TABLE raw.issues")
    migrate(owner)
    assert owner.execute("SELECT to_regclass('raw.issues')").fetchall() == [(None,)]
