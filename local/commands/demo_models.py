"""The second half of `make demo`: from GitHub's API to files, rows, dbt models, quality checks and a trained model.

What belongs here: waiting for the chain of DAGs, and printing the result of each. Nothing is triggered here: the first
DAG has a time schedule, and each of the others starts at the asset event of the one before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from rich.table import Table

from include.ml.model_file import CHAMPION, MODEL
from local.airflow_api import ENDED
from local.commands.runs import seconds_between
from local.commands.schedules import duration
from local.errors import PlatformError
from local.services import mlflow, mlflow_accounts

if TYPE_CHECKING:
    from rich.console import Console

    from include.stores.warehouse import Connection
    from local.airflow_api import AirflowApi
    from local.supervisor.platform import Platform

CHAIN = ("collect_github_commits", "ingest_commits", "transform_warehouse", "check_quality", "train_commit_model")
COOL_DOWN = "cool_down"  # the last task of transform_warehouse: a pause that leaves the machine to other DAGs
_LAST_DAGS = ("transform_warehouse", "check_quality", "train_commit_model")
_MLFLOW_TIMEOUT = httpx.Timeout(10.0, connect=2.0)
_TIMEOUT_SECONDS = 1800  # long, for slow machines


@dataclass(frozen=True)
class Champion:
    """The model version with the alias `champion`, and its run's metrics by name."""

    version: str
    run_id: str
    metrics: dict[str, float]


def run(platform: Platform, api: AirflowApi, connection: Connection, console: Console) -> None:
    """Wait for the end of the chain, and print a line for each DAG and some figures from the models.

    Args:
        platform: a running platform.
        api: a session of Airflow.
        connection: to the warehouse, as a role that may read all of it.
        console: receives the output.

    Raises:
        PlatformError: there was no champion in time.
    """
    found = _wait(platform, api, connection, console)
    console.print("\nMeanwhile, from GitHub's API (a stand-in, as long as SOURCE_GITHUB_URL is empty) to a model:")
    result_queries = {
        "collect_github_commits": "SELECT format('%s repositories, read up to now', count(*)) FROM ops.source_position "
        "WHERE source = 'github_commits'",
        "ingest_commits": "SELECT format('%s commits, %s of them merges, in raw.commits', "
        "to_char(count(*), 'FM999,999,990'), count(*) FILTER (WHERE is_merge)) FROM raw.commits",
        "transform_warehouse": "SELECT format('%s tables and views in staging and analytics', count(*)) "
        "FROM information_schema.tables WHERE table_schema IN ('staging', 'analytics')",
        "check_quality": "SELECT format('%s checks passed, %s did not', count(*) FILTER (WHERE success), "
        "count(*) FILTER (WHERE NOT success)) FROM ops.quality_result "
        "WHERE file_id IS NULL AND checked_at > now() - interval '1 day'",
    }
    table = _table("DAG", "STARTED BY", "TOOK", "ENDED", "RESULT")
    for dag_id in CHAIN:
        query = result_queries.get(dag_id)
        row = connection.execute(query.encode()).fetchone() if query else None
        table.add_row(dag_id, *_latest(api, dag_id), str(row[0]) if row else _quality(found))
    console.print(table)
    _print_figures(connection, console)


def _latest(api: AirflowApi, dag_id: str) -> tuple[str, str, str]:
    """Return the trigger of the latest run that has done its work, its duration, and its state."""
    for run in api.runs(dag_id, 10):
        tasks = [task for task in api.tasks(dag_id, run["dag_run_id"]) if task["task_id"] != COOL_DOWN]
        # A scheduled run that finds nothing new skips all tasks after its first.
        idle = run["run_type"] == "scheduled" and any(task["state"] == "skipped" for task in tasks)
        if tasks and not idle and all(task["state"] in ENDED for task in tasks):
            ends = [task["end_date"] for task in tasks if task["end_date"]]
            took = duration(seconds_between(run["start_date"], max(ends, default=run["end_date"])))
            starter = {"asset_triggered": "asset event", "manual": "manual"}.get(run["run_type"], "schedule")
            return starter, took, "cooling down" if run["state"] == "running" else str(run["state"])
    return "", "", "running"


