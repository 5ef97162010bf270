"""The second half of `make demo`: news of GitHub become files, rows, models, checks and a trained model, by themselves.

What belongs here: waiting for the chain of DAGs, and showing what each left behind. Nothing is triggered here: the
first DAG runs by the clock, and each of the others when the one before has news.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.table import Table

from local import mlflow, mlflow_accounts
from local.airflow_api import ENDED
from local.errors import PlatformError
from local.mlflow_api import champion
from local.runs import seconds_between
from local.schedules import duration

if TYPE_CHECKING:
    from rich.console import Console

    from include.stores.warehouse import Connection
    from local.airflow_api import AirflowApi
    from local.mlflow_api import Champion
    from local.platform import Platform

MODEL = "commit-classifier"
CHAIN = ("ingest_github", "ingest_commits", "transform_warehouse", "check_quality", "train_commit_model")
REST = "rest"  # the last task of a transformation leaves the machine to others for a while
_SETTLING = ("transform_warehouse", "check_quality", "train_commit_model")
_PATIENCE = 1800  # seconds: a slow machine is no failure


def tell(platform: Platform, api: AirflowApi, connection: Connection, console: Console) -> None:
    """Wait for the end of the chain, and print a line for each link and the first figures of the models.

    Args:
        platform: it runs.
        api: a session of Airflow.
        connection: to the warehouse, as a role that may read all of it.
        console: where to print.

    Raises:
        PlatformError: there was no champion in time.
    """
    found = _wait(platform, api, connection, console)
    console.print("\nMeanwhile, from GitHub's API (a replay, as long as SOURCE_GITHUB_URL is empty) to a model:")
    told = {
        "ingest_github": "SELECT format('%s repositories, read to their news', count(*)) FROM ops.source_state",
        "ingest_commits": "SELECT format('%s commits, %s of them merges, in raw.commits', "
        "to_char(count(*), 'FM999,999,990'), count(*) FILTER (WHERE is_merge)) FROM raw.commits",
        "transform_warehouse": "SELECT format('%s tables and views in staging and analytics', count(*)) "
        "FROM information_schema.tables WHERE table_schema IN ('staging', 'analytics')",
        "check_quality": "SELECT format('%s checks passed, %s did not', count(*) FILTER (WHERE success), "
        "count(*) FILTER (WHERE NOT success)) FROM ops.quality_result "
        "WHERE file_id IS NULL AND checked_at > now() - interval '1 day'",
    }
    table = _table("DAG", "STARTED BY", "TOOK", "ENDED", "LEFT BEHIND")
    for dag_id in CHAIN:
        row = connection.execute(told[dag_id].encode()).fetchone() if dag_id in told else None
        table.add_row(dag_id, *_latest(api, dag_id), str(row[0]) if row else _judged(found))
    console.print(table)
    _print_figures(connection, console)


def _latest(api: AirflowApi, dag_id: str) -> tuple[str, str, str]:
    """What started the latest run that has done its work, how long that took, and how it ended."""
    for run in api.runs(dag_id, 10):
        tasks = [task for task in api.tasks(dag_id, run["dag_run_id"]) if task["task_id"] != REST]
        # The clock's run that finds nothing ends after its first task.
        idle = run["run_type"] == "scheduled" and any(task["state"] == "skipped" for task in tasks)
        if tasks and not idle and all(task["state"] in ENDED for task in tasks):
            ends = [task["end_date"] for task in tasks if task["end_date"]]
            took = duration(seconds_between(run["start_date"], max(ends, default=run["end_date"])))
            starter = {"asset_triggered": "news", "manual": "hand"}.get(run["run_type"], "clock")
            return starter, took, "resting" if run["state"] == "running" else str(run["state"])
    return "", "", "under way"


def _wait(platform: Platform, api: AirflowApi, connection: Connection, console: Console) -> Champion:
    """Until there is a champion, and the models hold every sale of the table below them."""
    address, end = mlflow.url(platform.settings), time.monotonic() + _PATIENCE
    login = (mlflow_accounts.READER, platform.credentials.mlflow_reader_password)
    with console.status("dbt, quality checks and training follow the rows") as spinner:
        while time.monotonic() < end:
            found = champion(address, login, MODEL)
            if (
                found
                and _models_are_fresh(connection)
                and not any(api.busy(dag_id, aside=REST) for dag_id in _SETTLING)
            ):
                return found
            spinner.update("training follows the models" if not found else "the models follow the rows")
            time.sleep(1)
    raise PlatformError(
        f"no champion of {MODEL}, or no fresh models, within {_PATIENCE} s", "look at the runs: make schedules"
    )


def _models_are_fresh(connection: Connection) -> bool:
    query = b"""SELECT (SELECT count(*) FROM raw.sales) = (SELECT count(*) FROM staging.stg_sales)
        AND (SELECT max(_loaded_at) FROM raw.sales) = (SELECT max(loaded_at) FROM staging.stg_sales)"""
    there = connection.execute("SELECT to_regclass('staging.stg_sales') IS NOT NULL").fetchone()
    row = connection.execute(query).fetchone() if there and there[0] else None
    return bool(row and row[0])


def _judged(found: Champion) -> str:
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
