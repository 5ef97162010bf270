"""The tasks of the DAG that trains the model `task_delay`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import in_stage
from include.feature_store import environment
from include.ml.model_file import DELAY_MODEL
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.features import feature_catalog
from include.orchestration.train import PROMOTION
from include.settings import training_settings

if TYPE_CHECKING:
    from include.ml.delay_model import DelayExamples

_STAGE, _VIEW = "train", "tasks"


def delay_champion() -> Asset:
    """Return the asset whose events say that another version of `task_delay` is the champion."""
    return Asset(name=f"models.{DELAY_MODEL}", uri=f"mlflow://models/{DELAY_MODEL}", group="models")


@task
def check_delay_examples() -> dict[str, int]:
    """Count the tasks to train on; skip the run if there are too few, or if Feast is not installed."""
    from include.feature_store.changes import built_views
    from include.ml.delay_model import LABEL, too_few
    from include.orchestration.stores import feature_store_config

    if (complaint := environment.complaint()) is not None:
        raise AirflowSkipException(complaint)
    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        views = feature_catalog().views
        if _VIEW not in views or not built_views(feature_store_config(), [views[_VIEW]]):
            raise AirflowSkipException(f"features.{_VIEW} was not built yet: the DAG build_features builds it.")
        frame = _examples().labels()
    if complaint := too_few(frame, training_settings()):
        raise AirflowSkipException(complaint)
    return {"tasks": len(frame), "late": int(frame[LABEL].sum())}


@task
def train_delay_model() -> dict[str, str]:
    """Train the model and log the run in MLflow; skip the next task if the same data was trained on and decided."""
    from include.ml.champion import train

    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        trained = train(_examples(), training_settings())
    if trained.decided:
        raise AirflowSkipException(
            f"There is no new data to train on: run {trained.run_id} used the same data, and there is a champion."
        )
    return {"run_id": trained.run_id}


@task(outlets=[delay_champion()])
def promote_delay_model(trained: dict[str, str]) -> None:
    """Register the model and compare it with the champion; skip the asset event unless it becomes the champion."""
    from dataclasses import asdict

    from include.ml.champion import promote

    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        decided = promote(trained["run_id"], _examples(), training_settings())
    get_current_context()["ti"].xcom_push(PROMOTION, asdict(decided))
    if not decided.moved:
        raise AirflowSkipException(f"The champion is kept. {decided.reason}")


def _examples() -> DelayExamples:
    from include.ml.delay_model import delay_examples
    from include.orchestration.stores import feature_store_config, warehouse_transform_config

    return delay_examples(warehouse_transform_config(), feature_store_config(), feature_catalog().views[_VIEW])
