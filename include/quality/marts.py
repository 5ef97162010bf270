"""What is asked of the tables that the transformations make.

What belongs here: one line a table. What does not: their own tests, which stand beside the models and run with them; a
look at the finished tables finds what was changed, lost or left empty since.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.contracts.model import Severity
from include.quality.records import Check

SCHEMA = "analytics"


@dataclass(frozen=True)
class Mart:
    """A table of analytics: its key, and the dataset it is made of, or none. An empty source excuses an empty table."""

    table: str
    key: tuple[str, ...]
    source: str | None = None


MARTS = (
    Mart("daily_sales", ("sale_date",), "sales"),
    Mart("top_customers", ("customer_id",), "sales"),
    Mart("category_performance", ("category", "sale_month"), "sales"),
    Mart("transactions_by_category", ("category", "booked_hour"), "transactions"),
    Mart("commit_metrics", ("repository", "author"), "commits"),
    Mart("ml_features", ("sha",), "commits"),
    Mart("ingestion_health", ("dataset", "claimed_on")),
)


def plan_of_mart(mart: Mart, present: tuple[str, ...]) -> list[Check]:
    """Rows, and each of them once. A key whose columns the table does not have is not asked for."""
    full = f"{SCHEMA}.{mart.table}"
    rows = Check(
        "expect_table_row_count_to_be_between",
        (("min_value", 1),),
        Severity.CRITICAL,
        f"{full} is empty though its source is not: run the DAG transform_warehouse",
    )
    if not set(mart.key) <= set(present):
        return [rows]
    names = ", ".join(mart.key)
    arguments: tuple[tuple[str, object], ...] = (("column_list", list(mart.key)),)
    kind = "expect_compound_columns_to_be_unique"
    if len(mart.key) == 1:
        kind, arguments = "expect_column_values_to_be_unique", (("column", mart.key[0]),)
    remedy = f"SELECT {names}, count(*) FROM {full} GROUP BY {names} HAVING count(*) > 1"
    return [rows, Check(kind, arguments, Severity.CRITICAL, remedy)]
