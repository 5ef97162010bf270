"""The dbt project as tasks: one for each model with its tests, and what has to happen before and after.

What belongs here: how the project is turned into tasks and what a failure of one says. What a model computes stands in
dbt/. Cosmos is imported when the DAG is built: it is too heavy for other DAG files that import this room.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import Code, PermanentError
from include.orchestration.assets import build_started, features, marts
from include.orchestration.catch_up import is_by_clock, last_extra
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.stores import WAREHOUSE_TRANSFORM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import TaskGroup

    from include.settings import WarehouseConfig

log = logging.getLogger(__name__)

STAGE = "transform"

# dbt-postgres has no option for these. Who reads in an open transaction holds a model up, and a model that waits for
# its lock holds up all later readers. The Makefile says the same to dbt by hand.
SESSION_OPTIONS = "-c lock_timeout=30s -c statement_timeout=3600s"
# Of one model and its tests, or of another task of the DAG.
LONGEST_TASK = timedelta(hours=2)

_REPOSITORY = Path(__file__).resolve().parents[2]
_PROJECT = _REPOSITORY / "dbt"


def manifest_path() -> Path:
    """Where the manifest is: what DBT_MANIFEST names, from the checkout if it is relative."""
    return _REPOSITORY / (os.environ.get("DBT_MANIFEST") or _PROJECT / "target" / "manifest.json")


def build_models(group_id: str = "models") -> tuple[TaskGroup, Any]:
    """A task for each model, which builds it and runs its tests, in the order in which they need each other.

    Nothing is asked of the warehouse here, and no dbt is run: the manifest says all.

    Returns:
        The tasks as a group, and the task of `ml_features`.

    Raises:
        PermanentError: there is no manifest.
    """
    manifest = manifest_path()
    if not manifest.is_file():
        raise PermanentError(
            STAGE,
            Code.TRANSFORMATION_FAILED,
            f"The dbt manifest {manifest} is missing. Make it with: python -m local.dbt_manifest",
        )
    with _quiet_parse():
        group = _task_group(group_id, manifest)
    return group, group.tasks_map["model.filegate.ml_features"]


@contextmanager
def _quiet_parse() -> Iterator[None]:
    """Cosmos tells every parse in ten lines, and that it misses OpenLineage; its other warnings come through."""
    levels = {"cosmos": logging.WARNING, "cosmos.operators.local": logging.ERROR}
    before = {name: logging.getLogger(name).level for name in levels}
    try:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _task_group(group_id: str, manifest: Path) -> Any:
    from cosmos.airflow.task_group import DbtTaskGroup
    from cosmos.config import ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
    from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior, TestIndirectSelection
    from cosmos.profiles.postgres.user_pass import PostgresUserPasswordProfileMapping

    return DbtTaskGroup(
        group_id=group_id,
        prefix_group_id=False,
        project_config=ProjectConfig(
            dbt_project_path=_PROJECT,
            manifest_path=manifest,
            install_dbt_deps=False,
            env_vars={
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "DBT_USE_COLORS": "false",
                "PGOPTIONS": SESSION_OPTIONS,
                # They show that a model's SQL is right: that does not change from run to run.
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
            # A test of several models runs with the last of them, not before that one is built.
            test_indirect_selection=TestIndirectSelection.BUILDABLE,
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD,
            emit_datasets=False,
            normalize_task_id=_task_id,
        ),
        operator_args={"callback": report_failed_tests},
    )


def _task_id(node: Any) -> str:
    return str(node.name)


def report_failed_tests(project_dir: str, context: Any) -> None:  # noqa: ARG001 - Cosmos gives both
    """Called after each dbt run: write the query that shows the rows a test has found into the task's log.

    Args:
        project_dir: the copy of the project in which dbt ran.
        context: the task's.

    Raises:
        AirflowFailException: a test has failed. The same rows would fail it again, so there is no retry.
    """
    results = Path(project_dir) / "target" / "run_results.json"
    if not results.is_file():
        return  # dbt did not come so far, and Cosmos raises what it said
    failed = [result for result in json.loads(results.read_text())["results"] if result["status"] == "fail"]
    for result in failed:
        log.error(
            "The dbt test %s found %s. The rows, to be seen as `reader`:\n%s",
            _named(result),
            _rows(result),
            (result.get("compiled_code") or "").strip(),
        )
    if failed:
        found = "; ".join(f"{_named(result)} found {_rows(result)}" for result in failed)
        with no_retry_of_permanent_errors():
            raise PermanentError(
                STAGE,
                Code.TRANSFORMATION_FAILED,
                f"dbt tests failed: {found}. What builds on the model is not built. The queries are in the log above.",
            )


def _named(result: dict[str, Any]) -> str:
    """`test.filegate.<name>.<checksum>`, or without a checksum for a test in a file of its own."""
    return str(result["unique_id"]).split(".")[2]


def _rows(result: dict[str, Any]) -> str:
    count = result.get("failures")
    return "1 row" if count == 1 else f"{count} rows"


@task.short_circuit(inlets=[build_started()])
def find_new_rows() -> dict[str, Any]:
    """Look what the raw tables hold; a run that the clock has started ends here if nothing was loaded.

    Returns:
        What `loaded_files` says; nothing if the run is to end, which skips all tasks behind this one.
    """
    from include.orchestration.stores import warehouse_transform_config

    context: Any = get_current_context()
    with no_retry_of_permanent_errors():
        loaded = loaded_files(warehouse_transform_config())
    if is_by_clock(context) and (not loaded["loads"] or loaded == last_extra(context, build_started())):
        log.info("Nothing was loaded since the last build began: %s loads.", f"{loaded['loads']:,}")
        return {}
    return loaded


@task(outlets=[build_started()])
def prepare_tables(loaded: dict[str, Any]) -> list[str]:
    """Note which loads the build takes in, and make the raw tables that no load has made yet, empty.

    Tables that are there get the columns that their contract has gained, as the next load would give them. Their rows
    and other columns stay as they are.

    Args:
        loaded: what `find_new_rows` has found.
    """
    from include.ingestion.target import Target
    from include.orchestration.catalog import sound_contracts
    from include.orchestration.stores import connected_stores
    from include.stores.warehouse import warehouse_errors

    contracts, context = sound_contracts(), get_current_context()
    context["outlet_events"][build_started()].extra.update(loaded)
    with no_retry_of_permanent_errors(), connected_stores() as stores, warehouse_errors(STAGE):
        for contract in contracts:
            Target(contract, file_id=0, attempt=0).ensure(stores.ledger.connection)
    return [contract.dataset for contract in contracts]


@task(outlets=[marts()])
def announce_models() -> None:
    """Tell who waits for the models."""


@task(inlets=[features()], outlets=[features()])
def announce_features() -> None:
    """Tell who waits for the commit model's features, if commits came since they were told, or somebody asked.

    What decides is what is staged, not the news that started this run: those of a run that failed are not told again.
    The news themselves carry what they tell of. Airflow keeps them if this task succeeds, so nothing can come between
    telling and noting.
    """
    from include.orchestration.stores import warehouse_transform_config

    context: Any = get_current_context()
    with no_retry_of_permanent_errors():
        staged = staged_commits(warehouse_transform_config())
    by_hand = not context["triggering_asset_events"] and not is_by_clock(context)
    if not by_hand and not is_news(staged, last_extra(context, features())):
        raise AirflowSkipException(f"No commits came: {staged['commits']:,} are staged, as they were told of.")
    context["outlet_events"][features()].extra.update(staged)


def loaded_files(config: WarehouseConfig) -> dict[str, Any]:
    """How many files and batches were loaded, and when the newest was: different after every load.

    Args:
        config: the warehouse, as a role that reads the ledger.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses.
    """
    from include.stores.warehouse import connect, statement, warehouse_errors

    with connect(config) as connection, warehouse_errors(STAGE):
        loads, newest = connection.execute(statement("loaded_files")).fetchone() or (0, None)
    return {"loads": loads, "newest": newest.isoformat() if newest else None}


def staged_commits(config: WarehouseConfig) -> dict[str, Any]:
    """How many commits are staged, when the newest was loaded, and a text that differs when any row does.

    Args:
        config: the warehouse, as a role that reads staging.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses.
    """
    from include.stores.warehouse import connect, statement, warehouse_errors

    with connect(config) as connection, warehouse_errors(STAGE):
        commits, newest, version = connection.execute(statement("staged_commits")).fetchone() or (0, None, 0)
    return {"commits": commits, "newest": newest.isoformat() if newest else None, "version": str(version)}


def is_news(staged: Mapping[str, Any], told: Mapping[str, Any] | None) -> bool:
    """Whether there are commits, and others than those that were told of.

    Args:
        staged: what `staged_commits` says.
        told: what it said when features were announced last; None if they never were.
    """
    return bool(staged["commits"]) and staged["version"] != (told or {}).get("version")
