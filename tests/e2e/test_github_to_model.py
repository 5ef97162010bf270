"""From the recorded API to a champion model: each DAG starts at the asset event of the one before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console

from include.ml.model_file import MODEL
from include.settings import CONTRACTS_DIR
from include.stores.warehouse import connect
from local.addresses import for_library
from local.airflow_api import AirflowApi
from local.commands.demo_models import CHAIN, COOL_DOWN, champion
from local.commands.runs import follow
from local.commands.schedules import schedules, table
from local.errors import PlatformError
from local.services import ml_api, mlflow, mlflow_accounts
from local.services.stand_ins.github_history import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def api(running: Running) -> Iterator[AirflowApi]:
    variables = for_library(running.platform)
    with AirflowApi(variables["AIRFLOW_URL"], variables["AIRFLOW_USER"], variables["AIRFLOW_PASSWORD"]) as session:
        yield session
    # Files of the other modules would start them repeatedly, and each run takes both cores for half a minute.
    for dag_id in ("transform_warehouse", "update_lake"):
        running.airflow(f"dags/{dag_id}", {"is_paused": True}, method="PATCH")


@pytest.fixture(scope="module")
def trained(running: Running) -> Any:
    """Wait until there is a champion, and return it."""
    return running.until(lambda: champion_of(running), "a champion", 540)


def champion_of(running: Running) -> Any:
    """The champion, read with the account of the ML service."""
    login = (mlflow_accounts.READER, running.platform.credentials.mlflow_reader_password)
    return champion(mlflow.url(running.platform.settings), login, MODEL)


def finished_runs(api: AirflowApi, dag_id: str) -> list[Any]:
    """The runs in which every task has succeeded or was skipped, except the cool-down, which may still run."""
    tasks = {run["dag_run_id"]: api.tasks(dag_id, run["dag_run_id"]) for run in api.runs(dag_id, 20)}
    return [
        run_id
        for run_id, found in tasks.items()
        if found and all(task["state"] in {"success", "skipped"} or task["task_id"] == COOL_DOWN for task in found)
    ]


def printed(page: object) -> str:
    console = Console(width=240, force_terminal=False)
    with console.capture() as captured:
        console.print(page)
    return captured.get()


def test_new_commits_become_a_champion_without_manual_triggers(running: Running, api: AirflowApi, trained: Any) -> None:
    assert trained.metrics["roc_auc"] > trained.metrics["baseline_roc_auc"]
    for dag_id in CHAIN:
        runs = api.runs(dag_id, 20)
        assert {run["run_type"] for run in runs} <= {"scheduled", "asset_triggered"}, dag_id
        assert "failed" not in {run["state"] for run in runs}, dag_id
        running.until(lambda dag_id=dag_id: finished_runs(api, dag_id), f"the work of {dag_id}", 60)
    for dag_id in ("transform_warehouse", "train_commit_model"):
        assert "asset_triggered" in {run["run_type"] for run in api.runs(dag_id, 20)}


def test_every_commit_of_the_api_is_a_row_with_its_features(running: Running, trained: Any) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    there = {c.sha: len(c.parents) > 1 for commits in read().values() for c in commits if c.committed_at < now}
    rows = dict(running.query("SELECT sha, is_merge FROM raw.commits"))
    assert set(there) - set(rows) == set(), "commits of the last seconds may be missing from `there`, none from `rows`"
    assert {sha: rows[sha] for sha in there} == there
    [(balanced,)] = running.query(
        "SELECT bool_and(rows_read = rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected) "
        "FROM ops.file_ingestion_log WHERE dataset = 'commits' AND status = 'archived'"
    )
    assert balanced


def test_rows_and_models_come_to_the_lake_without_manual_triggers(
    running: Running, api: AirflowApi, trained: Any
) -> None:
    counts = (
        "SELECT (SELECT count(*) FROM {0}raw.commits) AS commits, "
        "(SELECT count(*) FROM {0}analytics.ml_features) AS features"
    )
    command = [sys.executable, "-m", "include.cli", "lake", "sql", counts.format("lake."), "--json"]

    def same() -> bool:
        time.sleep(2)  # each command needs a second of a CPU
        ended = subprocess.run(
            command, env=os.environ | for_library(running.platform), capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        with connect(running.platform.warehouse_config("transform")) as warehouse:
            commits, features = warehouse.execute(counts.format("").encode()).fetchone() or (None, None)
        # It fails as long as there is no such table.
        return ended.returncode == 0 and json.loads(ended.stdout) == [{"commits": commits, "features": features}]

    running.until(same, "the commits in the lake", 300)
    runs = api.runs("update_lake", 20)
    assert "asset_triggered" in {run["run_type"] for run in runs} <= {"scheduled", "asset_triggered"}
    assert "failed" not in {run["state"] for run in runs}


def test_answers_are_stored_unchanged(running: Running, trained: Any) -> None:
    keys = [item.key for item in running.objects.list("raw-data", "github-commits/")]
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    assert all(key.startswith(f"github-commits/{day}/") and key.endswith(".json") for key in keys)
    _, chunks = running.objects.read("raw-data", keys[0])
    assert "commit" in json.loads(b"".join(chunks))[0]


def test_the_warehouse_was_checked_and_has_pages_for_it(running: Running, api: AirflowApi, trained: Any) -> None:
    def check_after_asset_event() -> Any:
        return [
            r for r in api.runs("check_quality", 20) if (r["run_type"], r["state"]) == ("asset_triggered", "success")
        ]

    running.until(check_after_asset_event, "a check after the asset event of the models")

    def checked() -> Any:
        return running.query("SELECT dataset FROM ops.quality_result WHERE file_id IS NULL AND dataset ~ 'commits$'")

    running.until(checked, "checks of the commits")
    running.until(
        lambda: [item for item in running.objects.list("quality-docs", "") if item.key.endswith("index.html")], "pages"
    )


def test_service_classifies_a_commit_with_the_champion(running: Running, trained: Any) -> None:
    address = f"{ml_api.url(running.platform.settings)}/classify-commit"
    body = {"message": "Fix the rounding of totals", "authored_at": "2026-03-02T10:00:00Z", "author_commits_before": 3}
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {running.platform.credentials.ml_api_token}",
    }
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        result = json.load(answer)
    assert (result["model_version"], result["is_merge"]) == (trained.version, result["probability"] >= 0.5)


def test_a_second_training_on_the_same_commits_changes_nothing(running: Running, api: AirflowApi, trained: Any) -> None:
    console = Console(width=200, force_terminal=False)
    with console.capture() as captured:
        assert follow(api, "train_commit_model", console), captured.get()
    text = captured.get()
    assert "train_commit_model: success" in text
    assert "train_model: There is no new data to train on" in text
    assert champion_of(running).version == trained.version


def test_a_champion_whose_alias_was_removed_comes_back_with_a_trigger(
    running: Running, api: AirflowApi, trained: Any
) -> None:
    server, login = mlflow.url(running.platform.settings), running.platform.credentials.mlflow_admin_password
    with httpx.Client(auth=(mlflow_accounts.ADMIN, login), trust_env=False) as client:
        address, alias = f"{server}/api/2.0/mlflow/registered-models/alias", {"name": MODEL, "alias": "champion"}
        client.request("DELETE", address, json=alias).raise_for_status()
    assert champion_of(running) is None
    assert follow(api, "train_commit_model", Console(quiet=True))
    assert champion_of(running).run_id == trained.run_id


def test_an_unpaused_transformation_builds_what_came_while_it_was_paused(
    running: Running, api: AirflowApi, trained: Any
) -> None:
    """Airflow keeps no event for a paused DAG: its time schedule starts the run, within `scheduling.PAUSE`."""
    running.until(lambda: not api.busy("transform_warehouse", ignored_task=COOL_DOWN), "an idle transformation")
    for dag_id in ("transform_warehouse", "update_lake"):
        running.airflow(f"dags/{dag_id}", {"is_paused": True}, method="PATCH")
    running.sample("sales", "while_paused.csv", 50, start=77_000_000)
    running.drop("while_paused.csv", "incoming/sales/while_paused.csv")
    [file_id] = [running.settled("incoming/sales/while_paused.csv")["file_id"]]
    staged = "SELECT count(*) FROM staging.stg_sales WHERE file_id = %s"
    assert running.query("SELECT count(*) FROM raw.sales WHERE _file_id = %s", [file_id]) == [(50,)]
    running.airflow("dags/transform_warehouse", {"is_paused": False}, method="PATCH")

    def built() -> bool:
        with connect(running.platform.warehouse_config("transform")) as connection:
            return bool(connection.execute(staged.encode(), [file_id]).fetchone() == (50,))

    running.until(built, "models with the rows that came while the DAG was paused", 480)
    newest = api.runs("transform_warehouse", 5)
    assert "scheduled" in {run["run_type"] for run in newest}


def test_schedule_page_shows_what_starts_each_dag(running: Running, api: AirflowApi, trained: Any) -> None:
    page = printed(table(schedules(api), datetime.now(UTC)))
    lines = {line.split()[0]: line for line in page.splitlines()[1:] if line.strip()}
    assert set(lines) >= {*CHAIN, "reprocess_failed", "sweep_unmatched"}
    assert {f"ingest_{path.stem}" for path in CONTRACTS_DIR.glob("*.yaml")} <= set(lines)
    assert "manually" in lines["reprocess_failed"]
    assert "always: waits for files" in lines["ingest_commits"]
    assert "event of analytics.ml_features" in lines["train_commit_model"]
    assert "raw.commits" in lines["transform_warehouse"]
    assert "*/30 * * * *" in lines["collect_github_commits"]


def test_command_for_an_unknown_dag_fails_with_its_name(api: AirflowApi) -> None:
    with pytest.raises(PlatformError, match="Airflow does not know dags/no_such_dag"):
        follow(api, "no_such_dag", Console())


@pytest.mark.parametrize(
    ("source", "table", "least"),
    [
        pytest.param("github_events", "github_events", 500, id="topic"),
        pytest.param("github_issues", "issues", 300, id="file"),
    ],
)
def test_unpaused_source_fills_its_table(running: Running, trained: Any, source: str, table: str, least: int) -> None:
    running.airflow(f"dags/collect_{source}", {"is_paused": False}, method="PATCH")

    def is_there() -> bool:
        [(found,)] = running.query("SELECT to_regclass(%s) IS NOT NULL", [f"raw.{table}"])
        return bool(found and running.query(f"SELECT count(*) FROM raw.{table}")[0][0] >= least)

    running.until(is_there, f"rows of {source}", 300)
    query = "SELECT DISTINCT status, stand_in FROM ops.source_run WHERE source = %s"
    running.until(lambda: running.query(query, [source]) == [("success", True)], f"the end of {source}")
    running.airflow(f"dags/collect_{source}", {"is_paused": True}, method="PATCH")
