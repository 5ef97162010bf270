"""Train the model that classifies commits as merges, and promote it if it is better than the champion.

**Purpose**: keep `models:/commit-classifier@champion` pointing at the best model so far for the question whether a
commit is a merge.

**Trigger**: an event of the asset `analytics.ml_features`: features of new commits were built. A run also starts every
5 minutes; it ends after its first task unless features were built while this DAG was paused.

**Reads**: `analytics.ml_features`, as the role `transform`; the champion.

**Writes**: a run in MLflow's experiment `commit-analysis` with parameters, metrics, plots and the model; a version of
the registered model `commit-classifier`. If the new model scores higher than the champion on commits that neither was
trained on, it gets the alias `champion`, and an event of the asset `models.commit-classifier` is created. The decision
and its scores are tags of the MLflow run.

**On failure**: MLflow or the warehouse did not respond through all retries, or refused the request; the log says which.
A skipped run is not a failure: there are too few commits, there is no new data, or the champion is kept. The task log
gives the reason.

**How to rerun**: trigger the DAG, or clear the failed task. The same data with the same settings is not trained on
twice. If there is no usable champion any more (the alias, version or model was deleted, or the model is a pickle or has
no valid signature), the model of the earlier run is compared and registered again. To promote another version manually,
move the alias in MLflow to a version that this DAG has registered; other versions are refused.
"""

from airflow.sdk import dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import START, background_args
from include.orchestration.scheduling import events_or_clock, features
from include.orchestration.train import check_examples, promote_model, train_model


@dag(
    schedule=events_or_clock([features()]),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=background_args(),
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["models", "mlflow"],
)
def train_commit_model() -> None:
    """Count the examples, train the model, compare it with the champion."""
    trained = train_model()
    check_examples() >> trained
    promote_model(trained)  # type: ignore[arg-type]


train_commit_model()