def _wait(platform: Platform, api: AirflowApi, connection: Connection, console: Console) -> Champion:
    """Wait until there is a champion, and the dbt models contain every row of raw.sales."""
    address, end = mlflow.url(platform.settings), time.monotonic() + _TIMEOUT_SECONDS
    login = (mlflow_accounts.READER, platform.credentials.mlflow_reader_password)
    with console.status("waiting for dbt, quality checks and training") as spinner:
        while time.monotonic() < end:
            found = champion(address, login, MODEL)
            if (
                found
                and _models_are_fresh(connection)
                and not any(api.busy(dag_id, ignored_task=COOL_DOWN) for dag_id in _LAST_DAGS)
            ):
                return found
            spinner.update("waiting for training" if not found else "waiting for the dbt models")
            time.sleep(1)
    raise PlatformError(
        f"no champion of {MODEL}, or outdated dbt models, after {_TIMEOUT_SECONDS} s",
        "look at the runs: `filegate schedules`",
    )


def _models_are_fresh(connection: Connection) -> bool:
    query = b"""SELECT (SELECT count(*) FROM raw.sales) = (SELECT count(*) FROM staging.stg_sales)
        AND (SELECT max(_loaded_at) FROM raw.sales) = (SELECT max(loaded_at) FROM staging.stg_sales)"""
    there = connection.execute("SELECT to_regclass('staging.stg_sales') IS NOT NULL").fetchone()
    row = connection.execute(query).fetchone() if there and there[0] else None
    return bool(row and row[0])


def _quality(found: Champion) -> str:
    metrics = found.metrics
    return f"{MODEL} version {found.version}: ROC AUC {metrics['roc_auc']:.3f} on commits it never saw"


def _print_figures(connection: Connection, console: Console) -> None:
    console.print("\nFirst figures from the models (schema analytics; Metabase and any SQL client read them):")
    table = _table("WHAT", "FIGURE")
    for what, query in _FIGURES.items():
        row = connection.execute(query.encode()).fetchone()
        table.add_row(what, str(row[0]) if row and row[0] is not None else "none yet")
    console.print(table)


_FIGURES = {
    "revenue": "SELECT to_char(sum(revenue), 'FM999,999,999,990.00') || ' in ' || to_char(sum(sales), 'FM999,999,990') "
    "|| format(' sales on %s days', count(*)) FROM analytics.daily_sales",
    "best customer": "SELECT format('%s, %s', customer_name, to_char(revenue, 'FM999,999,999,990.00')) "
    "FROM analytics.top_customers ORDER BY revenue_rank, customer_id LIMIT 1",
    "best category": "SELECT format('%s, %s', category, to_char(sum(revenue), 'FM999,999,999,990.00')) "
    "FROM analytics.category_performance GROUP BY category ORDER BY sum(revenue) DESC LIMIT 1",
    "busiest author": "SELECT format('%s, %s commits in %s', author_name, commits, repository) "
    "FROM analytics.commit_metrics ORDER BY commits DESC, author LIMIT 1",
    "files today": "SELECT format('%s loaded, %s failed, %s duplicate', sum(files_loaded), sum(files_failed), "
    "sum(files_duplicate)) FROM analytics.ingestion_health WHERE claimed_on = (now() AT TIME ZONE 'UTC')::date",
}


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def champion(address: str, login: tuple[str, str], model: str) -> Champion | None:
    """Return the model's champion; None while there is none, or while MLflow does not answer.

    Args:
        address: of MLflow.
        login: account and password.
        model: its registered name.
    """
    base = f"{address}/api/2.0/mlflow/"
    try:
        with httpx.Client(base_url=base, auth=login, timeout=_MLFLOW_TIMEOUT, trust_env=False) as client:
            found = _get(client, "registered-models/alias", name=model, alias=CHAMPION)["model_version"]
            run = _get(client, "runs/get", run_id=found["run_id"])["run"]
    except (httpx.HTTPError, KeyError):
        return None
    metrics = {metric["key"]: float(metric["value"]) for metric in run["data"].get("metrics", [])}
    return Champion(str(found["version"]), str(found["run_id"]), metrics)


def _get(client: httpx.Client, path: str, **query: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(path, params=query).raise_for_status().json()
    return answer
