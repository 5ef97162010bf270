"""The tasks of the DAG that trains the commit model."""

from __future__ import annotations

from airflow.sdk import Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.orchestration.assets import features, training_started
from include.orchestration.catch_up import is_by_clock, last_extra
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import training_settings

# Under this name `promote_model` leaves what was decided, also when it is skipped.
PROMOTION = "promotion"


def champion_model() -> Asset:
    """The news that another version of the commit model is in use."""
    return Asset(name="models.commit-classifier", uri="mlflow://models/commit-classifier", group="models")


@task(inlets=[features(), training_started()], outlets=[training_started()])
def check_examples() -> dict[str, int]:
    """Count the commits there are to learn from; too few skip the run, for more will come.

    A run that the clock has started ends here, too, unless features were announced since the last training began.
    """
    from include.ml.examples import count
    from include.orchestration.stores import warehouse_transform_config

    context = get_current_context()
    announced = last_extra(context, features()).get("version")
    if is_by_clock(context) and announced in {None, last_extra(context, training_started()).get("version")}:
        raise AirflowSkipException("No features were announced since the last training began.")
    context["outlet_events"][training_started()].extra.update({"version": announced})
    with no_retry_of_permanent_errors():
        found = count(warehouse_transform_config())
    if complaint := found.complaint(training_settings()):
        raise AirflowSkipException(complaint)
    return {"commits": found.rows, "merges": found.merges, "commits_without_text": found.without_text}


@task
def train_model() -> dict[str, str]:
    """Train and write the run down in MLflow; skip what follows if the same was trained on and decided before."""
    from include.ml.champion import train_model as train
    from include.orchestration.stores import warehouse_transform_config

    with no_retry_of_permanent_errors():
        trained = train(warehouse_transform_config(), training_settings())
    if trained.decided:
        raise AirflowSkipException(
            f"There is nothing new to train on: run {trained.run_id} had the same, and there is a champion."
        )
    return {"run_id": trained.run_id}


@task(outlets=[champion_model()])
def promote_model(trained: dict[str, str]) -> None:
    """Register the model and compare it with the champion; succeed, and tell who waits, only if it takes its place."""
    from dataclasses import asdict

    from include.ml.champion import promote_model as promote
    from include.orchestration.stores import warehouse_transform_config

    with no_retry_of_permanent_errors():
        decided = promote(trained["run_id"], warehouse_transform_config(), training_settings())
    get_current_context()["ti"].xcom_push(PROMOTION, asdict(decided))
    if not decided.moved:
        raise AirflowSkipException(f"The champion stays. {decided.reason}")
