"""The news that DAGs tell each other."""

from __future__ import annotations

from airflow.sdk import Asset


def rows_of(dataset: str) -> Asset:
    """The news that a dataset's table has new rows."""
    return Asset(name=f"raw.{dataset}", uri=f"postgres://warehouse/warehouse/raw/{dataset}", group="raw")


def marts() -> Asset:
    """The news that the models of schema analytics were built."""
    return Asset(name="analytics.marts", uri="postgres://warehouse/warehouse/analytics/marts", group="analytics")


def features() -> Asset:
    """The news that analytics.ml_features was built with commits that came since."""
    return Asset(
        name="analytics.ml_features", uri="postgres://warehouse/warehouse/analytics/ml_features", group="analytics"
    )
