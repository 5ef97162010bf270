"""Updates of the lake's tables from a real warehouse into a real bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from include.errors import Code, PermanentError, RetryableError
from include.lake.update import TableUpdater
from tests.integration.lake.conftest import ROWS, direct

if TYPE_CHECKING:
    import duckdb
    from conftest import MakeSales, Sales

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration


def test_first_update_copies_every_value_exactly(sales: Sales) -> None:
    sales.insert(1, 200)
    sales.run(f"UPDATE {sales.relation} SET share = 'NaN', amount = -99999999999999.9999 WHERE id = 1")
    sales.run(f"UPDATE {sales.relation} SET share = '-Infinity', seen_at = 'infinity', day = '-infinity' WHERE id = 2")
    sales.run(f"UPDATE {sales.relation} SET region = NULL, token = NULL, extra = NULL, day = NULL WHERE id = 3")
    sales.run(
        f"UPDATE {sales.relation} SET region = E'a\\'b\\n€', seen_at = '0001-01-01 00:00:00.000001+00' WHERE id = 4"
    )
    done = sales.update()
    assert (done.rows, done.inserted, done.is_full) == (200, 200, True)
    infinite = sales.engine.execute(f"SELECT isinf(seen_at), isinf(day) FROM lake.{sales.relation} WHERE id = 2")
    assert infinite.fetchall() == [(True, True)]
    # psycopg has no infinite times: those two are compared above.
    sales.run(f"UPDATE {sales.relation} SET seen_at = NULL, day = NULL WHERE id = 2")
    sales.update()
    sales.assert_same()


def test_incremental_updates_equal_a_full_one(sales: Sales) -> None:
    sales.insert(1, 100)
    sales.update()
    sales.insert(101, 120, file_id=2)
    sales.run(f"UPDATE {sales.relation} SET amount = 0, _file_id = 2 WHERE id BETWEEN 10 AND 14")
    sales.run(f"DELETE FROM {sales.relation} WHERE id BETWEEN 50 AND 52")
    done = sales.update()
    assert (done.rows, done.inserted, done.updated, done.deleted, done.is_full) == (117, 20, 5, 3, False)
    sales.assert_same()
    full = sales.update(full=True)
    assert (full.rows, full.inserted, full.updated, full.deleted) == (117, 0, 0, 0)


def test_update_without_changes_writes_no_snapshot(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    before = sales.snapshots()
    sales.update()
    sales.update(full=True)
    assert sales.snapshots() == before


def test_update_reads_only_changed_rows(sales: Sales) -> None:
    sales.insert(1, 100)
    sales.update()
    sales.insert(101, 103)
    sales.update()
    (read,) = sales.engine.execute("SELECT count(*) FROM changed").fetchone() or (None,)
    assert read == 3


@pytest.mark.parametrize("in_savepoint", [False, True], ids=["plain", "savepoint"])
def test_rows_of_a_transaction_that_commits_late_are_not_missed(sales: Sales, *, in_savepoint: bool) -> None:
    sales.insert(1, 10)
    sales.update()
    with direct(sales.platform.warehouse_config("owner")) as slow, slow.transaction():
        if in_savepoint:
            slow.execute("SELECT pg_current_xact_id()")
            slow.execute("SAVEPOINT inner_work")
        slow.execute(f"INSERT INTO {sales.relation} {ROWS.format(first=11, last=20, file_id=2)}".encode())
        slow.execute(f"UPDATE {sales.relation} SET amount = 7 WHERE id = 3".encode())
        sales.insert(21, 30, file_id=3)
        assert sales.update().rows == 20
        sales.insert(31, 31, file_id=4)
        assert sales.update().rows == 21
    done = sales.update()
    # Found as changes, not by the comparison of all rows that a wrong number of rows starts.
    assert (done.inserted, done.updated, done.is_full) == (10, 1, False)
    sales.assert_same()


def test_marks_of_deleted_rows_arrive_though_loaded_at_stays(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.run(f"UPDATE {sales.relation} SET _deleted_at = now() WHERE id = 3")
    assert sales.update().updated == 1
    sales.run(f"UPDATE {sales.relation} SET _deleted_at = NULL WHERE id = 3")
    assert sales.update().updated == 1
    sales.assert_same()


def test_as_many_deletes_as_inserts_are_both_seen(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.run(f"DELETE FROM {sales.relation} WHERE id <= 5")
    sales.insert(11, 15)
    done = sales.update()
    assert (done.inserted, done.deleted, done.rows) == (5, 5, 10)
    sales.assert_same()


def test_appended_rows_have_file_and_row_as_key(make_sales: MakeSales) -> None:
    sales = make_sales(key=("_file_id", "_source_row"))
    sales.insert(1, 5, file_id=1)
    sales.update()
    sales.insert(1, 5, file_id=2)
    assert sales.update().inserted == 5
    assert sales.rows() == 10
    sales.run(f"DELETE FROM {sales.relation} WHERE _file_id = 1")  # the file was removed
    assert sales.update().deleted == 5


def test_new_column_is_added_and_history_keeps_the_old_form(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    before = sales.snapshots()
    sales.run(f"ALTER TABLE {sales.relation} ADD COLUMN note text")
    sales.run(f"UPDATE {sales.relation} SET note = 'x' WHERE id = 1")
    done = sales.update()
    assert (done.updated, done.is_rebuilt) == (1, False)
    sales.assert_same()
    assert sales.rows(f"AT (VERSION => {before})") == 10


@pytest.mark.parametrize(
    "change",
    [
        "ADD COLUMN note text DEFAULT 'x'",
        "RENAME COLUMN region TO area",
        "ALTER COLUMN amount TYPE numeric(20,6)",
        "DROP COLUMN local_at",
    ],
)
def test_changed_columns_rebuild_the_table(sales: Sales, change: str) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.run(f"ALTER TABLE {sales.relation} {change}")
    assert sales.update().is_rebuilt
    sales.assert_same()


def test_table_that_was_created_again_is_compared_in_full(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.run(f"DROP TABLE {sales.relation}")
    sales.__post_init__()
    sales.insert(5, 12)
    done = sales.update()
    assert (done.is_full, done.rows) == (True, 8)
    sales.assert_same()


def test_restored_older_state_of_the_server_is_compared_in_full(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.engine.execute(
        "UPDATE lake.meta.progress SET began_before = began_before + 1000, ended_before = ended_before + 1000 "
        f"WHERE table_name = '{sales.name}'"
    )
    sales.run(f"UPDATE {sales.relation} SET amount = 1 WHERE id = 4")
    done = sales.update()
    assert (done.is_full, done.updated) == (True, 1)
    sales.assert_same()


def test_rows_missing_in_the_lake_come_back(sales: Sales) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.engine.execute(f"DELETE FROM lake.{sales.relation} WHERE id < 4")
    assert sales.update().inserted == 3
    sales.assert_same()


def test_rows_that_are_in_the_lake_twice_are_removed(sales: Sales) -> None:
    sales.insert(1, 20)
    sales.update()
    sales.engine.execute(f"INSERT INTO lake.{sales.relation} SELECT * FROM lake.{sales.relation} WHERE id < 3")
    assert sales.update().is_rebuilt
    sales.assert_same()


def test_snapshot_names_run_and_files_and_shows_the_past(sales: Sales) -> None:
    sales.insert(1, 10, file_id=7)
    sales.update(run_id="scheduled__1")
    past = sales.snapshots()
    sales.insert(11, 12, file_id=8)
    sales.update(run_id="scheduled__2")
    author, details = sales.engine.execute(
        "SELECT author, commit_extra_info FROM lake.snapshots() ORDER BY snapshot_id DESC LIMIT 1"
    ).fetchall()[0]
    assert author == "update_lake"
    details = json.loads(details)
    assert (details["run_id"], details["file_ids"], details["inserted"]) == ("scheduled__2", [8], 2)
    assert (sales.rows(f"AT (VERSION => {past})"), sales.rows()) == (10, 12)


def test_partitioned_table_has_a_file_per_partition(make_sales: MakeSales) -> None:
    sales = make_sales(partition_by=("region",))
    sales.insert(1, 30)
    sales.update()
    files = sales.engine.execute(f"SELECT data_file FROM ducklake_list_files('lake', '{sales.name}', schema => 'raw')")
    assert {part for (name,) in files.fetchall() for part in name.split("/") if "=" in part} == {
        "region=r0", "region=r1", "region=r2",
    }  # fmt: skip
    sales.insert(31, 40)
    sales.update()
    sales.assert_same()


def test_table_partitioned_by_parts_of_a_time_has_a_file_per_month(make_sales: MakeSales) -> None:
    sales = make_sales(partition_by=("year(seen_at)", "month(seen_at)"))
    sales.insert(1, 30)
    sales.run(f"UPDATE {sales.relation} SET seen_at = make_timestamptz(2025, id::int % 3 + 1, 1, 0, 0, 0, 'UTC')")
    sales.update()
    files = sales.engine.execute(f"SELECT data_file FROM ducklake_list_files('lake', '{sales.name}', schema => 'raw')")
    folders = {"/".join(part for part in name.split("/") if "=" in part) for (name,) in files.fetchall()}
    assert folders == {f"year=2025/month={month}" for month in (1, 2, 3)}
    sales.run(f"UPDATE {sales.relation} SET seen_at = seen_at + interval '1 year'")
    assert sales.update().updated == 30
    sales.assert_same()


def test_update_of_a_locked_table_is_refused_and_can_be_repeated(sales: Sales) -> None:
    sales.insert(1, 3)
    sales.update()
    ingest = sales.platform.warehouse_config("ingest")
    with direct(ingest) as other, other.transaction():
        other.execute("SELECT FROM ops.work_lock WHERE name = %s FOR UPDATE", [f"lake:raw.{sales.name}"])
        with pytest.raises(RetryableError) as refused:
            TableUpdater(sales.engine, ingest.model_copy(update={"lock_timeout": 1})).update(sales.table)
    assert refused.value.code == Code.TARGET_LOCKED
    sales.update()


def test_conflicting_writer_makes_the_update_start_again(sales: Sales, platform: Platform) -> None:
    sales.insert(1, 10)
    sales.update()
    sales.run(f"UPDATE {sales.relation} SET amount = 5 WHERE id < 5")
    disturbed = _Disturbed(sales.engine, f"UPDATE lake.{sales.relation} SET region = 'foreign' WHERE id < 3")
    done = TableUpdater(disturbed, platform.warehouse_config("ingest")).update(sales.table)  # type: ignore[arg-type]
    assert disturbed.count == 2
    assert done.updated == 4
    sales.assert_same()


class _Disturbed:
    """DuckDB, where another session commits a change right before the first commit."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, change: str) -> None:
        self._engine, self._change, self.count = engine, change, 0

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            self.count += 1
            if self.count == 1:
                with self._engine.cursor() as other:
                    other.execute(self._change)
        return self._engine.execute(sql, *values)


