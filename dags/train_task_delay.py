"""Train the model that says whether a task will miss its deadline, and promote it if it beats the champion.

**Purpose**: keep `models:/task_delay@champion` pointing at the best model so far.

**Trigger**: an event of the asset `features.online`, and every day.

**Reads**: for each task its first row of `features.tasks` before its deadline, if that has passed: its features by
Feast's point-in-time join, and whether it was done in time from `raw.tasks`; the newest `features.parameters`; the
champion.

**Writes**: a run in MLflow's experiment `task-delay`; a version of the registered model `task_delay`, which keeps the
version of the parameters. If it scores higher than the champion on tasks that neither was trained on, it gets the alias
`champion`, and an event of the asset `models.task_delay` is created.

**On failure**: MLflow or the warehouse did not respond through all retries or refused, or Feast failed; the log says
which. A skipped run is not a failure: Feast is not installed, there are too few tasks, there is no new data, or the
champion is kept. The task log gives the reason.

**How to rerun**: trigger the DAG, or clear the failed task. The same data with the same settings is not trained on
twice.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import START, background_args
from include.orchestration.scheduling import online_features
from include.orchestration.train_delay import check_delay_examples, promote_delay_model, train_delay_model


@dag(
    schedule=AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(timedelta(days=1)), assets=[online_features()]),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=background_args(),
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["models", "mlflow", "features"],
)
def train_task_delay() -> None:
    """Count the examples, train the model, compare it with the champion."""
    trained = train_delay_model()
    check_delay_examples() >> trained
    promote_delay_model(trained)  # type: ignore[arg-type]


train_task_delay()
