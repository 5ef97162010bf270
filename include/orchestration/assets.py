"""The news that DAGs tell each other."""

from __future__ import annotations

from airflow.sdk import Asset


def rows_of(dataset: str) -> Asset:
    """The news that a dataset's table has new rows."""
    return Asset(name=f"raw.{dataset}", uri=f"postgres://warehouse/warehouse/raw/{dataset}", group="raw")
