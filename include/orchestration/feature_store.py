"""What the DAG `materialize_features` needs around Feast: the check before it, and the environment of its process."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import in_stage
from include.feature_store import environment
from include.orchestration.defaults import lower_priority, no_retry_of_permanent_errors
from include.orchestration.features import feature_catalog
from include.orchestration.scheduling import online_features


@task
def find_new_features() -> list[dict[str, str]]:
    """Return the views whose online values are out of date; skip if there is none, or if Feast is not installed."""
    from include.feature_store.changes import changes
    from include.orchestration.stores import feature_store_config

    if (complaint := environment.complaint()) is not None:
        raise AirflowSkipException(complaint)
    with no_retry_of_permanent_errors(), in_stage("features"):
        found = changes(feature_store_config(), feature_catalog().views.values())
    if not found.built:
        raise AirflowSkipException("No features were built yet: the DAG build_features builds them.")
    if not found.due:
        raise AirflowSkipException("The online store has every row of the tables of features.")
    return [one.arguments() for one in found.due]


def prepare_feast(context: Any) -> None:
    """Write Feast's repository on this machine, and give the process its login and nothing else of the environment."""
    from include.feature_store.calls import prepare, process_variables
    from include.feature_store.changes import built_views
    from include.orchestration.stores import feature_store_config

    lower_priority(context)
    config = feature_store_config()
    with no_retry_of_permanent_errors(), in_stage("features"):
        folder = prepare(built_views(config, feature_catalog().views.values()))
    context["task"].env_vars = process_variables(config) | {"FEAST_REPOSITORY": str(folder)}


@task.external_python(
    python=str(environment.python()),
    expect_airflow=False,
    inherit_env=False,
    pre_execute=prepare_feast,
    outlets=[online_features()],
)
def materialize(due: list[dict[str, str]]) -> dict[str, int]:
    """Fill the online store, in Feast's own virtualenv: of this module the process has only this function."""
    import os

    from include.feature_store.feast_process import materialize as fill

    return fill(os.environ["FEAST_REPOSITORY"], due)
