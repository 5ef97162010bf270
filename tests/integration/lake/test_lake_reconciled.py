"""Row counts of the lake against those of the warehouse, as check_quality compares them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from include.lake.row_counts import LakeRows, count_rows
from include.quality.lake import add_lake_results
from include.quality.records import CheckResult, TableReport
from include.quality.table_stats import TableStats
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from conftest import Sales

    from include.lake.config import LakeConfig

pytestmark = pytest.mark.integration


def reconciled(sales: Sales, lake: LakeConfig | None = None) -> CheckResult:
    """The result of the table; a report of a table that is not kept in the lake gets none."""
    other = TableReport("not_in_the_lake", datetime.now(UTC))
    report = TableReport(sales.name, datetime.now(UTC))
    with connect(sales.platform.warehouse_config("transform")) as connection:
        add_lake_results(
            [other, report], [sales.table], lake or sales.platform.lake_config(), TableStats(connection)
        )  # fmt: skip
    assert other.results == []
    [result] = report.results
    return result


def test_equal_tables_pass(sales: Sales) -> None:
    assert reconciled(sales).observed == "not in the lake yet"
    sales.insert(1, 20)
    sales.update()
    found = reconciled(sales)
    assert (found.success, found.observed) == (True, "20 rows in the lake, 20 in the warehouse")


@pytest.mark.parametrize(
    ("change", "observed"),
    [
        ("INSERT", "20 rows in the lake, 23 in the warehouse, 3 of them new or changed since the last update"),
        ("UPDATE", "20 rows in the lake, 20 in the warehouse, 4 of them new or changed since the last update"),
        ("DELETE", "20 rows in the lake, 15 in the warehouse, 0 of them new or changed since the last update"),
        ("DROP", "20 rows in the lake, 7 in the warehouse, 7 of them new or changed since the last update"),
    ],
)
def test_difference_that_later_changes_explain_passes(sales: Sales, change: str, observed: str) -> None:
    sales.insert(1, 20)
    sales.update()
    if change == "INSERT":
        sales.insert(21, 23)
    elif change == "UPDATE":
        sales.run(f"UPDATE {sales.relation} SET amount = 0 WHERE id < 5")
    elif change == "DELETE":
        sales.run(f"DELETE FROM {sales.relation} WHERE id <= 5")
    else:
        sales.run(f"DROP TABLE {sales.relation}")
        sales.__post_init__()
        sales.insert(1, 7)
    found = reconciled(sales)
    assert (found.success, found.observed) == (True, observed)


def test_rows_missing_or_added_in_the_lake_fail(sales: Sales) -> None:
    sales.insert(1, 20)
    sales.update()
    sales.engine.execute(f"DELETE FROM lake.{sales.relation} WHERE id < 4")
    sales.insert(21, 23)  # the loss is not balanced by new rows
    found = reconciled(sales)
    assert (found.success, found.severity) == (False, "critical")
    assert found.observed.endswith("which left 20 rows in the lake")
    sales.update(full=True)
    assert reconciled(sales).success
    sales.engine.execute(f"INSERT INTO lake.{sales.relation} SELECT * FROM lake.{sales.relation} WHERE id = 5")
    assert not reconciled(sales).success


def test_rows_that_an_update_missed_fail(sales: Sales) -> None:
    sales.insert(1, 20)
    sales.update()
    sales.insert(21, 23)
    # The progress says that rows were read which the lake does not have.
    sales.engine.execute(
        "UPDATE lake.meta.progress SET ended_before = ended_before + 1000000 "
        f"WHERE table_schema = 'raw' AND table_name = '{sales.name}'"
    )
    found = reconciled(sales)
    assert (found.success, found.observed) == (
        False, "20 rows in the lake, 23 in the warehouse, 0 of them new or changed since the last update"
    )  # fmt: skip


def test_dropped_tables_are_judged(sales: Sales) -> None:
    sales.insert(1, 20)
    sales.update()
    sales.engine.execute(f"DROP TABLE lake.{sales.relation}")
    assert not reconciled(sales).success
    sales.run(f"DROP TABLE {sales.relation}")
    assert reconciled(sales).observed == "not in the warehouse"


def test_lake_that_does_not_answer_is_a_warning(sales: Sales) -> None:
    lake = sales.platform.lake_config()
    down = lake.model_copy(update={"catalogue": lake.catalogue.model_copy(update={"port": 1})})
    found = reconciled(sales, down)
    assert (found.expectation, found.success, found.severity) == ("lake_is_readable", False, "warning")


def test_lake_without_tables_has_no_rows_yet(sales: Sales) -> None:
    """A reader that comes before the first update: its catalogue is empty."""
    lake = sales.platform.lake_config(writes=True)
    empty = lake.model_copy(update={"catalogue": sales.platform.warehouse_config("owner")})
    assert count_rows(empty, [sales.table]) == {sales.table.title: LakeRows(None, None)}
