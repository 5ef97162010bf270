"""The tasks of the DAG that trains the commit model."""

from __future__ import annotations

from airflow.sdk import Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import in_stage
from include.ml.model_file import MODEL
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.scheduling import features, is_by_clock, last_extra, training_started
from include.settings import training_settings

# XCom key under which `promote_model` stores its decision, also when it is skipped.
PROMOTION = "promotion"
_STAGE = "train"


def champion_model() -> Asset:
    """Return the asset whose events say that another version of the commit model is the champion."""
    return Asset(name=f"models.{MODEL}", uri=f"mlflow://models/{MODEL}", group="models")


@task(inlets=[features(), training_started()], outlets=[training_started()])
def check_examples() -> dict[str, int]:
    """Count the commits to train on, and skip the run if there are too few.

    A run started by the time schedule is also skipped unless features were built since the last training started.
    """
    from include.ml.examples import count
    from include.orchestration.stores import warehouse_transform_config

    context = get_current_context()
    announced = last_extra(context, features()).get("version")
    if is_by_clock(context) and announced in {None, last_extra(context, training_started()).get("version")}:
        raise AirflowSkipException("No features were built since the last training started.")
    context["outlet_events"][training_started()].extra.update({"version": announced})
    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        found = count(warehouse_transform_config())
    if complaint := found.complaint(training_settings()):
        raise AirflowSkipException(complaint)
    return {"commits": found.rows, "merges": found.merges, "commits_without_text": found.without_text}


@task
def train_model() -> dict[str, str]:
    """Train the model and log the run in MLflow; skip the next task if the same data was trained on and decided."""
    from include.ml.champion import train_model as train
    from include.orchestration.stores import warehouse_transform_config

    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        trained = train(warehouse_transform_config(), training_settings())
    if trained.decided:
        raise AirflowSkipException(
            f"There is no new data to train on: run {trained.run_id} used the same data, and there is a champion."
        )
    return {"run_id": trained.run_id}


@task(outlets=[champion_model()])
def promote_model(trained: dict[str, str]) -> None:
    """Register the model and compare it with the champion; skip the asset event unless it becomes the champion."""
    from dataclasses import asdict

    from include.ml.champion import promote_model as promote
    from include.orchestration.stores import warehouse_transform_config

    with no_retry_of_permanent_errors(), in_stage(_STAGE):
        decided = promote(trained["run_id"], warehouse_transform_config(), training_settings())
    get_current_context()["ti"].xcom_push(PROMOTION, asdict(decided))
    if not decided.moved:
        raise AirflowSkipException(f"The champion is kept. {decided.reason}")