def test_missing_table_is_a_permanent_error(sales: Sales) -> None:
    sales.run(f"DROP TABLE {sales.relation}")
    with pytest.raises(PermanentError, match="There is no table"):
        sales.update()


def test_table_rewritten_after_the_snapshot_is_not_taken_for_empty(sales: Sales) -> None:
    """A rewrite by ALTER is visible at once, its rows are not: the snapshot of an older transaction sees none."""
    sales.insert(1, 10)
    sales.update()
    rewriting = _Rewriting(sales)
    TableUpdater(rewriting, sales.platform.warehouse_config("ingest")).update(sales.table)  # type: ignore[arg-type]
    assert rewriting.began == 2
    sales.assert_same()


class _Rewriting:
    """DuckDB, where the table is rewritten right after the first transaction has its snapshot of the warehouse."""

    def __init__(self, sales: Sales) -> None:
        self._sales, self.began = sales, 0

    def execute(self, sql: str, *values: Any) -> Any:
        answer = self._sales.engine.execute(sql, *values)
        if sql == "BEGIN":
            self.began += 1
            if self.began == 1:
                self._sales.engine.execute("FROM postgres_query('warehouse', 'SELECT pg_current_snapshot()::text')")
                self._sales.run(f"ALTER TABLE {self._sales.relation} ALTER COLUMN amount TYPE numeric(24,6)")
        return answer
