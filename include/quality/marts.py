"""The checks of the tables that the transformations build.

What belongs here: one line per table. What does not: the dbt tests, which run with each model. These checks find rows
that were changed or deleted, and tables that are empty, after the build.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.contracts.model import Severity
from include.quality.records import TableCheck
from include.stores import sql_text

SCHEMA = "analytics"
STAGING_SCHEMA = "staging"


@dataclass(frozen=True)
class Mart:
    """A table of analytics: its key, and its source table with schema.

    It is compared with its source table, not with the loaded rows: rows loaded after the last run of the
    transformations are in neither. If the source is empty, an empty or missing table passes. `dag_id` builds it.
    """

    table: str
    key: tuple[str, ...]
    source: tuple[str, str]
    dag_id: str = "transform_warehouse"

    @property
    def dataset(self) -> str:
        """Return the dataset whose rows its source has."""
        return self.source[1].removeprefix("stg_")

    @property
    def shows_a_transformation(self) -> bool:
        """Return whether rows in the source prove that the transformations ran. The ledger has rows without them."""
        return self.source[0] == STAGING_SCHEMA


_LIVE = "update_live_marts"
MARTS = (
    Mart("daily_sales", ("sale_date",), (STAGING_SCHEMA, "stg_sales")),
    Mart("top_customers", ("customer_id",), (STAGING_SCHEMA, "stg_sales")),
    Mart("daily_customer_sales", ("customer_id", "sale_date"), (STAGING_SCHEMA, "stg_sales")),
    Mart("category_performance", ("category", "sale_month"), (STAGING_SCHEMA, "stg_sales")),
    Mart("transactions_by_category", ("category", "booked_hour"), (STAGING_SCHEMA, "stg_transactions")),
    Mart("commit_metrics", ("repository", "author"), (STAGING_SCHEMA, "stg_commits")),
    Mart("ml_features", ("sha",), (STAGING_SCHEMA, "stg_commits")),
    Mart(
        "crypto_price_summary", ("coin_id", "window_size", "window_start"), (STAGING_SCHEMA, "stg_crypto_prices"), _LIVE
    ),
    Mart("weather_analytics", ("city", "day"), (STAGING_SCHEMA, "stg_weather"), _LIVE),
    Mart("developer_insights", ("day", "actor_login"), (STAGING_SCHEMA, "stg_github_events"), _LIVE),
    Mart("repository_insights", ("day", "repository"), (STAGING_SCHEMA, "stg_github_events"), _LIVE),
    Mart("activity_by_hour", ("weekday", "hour"), (STAGING_SCHEMA, "stg_github_events"), _LIVE),
    Mart("ingestion_health", ("dataset", "claimed_on"), ("ops", "file_ingestion_log")),
)
LIVE_MARTS = tuple(mart for mart in MARTS if mart.dag_id == _LIVE)


def plan_of_mart(mart: Mart, present: tuple[str, ...]) -> list[TableCheck]:
    """Return the checks of a mart: it has rows, and its key is unique if the table has all key columns."""
    full = f"{SCHEMA}.{mart.table}"
    rows = TableCheck(
        "expect_table_row_count_to_be_between",
        (("min_value", 1),),
        Severity.CRITICAL,
        f"{full} is empty though {'.'.join(mart.source)} is not: run the DAG {mart.dag_id}",
    )
    if not set(mart.key) <= set(present):
        return [rows]
    names = sql_text.quoted_list(mart.key)
    arguments: tuple[tuple[str, object], ...] = (("column_list", list(mart.key)),)
    kind = "expect_compound_columns_to_be_unique"
    if len(mart.key) == 1:
        kind, arguments = "expect_column_values_to_be_unique", (("column", mart.key[0]),)
    remedy = f"SELECT {names}, count(*) FROM {sql_text.quoted(SCHEMA, mart.table)} GROUP BY {names} HAVING count(*) > 1"
    return [rows, TableCheck(kind, arguments, Severity.CRITICAL, remedy)]
