"""The dbt project as Airflow tasks: one per model with its tests, and the tasks before and after the models.

What belongs here: rendering the project as tasks, and the error of a failed task. What does not: the models, which are
in dbt/. Cosmos is imported when the DAG is built, because it is too heavy for other DAG files that import this module.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import Code, PermanentError, in_stage
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.scheduling import (
    build_started,
    features,
    is_by_clock,
    last_extra,
    live_build_started,
    live_marts,
    marts,
)
from include.orchestration.stores import WAREHOUSE_TRANSFORM
from include.settings import DBT_PROJECT, dbt_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Asset, TaskGroup

    from include.contracts.model import Contract
    from include.settings import WarehouseConfig

log = logging.getLogger(__name__)

STAGE = "transform"

# dbt-postgres has no option for these. A reader in an open transaction blocks a model, and a model that waits for its
# lock blocks all later readers. The Makefile sets the same options for manual dbt commands.
SESSION_OPTIONS = "-c lock_timeout=30s -c statement_timeout=3600s"
# Maximum run time of one model with its tests, or of another task of the DAG.
LONGEST_TASK = timedelta(hours=2)
# Their models have this tag in dbt_project.yml. They are built every few minutes, the others as rarely as they change.
LIVE_MODELS = "tag:live"
LIVE_DATASETS = ("crypto_prices", "weather", "github_events")


def build_models(group_id: str = "models") -> tuple[TaskGroup, Any]:
    """Create one task per model, which builds it and runs its tests, in dependency order.

    The tasks are read from the manifest, without the warehouse and without running dbt.

    Returns:
        The task group, and the task of the model `ml_features`.

    Raises:
        PermanentError: there is no manifest.
    """
    group = _models(group_id, exclude=[LIVE_MODELS])
    return group, group.tasks_map["model.filegate.ml_features"]


def build_live_marts(group_id: str = "models") -> TaskGroup:
    """Create one task per model of the live sources, as `build_models` does for the others.

    Raises:
        PermanentError: there is no manifest.
    """
    group: TaskGroup = _models(group_id, select=[LIVE_MODELS])
    return group


def _models(group_id: str, **selection: list[str]) -> Any:
    manifest = dbt_manifest()
    if not manifest.is_file():
        raise PermanentError(
            Code.TRANSFORMATION_FAILED,
            f"The dbt manifest {manifest} is missing. Create it with: python -m local.services.dbt_manifest",
        ).with_stage(STAGE)
    with _quiet_parse():
        return _task_group(group_id, manifest, selection)


@contextmanager
def _quiet_parse() -> Iterator[None]:
    """Silence Cosmos, which logs ten lines per parse and a warning about OpenLineage; keep its other warnings."""
    levels = {"cosmos": logging.WARNING, "cosmos.operators.local": logging.ERROR}
    before = {name: logging.getLogger(name).level for name in levels}
    try:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _task_group(group_id: str, manifest: Path, selection: Mapping[str, list[str]]) -> Any:
    from cosmos.airflow.task_group import DbtTaskGroup
    from cosmos.config import ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
    from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior, TestIndirectSelection
    from cosmos.profiles.postgres.user_pass import PostgresUserPasswordProfileMapping

    return DbtTaskGroup(
        group_id=group_id,
        prefix_group_id=False,
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT,
            manifest_path=manifest,
            install_dbt_deps=False,
            env_vars={
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "DBT_USE_COLORS": "false",
                "PGOPTIONS": SESSION_OPTIONS,
                # Unit tests check the SQL of a model, which does not change between runs.
                "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
            },
        ),
        profile_config=ProfileConfig(
            profile_name="filegate",
            target_name="warehouse",
            profile_mapping=PostgresUserPasswordProfileMapping(
                conn_id=WAREHOUSE_TRANSFORM, profile_args={"schema": "analytics", "threads": 1, "connect_timeout": 10}
            ),
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.DBT_RUNNER,
            # A test of several models runs with the last of them, after all are built.
            test_indirect_selection=TestIndirectSelection.BUILDABLE,
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD,
            emit_datasets=False,
            normalize_task_id=_task_id,
            **selection,
        ),
        operator_args={"callback": report_failed_tests},
    )


def _task_id(node: Any) -> str:
    return str(node.name)


def report_failed_tests(project_dir: str, context: Any) -> None:  # noqa: ARG001 - Cosmos passes both
    """Log, for each failed dbt test, the query that shows its rows. Cosmos calls this after each dbt run.

    Args:
        project_dir: the copy of the project in which dbt ran.
        context: context of the task.

    Raises:
        AirflowFailException: a test failed. The same rows would fail it again, so there is no retry.
    """
    results = Path(project_dir) / "target" / "run_results.json"
    if not results.is_file():
        return  # dbt stopped earlier, and Cosmos raises its error
    failed = [result for result in json.loads(results.read_text())["results"] if result["status"] == "fail"]
    for result in failed:
        log.error(
            "The dbt test %s found %s. Run this query as role `reader` to see the rows:\n%s",
            _test_name(result),
            _row_count(result),
            (result.get("compiled_code") or "").strip(),
        )
    if failed:
        found = "; ".join(f"{_test_name(result)} found {_row_count(result)}" for result in failed)
        with no_retry_of_permanent_errors(), in_stage(STAGE):
            raise PermanentError(
                Code.TRANSFORMATION_FAILED,
                f"dbt tests failed: {found}. Models that depend on this one are not built. The queries are in the log.",
            )


def _test_name(result: dict[str, Any]) -> str:
    """Return the name in `test.filegate.<name>.<checksum>`; a singular test has no checksum."""
    return str(result["unique_id"]).split(".")[2]


def _row_count(result: dict[str, Any]) -> str:
    count = result.get("failures")
    return "1 row" if count == 1 else f"{count} rows"


@task.short_circuit(inlets=[build_started()])
def find_new_rows() -> dict[str, Any]:
    """Check for loads since the last build; a run started by the time schedule ends here if nothing was loaded.

    Returns:
        The result of `loaded_files`; an empty dict ends the run and skips all downstream tasks.
    """
    from include.orchestration.stores import warehouse_transform_config

    with no_retry_of_permanent_errors(), in_stage(STAGE):
        loaded = loaded_files(warehouse_transform_config())
    return _new_loads(loaded, build_started())


@task.short_circuit(inlets=[live_build_started()])
def find_new_live_rows() -> dict[str, Any]:
    """As `find_new_rows`, for the datasets of the live sources.

    Returns:
        The result of `loaded_files`; an empty dict ends the run and skips all downstream tasks.
    """
    from include.orchestration.stores import warehouse_transform_config

    with no_retry_of_permanent_errors(), in_stage(STAGE):
        loaded = loaded_files(warehouse_transform_config(), LIVE_DATASETS)
    return _new_loads(loaded, live_build_started())


def _new_loads(loaded: dict[str, Any], started: Asset) -> dict[str, Any]:
    context: Any = get_current_context()
    if is_by_clock(context) and (not loaded["loads"] or loaded == last_extra(context, started)):
        log.info("Nothing was loaded since the last build started: %s loads.", f"{loaded['loads']:,}")
        return {}
    return loaded


@task(outlets=[build_started()])
def prepare_tables(loaded: dict[str, Any]) -> list[str]:
    """Store which loads the build includes, and create missing raw tables, empty.

    Existing tables get the new columns of their contract, as the next load would add them. Their rows and other columns
    do not change.

    Args:
        loaded: result of `find_new_rows`.
    """
    from include.orchestration.catalog import sound_contracts

    return _prepare(sound_contracts(), loaded, build_started())


@task(outlets=[live_build_started()])
def prepare_live_tables(loaded: dict[str, Any]) -> list[str]:
    """As `prepare_tables`, for the datasets of the live sources.

    Args:
        loaded: result of `find_new_live_rows`.
    """
    from include.orchestration.catalog import sound_contracts

    contracts = [contract for contract in sound_contracts() if contract.dataset in LIVE_DATASETS]
    return _prepare(contracts, loaded, live_build_started())


def _prepare(contracts: Sequence[Contract], loaded: dict[str, Any], started: Asset) -> list[str]:
    from include.ingestion.target import Target
    from include.orchestration.stores import connected_stores
    from include.stores.warehouse import warehouse_errors

    get_current_context()["outlet_events"][started].extra.update(loaded)
    with no_retry_of_permanent_errors(), in_stage(STAGE), connected_stores() as stores, warehouse_errors():
        for contract in contracts:
            Target(contract, file_id=0, attempt=0).ensure(stores.connection)
    return [contract.dataset for contract in contracts]


@task(outlets=[marts()])
def announce_models() -> None:
    """Create the asset event of the models, through the outlet of this task."""


@task(outlets=[live_marts()])
def announce_live_marts() -> None:
    """Create the asset event of the live marts, through the outlet of this task."""


@task(inlets=[features()], outlets=[features()])
def announce_features() -> None:
    """Create the asset event of the features if commits are new since its last event, or a user triggered the run.

    The staged rows decide, not the asset events that started this run: Airflow does not repeat the events of a failed
    run. The event's `extra` holds the state of the staged rows. Airflow stores event and state together when this task
    succeeds.
    """
    from include.orchestration.stores import warehouse_transform_config

    context: Any = get_current_context()
    with no_retry_of_permanent_errors(), in_stage(STAGE):
        staged = staged_commits(warehouse_transform_config())
    is_manual = not context["triggering_asset_events"] and not is_by_clock(context)
    if not is_manual and not has_new_rows(staged, last_extra(context, features())):
        raise AirflowSkipException(f"No new commits: {staged['commits']:,} are staged, as at the last asset event.")
    context["outlet_events"][features()].extra.update(staged)


def loaded_files(config: WarehouseConfig, datasets: Sequence[str] = ()) -> dict[str, Any]:
    """Return the number of loaded files and batches and the time of the newest: they differ after every load.

    Args:
        config: the warehouse, with a role that reads the ledger.
        datasets: of which loads; of all without any.

    Raises:
        RetryableError: the warehouse does not respond.
        PermanentError: it refuses.
    """
    from include.stores.sql_text import statement
    from include.stores.warehouse import connect, warehouse_errors

    with connect(config) as connection, warehouse_errors():
        if datasets:
            found = connection.execute(statement("loaded_live_files"), {"datasets": list(datasets)}).fetchone()
        else:
            found = connection.execute(statement("loaded_files")).fetchone()
    loads, newest = found or (0, None)
    return {"loads": loads, "newest": newest.isoformat() if newest else None}


def staged_commits(config: WarehouseConfig) -> dict[str, Any]:
    """Return the number of staged commits, the load time of the newest, and a version that differs when any row does.

    Args:
        config: the warehouse, with a role that reads staging.

    Raises:
        RetryableError: the warehouse does not respond.
        PermanentError: it refuses.
    """
    from include.stores.sql_text import statement
    from include.stores.warehouse import connect, warehouse_errors

    with connect(config) as connection, warehouse_errors():
        commits, newest, version = connection.execute(statement("staged_commits")).fetchone() or (0, None, 0)
    return {"commits": commits, "newest": newest.isoformat() if newest else None, "version": str(version)}


def has_new_rows(staged: Mapping[str, Any], announced: Mapping[str, Any] | None) -> bool:
    """Return whether there are staged commits that differ from those of the last asset event.

    Args:
        staged: result of `staged_commits`.
        announced: its result at the last asset event; None if there was no event.
    """
    return bool(staged["commits"]) and staged["version"] != (announced or {}).get("version")
