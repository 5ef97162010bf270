"""The assets by which one DAG starts another."""

from __future__ import annotations

from airflow.sdk import Asset


def rows_of(dataset: str) -> Asset:
    """Return the asset whose events say that the raw table of a dataset has new rows."""
    return Asset(name=f"raw.{dataset}", uri=f"postgres://warehouse/warehouse/raw/{dataset}", group="raw")


def build_started() -> Asset:
    """Return the asset whose events say that a dbt build started; `extra` identifies the loads it includes."""
    return Asset(name="analytics.build", uri="postgres://warehouse/warehouse/analytics/build", group="analytics")


def training_started() -> Asset:
    """Return the asset whose events say that a training started; `extra` identifies the features it uses."""
    return Asset(name="models.training", uri="mlflow://models/training", group="models")


def marts() -> Asset:
    """Return the asset whose events say that the models of schema analytics were built."""
    return Asset(name="analytics.marts", uri="postgres://warehouse/warehouse/analytics/marts", group="analytics")


def features() -> Asset:
    """Return the asset whose events say that analytics.ml_features was built with new commits."""
    return Asset(
        name="analytics.ml_features", uri="postgres://warehouse/warehouse/analytics/ml_features", group="analytics"
    )
