"""The tasks of the DAG that builds features, and the views that it builds."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import in_stage
from include.features.reader import read_features
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import FEATURES_DIR

if TYPE_CHECKING:
    from include.features.reader import FeatureCatalog


@lru_cache(maxsize=1)
def feature_catalog() -> FeatureCatalog:
    """Read all views.

    Raises:
        FeatureError: features/shared.yaml cannot be used.
    """
    return read_features(FEATURES_DIR)


def feature_views() -> list[str]:
    """Return the names of all views, sorted. A broken one has a task, too: it fails with the problems."""
    found = feature_catalog()
    return sorted({*found.views, *(error.stem for error in found.broken)})


def feature_datasets() -> list[str]:
    """Return the datasets that the views read, sorted."""
    return sorted({name for view in feature_catalog().views.values() for name in view.sources})


@task
def build_view(name: str) -> dict[str, int]:
    """Bring the table of a view up to date; skip, without an asset event, if nothing changed.

    Args:
        name: of the view.
    """
    from include.features.build import build
    from include.orchestration.stores import warehouse_transform_config
    from include.stores.warehouse import connect, warehouse_errors

    found = feature_catalog()
    with no_retry_of_permanent_errors(), in_stage("features"):
        for error in found.broken:
            if error.stem == name:
                raise error
        with connect(warehouse_transform_config()) as connection, warehouse_errors():
            done = build(connection, found.views[name])
    if done.missing:
        tables = ", ".join(f"raw.{dataset}" for dataset in done.missing)
        raise AirflowSkipException(f"No file of {tables} was loaded yet.")
    if not done.times:
        raise AirflowSkipException("No row has changed since the last build, and there is no new midnight.")
    return {"times": done.times, "rows": done.rows}
