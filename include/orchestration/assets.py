"""The news that DAGs tell each other."""

from __future__ import annotations

from airflow.sdk import Asset


def rows_of(dataset: str) -> Asset:
    """The news that a dataset's table has new rows."""
    return Asset(name=f"raw.{dataset}", uri=f"postgres://warehouse/warehouse/raw/{dataset}", group="raw")


def build_started() -> Asset:
    """A build of the models began; its extra says of which loads."""
    return Asset(name="analytics.build", uri="postgres://warehouse/warehouse/analytics/build", group="analytics")


def training_started() -> Asset:
    """A training of the commit model began; its extra says of which features."""
    return Asset(name="models.training", uri="mlflow://models/training", group="models")


def marts() -> Asset:
    """The news that the models of schema analytics were built."""
    return Asset(name="analytics.marts", uri="postgres://warehouse/warehouse/analytics/marts", group="analytics")


def features() -> Asset:
    """The news that analytics.ml_features was built with commits that came since."""
    return Asset(
        name="analytics.ml_features", uri="postgres://warehouse/warehouse/analytics/ml_features", group="analytics"
    )
