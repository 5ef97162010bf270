"""transform_warehouse as Airflow parses it: only from the manifest, without a warehouse and without running dbt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.services import dbt_manifest

pytestmark = pytest.mark.dags

ROOT = Path(__file__).parents[2]
MODELS = {
    "stg_commits", "stg_sales", "stg_transactions", "commit_metrics", "ml_features", "daily_sales", "top_customers",
    "category_performance", "ingestion_health", "transactions_by_category", "daily_customer_sales",
}  # fmt: skip

# Runs in a separate process, since Airflow reads its configuration at import. Nothing listens at the address of its
# metadata database, and an import of dbt would be visible.
LOOK = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1], load_op_links=False)
dag = bag.dags.get("transform_warehouse")
parsed = {"errors": list(bag.import_errors.values()), "dbt": "dbt.cli.main" in sys.modules}
if dag is not None:
    parsed |= {
        "doc": dag.doc_md, "runs": dag.max_active_runs, "tasks_at_once": dag.max_active_tasks,
        "schedule": sorted(asset.name for asset in dag.timetable.asset_condition.objects),
        "any": type(dag.timetable.asset_condition).__name__,
        "tasks": {
            task.task_id: {
                "downstream": sorted(task.downstream_task_ids), "outlets": [outlet.name for outlet in task.outlets],
                "rule": str(task.weight_rule), "retries": task.retries,
                "selection": getattr(task, "indirect_selection", None), "env": getattr(task, "env", None),
                "trigger": task.trigger_rule.value, "inlets": [inlet.name for inlet in task.inlets],
                "limit": task.execution_timeout and task.execution_timeout.total_seconds(),
            }
            for task in dag.tasks
        },
    }
print("LOOK" + json.dumps(parsed, default=str))
"""


def look(home: Path, manifest: Path) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "INGEST_", "DBT_"))}
    environment = kept | {
        "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT), "DBT_MANIFEST": str(manifest),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://unused:x@127.0.0.1:1/none",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", LOOK, str(ROOT / "dags" / "transform_warehouse.py")],
        capture_output=True, text=True, env=environment, cwd=home, timeout=120, check=False,
    )  # fmt: skip
    line = next((line for line in answer.stdout.splitlines() if line.startswith("LOOK")), None)
    assert line is not None, answer.stderr[-3000:]
    lines = [line for line in (answer.stdout + answer.stderr).splitlines() if "cosmos." in line and "LOOK" not in line]
    return json.loads(line.removeprefix("LOOK")) | {"cosmos": lines}


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    manifest = home / "made" / "manifest.json"
    assert dbt_manifest.prepare(manifest)
    # The manifest is written again only if the project has changed.
    assert not dbt_manifest.prepare(manifest)
    assert [path.name for path in manifest.parent.iterdir()] == ["manifest.json"]
    return look(home, manifest)


def test_dag_is_built_from_the_manifest_alone(dag: dict[str, Any]) -> None:
    assert dag["errors"] == []
    assert dag["dbt"] is False
    for head in ("Purpose", "Trigger", "Reads", "Writes", "On failure", "How to rerun"):
        assert head in dag["doc"], head


def test_event_of_any_raw_table_starts_it(dag: dict[str, Any]) -> None:
    assert dag["any"] == "AssetAny"
    assert {"raw.sales", "raw.commits", "raw.transactions", "raw.inventory"} <= set(dag["schedule"])
    assert dag["runs"] == 1
    assert dag["tasks_at_once"] <= 2


def test_each_model_is_a_task_downstream_of_its_dependencies(dag: dict[str, Any]) -> None:
    tasks = dag["tasks"]
    assert set(tasks) == MODELS | {
        "find_new_rows",
        "prepare_tables",
        "announce_models",
        "announce_features",
        "cool_down",
    }
    assert set(tasks["prepare_tables"]["downstream"]) == {
        "stg_commits", "stg_sales", "stg_transactions", "ingestion_health"
    }  # fmt: skip
    assert set(tasks["stg_commits"]["downstream"]) == {"commit_metrics", "ml_features"}
    assert set(tasks["stg_sales"]["downstream"]) == {
        "daily_sales", "daily_customer_sales", "top_customers", "category_performance"
    }  # fmt: skip
    assert {name for name, task in tasks.items() if "announce_models" in task["downstream"]} == {
        "commit_metrics", "ml_features", "daily_sales", "top_customers", "category_performance", "ingestion_health",
        "transactions_by_category", "daily_customer_sales",
    }  # fmt: skip
    assert {name for name, task in tasks.items() if "announce_features" in task["downstream"]} == {"ml_features"}


def test_models_are_announced(dag: dict[str, Any]) -> None:
    assert {name: task["outlets"] for name, task in dag["tasks"].items() if task["outlets"]} == {
        "prepare_tables": ["analytics.build"],
        "announce_models": ["analytics.marts"],
        "announce_features": ["analytics.ml_features"],
    }


def test_features_are_compared_with_their_last_asset_event(dag: dict[str, Any]) -> None:
    assert dag["tasks"]["announce_features"]["inlets"] == ["analytics.ml_features"]


def test_cooldown_follows_all_models_and_does_not_decide_the_state_of_the_run(dag: dict[str, Any]) -> None:
    tasks = dag["tasks"]
    before = {name for name, task in tasks.items() if "cool_down" in task["downstream"]}
    assert before == {name for name, task in tasks.items() if "announce_models" in task["downstream"]}
    assert tasks["cool_down"]["trigger"] == "all_done"
    assert {name for name, task in tasks.items() if not task["downstream"]} == {
        "announce_models", "announce_features", "cool_down"
    }  # fmt: skip
    assert tasks["announce_models"]["trigger"] == tasks["announce_features"]["trigger"] == "all_success"


def test_every_task_and_statement_has_a_timeout(dag: dict[str, Any]) -> None:
    for model in MODELS:
        assert dag["tasks"][model]["env"]["PGOPTIONS"] == "-c lock_timeout=30s -c statement_timeout=3600s"
    assert {task["limit"] for task in dag["tasks"].values()} == {2 * 3600}


def test_parse_logs_no_lines_of_cosmos(dag: dict[str, Any]) -> None:
    assert dag["cosmos"] == []


def test_tests_of_several_models_run_with_the_last_and_unit_tests_do_not_run(dag: dict[str, Any]) -> None:
    for model in MODELS:
        assert dag["tasks"][model]["selection"] == "buildable"
        assert dag["tasks"][model]["env"]["DBT_EXCLUDE_RESOURCE_TYPES"] == "unit_test"


def test_models_have_a_lower_priority_than_files(dag: dict[str, Any]) -> None:
    assert {task["rule"] for task in dag["tasks"].values()} == {"absolute"}


def test_missing_manifest_names_the_remedy(tmp_path: Path) -> None:
    parsed = look(tmp_path, tmp_path / "none.json")
    (error,) = parsed["errors"]
    assert "none.json is missing. Create it with: python -m local.services.dbt_manifest" in error
