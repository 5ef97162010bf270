"""The migration that indexes the hash of a header, on a table of the previous version."""

from __future__ import annotations

import psycopg
import pytest

from local.settings import REPOSITORY

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[object, ...]]
SCRIPT = REPOSITORY / "sql" / "migrations" / "versions" / "0012_long_headers.sql"
INSERT = "INSERT INTO ops.dataset_column (dataset, column_name, source_name) VALUES ('d', %s, %s)"
# Random digits, because PostgreSQL compresses repetitive text to a short index key.
LONG = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n"


@pytest.fixture
def owner(rolled_back: Connection) -> Connection:
    """A connection of the owner, with a table of the previous version and a header; everything is rolled back."""
    rolled_back.execute("DROP INDEX ops.dataset_column_dataset_source_name_key")
    rolled_back.execute("DROP FUNCTION ops.header_hash")
    # Headers of other tests would violate this constraint.
    rolled_back.execute("TRUNCATE ops.dataset_column")
    rolled_back.execute("ALTER TABLE ops.dataset_column ADD UNIQUE (dataset, source_name)")
    rolled_back.execute(INSERT, ["price", "Price"])
    with rolled_back.cursor() as cursor:
        cursor.execute(SCRIPT.read_bytes())
    return rolled_back


@pytest.mark.parametrize(("column", "header"), [("price", "Other"), ("other", "Price")], ids=["column", "header"])
def test_existing_columns_and_headers_are_still_unique(owner: Connection, column: str, header: str) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
        owner.execute(INSERT, [column, header])
    owner.execute(f"{INSERT} ON CONFLICT DO NOTHING", [column, header])
    found = owner.execute("SELECT column_name, source_name FROM ops.dataset_column WHERE dataset = 'd'").fetchall()
    assert found == [("price", "Price")]


def test_long_header_is_unique_in_its_dataset(owner: Connection) -> None:
    ((header,),) = owner.execute(LONG).fetchall()
    owner.execute(INSERT, ["long", header])
    owner.execute(INSERT, ["longer", f"{header}1"])
    owner.execute(INSERT.replace("'d'", "'e'"), ["long", header])
    with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
        owner.execute(INSERT, ["second", header])
