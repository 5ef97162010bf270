"""Train the model that tells merges from other commits, and put it to use if it is better.

**Purpose**: `models:/commit-classifier@champion` is the best model so far of whether a commit is a merge.

**Trigger**: an event of the asset `analytics.ml_features`: commits that came since, with their features. A run
starts every 5 minutes as well, and ends after its first task unless features came while this DAG was paused.

**Reads**: `analytics.ml_features`, as the role `transform`; the champion.

**Writes**: a run in MLflow's experiment `commit-analysis`: parameters, metrics, pictures, the model. A version of
`commit-classifier`. The alias `champion`, if the new model beats the old one on commits that neither was trained on;
then the asset `models.commit-classifier` has news. The decision and its numbers are tags of the run.

**When it fails**: MLflow or the warehouse did not answer through all retries, or refuse: the log says which. A skipped
run is no failure: there are too few commits, nothing is new, or the champion stays; the task's log says which.

**How to rerun**: trigger it, or clear the failed task. The same data with the same settings is not trained on twice;
but if there is no champion any more (alias, version or model were deleted), or it is refused (a pickle, no valid
signature), the model of the earlier run is compared and registered again. To put another version to use by hand, move
the alias in MLflow: to a version that this DAG has registered, since others are refused.
"""

from airflow.sdk import dag

from include.orchestration.alerts import tell_of_failed_run
from include.orchestration.assets import features
from include.orchestration.catch_up import events_or_clock
from include.orchestration.defaults import START, background_args
from include.orchestration.train import check_examples, promote_model, train_model


@dag(
    schedule=events_or_clock([features()]),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=background_args(),
    on_failure_callback=tell_of_failed_run,
    doc_md=__doc__,
    tags=["models", "mlflow"],
)
def train_commit_model() -> None:
    """Count, train, compare."""
    trained = train_model()
    check_examples() >> trained
    promote_model(trained)  # type: ignore[arg-type]


train_commit_model()
