"""The DAG files as Airflow parses them: without connections, without a server, without a metadata database."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from include.settings import IngestSettings, StreamSettings
from local.services.dbt_manifest import prepare
from tests.unit.sources.source_files import document as definition
from tests.unit.sources.source_files import written

pytestmark = pytest.mark.dags

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
DATASETS = [
    "activity", "commits", "crypto_candles", "crypto_prices", "github_events", "inventory", "issues", "projects",
    "sales", "tasks", "teams", "transactions", "users", "weather", "weather_now",
]  # fmt: skip
INGEST = {f"ingest_{dataset}" for dataset in DATASETS}
# Topics, and the dataset of each.
TOPICS = {
    "crypto_prices": "crypto_prices", "github_events": "github_events", "transactions": "transactions",
    "weather": "weather",
}  # fmt: skip
CONSUME = {f"consume_{topic}" for topic in TOPICS}
UPKEEP = {"maintain_platform", "reprocess_failed", "sweep_unmatched"}
# The DAGs from an API to a model, and the timetable of each.
SIBLINGS = {
    "transform_warehouse": "AssetOrTimeSchedule",
    "update_live_marts": "AssetOrTimeSchedule",
    "build_features": "AssetOrTimeSchedule",
    "materialize_features": "AssetOrTimeSchedule",
    "check_quality": "AssetOrTimeSchedule",
    "update_lake": "AssetOrTimeSchedule",
    "train_commit_model": "AssetOrTimeSchedule",
    "train_task_delay": "AssetOrTimeSchedule",
}
VIEWS = [path for path in (ROOT / "features").glob("*.yaml") if path.stem != "shared"]
COLLECT = {f"collect_{path.stem}" for path in (ROOT / "sources").glob("*.y*ml")}
# Every DAG must be listed here, otherwise a test fails.
DAG_IDS = INGEST | CONSUME | UPKEEP | COLLECT | set(SIBLINGS)

# Configurations of a run of `reprocess_failed`: nothing chosen, a pattern alone, no dataset, names.
CONFIGURATIONS = [
    {}, {"name": "sales_*"}, {"dataset": None}, {"dataset": ""}, {"dataset": "sale"},
    {"dataset": "sales"}, {"dataset": "unknown"}, {"dataset": "all"},
]  # fmt: skip

# Runs in a separate process, since Airflow reads its configuration at import; prints the content of the bundle.
LOOK = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import BaseSerialization
bag = DagBag(sys.argv[1], load_op_links=False)
def properties(task):
    names = ("dataset", "poke_interval", "timeout", "connection_id", "topic", "group")
    return {
        "downstream": sorted(task.downstream_task_ids), "retries": task.retries,
        "delay": task.retry_delay.total_seconds(), "longest": task.max_retry_delay.total_seconds(),
        "backoff": float(task.retry_exponential_backoff), "rule": str(task.trigger_rule).rpartition(".")[2].lower(),
        "mapped": task.is_mapped, "teardown": task.is_teardown,
        "outlets": [outlet.name for outlet in task.outlets], "doc": task.doc_md,
        **{name: getattr(task, name) for name in names if not task.is_mapped and hasattr(task, name)},
    }
def clock(timetable):
    delta = getattr(getattr(timetable, "timetable", timetable), "delta", None)
    return delta.total_seconds() if delta else None
def accepts(dag, conf):
    # As the server does in SerializedDAG.create_dagrun.
    params = BaseSerialization._deserialize_params_dict(BaseSerialization._serialize_params_dict(dag.params))
    try:
        params.deep_merge(conf).validate()
    except ParamValidationError:
        return False
    return True
print("BUNDLE" + json.dumps({
    "errors": bag.import_errors,
    "dags": {dag_id: {
        "doc": dag.doc_md, "tags": sorted(dag.tags), "start": str(dag.start_date), "catchup": dag.catchup,
        "owner": dag.owner, "runs": dag.max_active_runs, "paused": dag.is_paused_upon_creation,
        "timetable": type(dag.timetable).__name__,
        "stops_after": dag.max_consecutive_failed_dag_runs, "file": dag.fileloc,
        "pause": clock(dag.timetable),
        "on_failure": getattr(dag.on_failure_callback, "__name__", None),
        "waits": [asset.name for asset in dag.timetable.asset_condition.objects]
        if dag.timetable.asset_condition else [],
        "params": {
            name: {**param.schema, "default": param.value, "description": param.description}
            for name, param in dag.params.items()
        },
        "accepts": [conf for conf in json.loads(sys.argv[2]) if accepts(dag, conf)],
        "tasks": {task.task_id: properties(task) for task in dag.tasks},
    } for dag_id, dag in bag.dags.items()},
    "imported": sorted({name.partition(".")[0] for name in sys.modules}),
}, default=str))
"""

Look = Callable[..., dict]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dbt") / "manifest.json"
    assert prepare(path)
    return path


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> Look:
    def run(**settings: str) -> dict:
        home = tmp_path_factory.mktemp("airflow")
        prefixes = (
            "AIRFLOW", "INGEST_", "STREAM_", "SOURCES_", "QUALITY_", "TRAINING_", "RETENTION_", "ALERTS_",
            "DBT_", "AWS",
        )  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        environment = kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Nothing listens there: a DAG file that reads a connection or a variable fails.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://unused:x@127.0.0.1:1/none",
            "PYTHONPATH": str(ROOT),
            "DBT_MANIFEST": str(manifest),
            # The sources of the checkout have no contract in another folder.
            **({"SOURCES_DIR": str(home / "none")} if "INGEST_CONTRACTS_DIR" in settings else {}),
            **settings,
        }
        answer = subprocess.run(
            [sys.executable, "-c", LOOK, str(ROOT / "dags"), json.dumps(CONFIGURATIONS)],
            capture_output=True, text=True, env=environment, cwd=home, timeout=120, check=False,
        )  # fmt: skip
        line = next((line for line in answer.stdout.splitlines() if line.startswith("BUNDLE")), None)
        assert line is not None, answer.stderr[-3000:]
        return json.loads(line.removeprefix("BUNDLE"))

    return run


@pytest.fixture(scope="module")
def bundle(look: Look) -> dict:
    return look()


@pytest.fixture(scope="module")
def dags(bundle: dict) -> dict:
    return bundle["dags"]


def test_bundle_parses_without_connection_or_database(bundle: dict) -> None:
    assert bundle["errors"] == {}
    assert set(bundle["dags"]) == DAG_IDS


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_dag_has_its_runbook_and_runs_one_at_a_time(dags: dict, dag_id: str) -> None:
    dag = dags[dag_id]
    for head in ("Purpose", "Trigger", "Reads", "Writes", "On failure", "How to rerun"):
        assert head in dag["doc"], head
    assert dag["tags"]
    assert ("ingestion" in dag["tags"]) == (dag_id not in SIBLINGS.keys() | COLLECT)
    assert dag["start"].startswith("2026-01-01" if dag_id != "maintain_platform" else "None")
    assert (dag["catchup"], dag["runs"]) == (False, 1)


def test_dags_of_a_contract_belong_to_its_team_and_all_others_to_the_platform(dags: dict) -> None:
    documents = {name: yaml.safe_load((CONTRACTS / f"{name}.yaml").read_text()) for name in DATASETS}
    teams = {f"ingest_{name}": document["team"]["name"] for name, document in documents.items()}
    assert len(set(teams.values())) > 1
    teams |= {f"consume_{topic}": teams[f"ingest_{dataset}"] for topic, dataset in TOPICS.items()}
    for dag_id in COLLECT:
        source = yaml.safe_load((ROOT / "sources" / f"{dag_id.removeprefix('collect_')}.yaml").read_text())
        teams[dag_id] = teams[f"ingest_{source['dataset']}"]
    assert {dag_id: dag["owner"] for dag_id, dag in dags.items()} == dict.fromkeys(DAG_IDS, "platform") | teams


def test_dags_of_a_contract_without_a_team_belong_to_the_platform(look: Look, contracts: Path) -> None:
    document = yaml.safe_load((CONTRACTS / "transactions.yaml").read_text())
    del document["team"]
    (contracts / "transactions.yaml").write_text(yaml.safe_dump(document))
    dags = look(INGEST_CONTRACTS_DIR=str(contracts))["dags"]
    assert {dags[name]["owner"] for name in ("ingest_transactions", "consume_transactions")} == {"platform"}


def test_table_of_the_readme_has_every_dag_with_its_owner(dags: dict) -> None:
    lines = (ROOT / "dags" / "README.md").read_text().splitlines()
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert rows[0] == ["DAG", "trigger", "reads", "writes", "owner"]
    listed = {name: owner for name, *_, owner in rows[2:]}
    of_contract = INGEST | CONSUME | COLLECT
    assert listed == {
        **{dag_id: dag["owner"] for dag_id, dag in dags.items() if dag_id not in of_contract},
        **dict.fromkeys(("ingest_<dataset>", "consume_<topic>", "collect_<source>"), "the contract's team"),
    }


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS - {"sweep_unmatched"}))
def test_tasks_retry_as_the_settings_say(dags: dict, dag_id: str) -> None:
    settings = IngestSettings()
    for task in dags[dag_id]["tasks"].values():
        assert task["retries"] == settings.retries
        assert task["delay"] == settings.retry_delay_seconds
        assert task["longest"] == 300
        assert task["backoff"] == 2


def test_sweep_leaves_the_retry_to_its_next_run(dags: dict) -> None:
    assert {task["retries"] for task in dags["sweep_unmatched"]["tasks"].values()} == {0}


def test_settings_change_the_retries(look: Look) -> None:
    dag = look(INGEST_RETRIES="7", INGEST_RETRY_DELAY_SECONDS="11")["dags"]["ingest_sales"]
    assert {(task["retries"], task["delay"]) for task in dag["tasks"].values()} == {(7, 11.0)}


@pytest.mark.parametrize("dag_id", sorted(INGEST))
def test_ingest_dag_has_its_tasks_in_order(dags: dict, dag_id: str) -> None:
    tasks = dags[dag_id]["tasks"]
    assert {name: task["downstream"] for name, task in tasks.items()} == {
        "wait_for_files": ["claim_files"],
        "claim_files": ["ingest_batch"],
        "ingest_batch": ["settle"],
        "settle": ["announce_rows"],
        "announce_rows": [],
    }
    assert [name for name, task in tasks.items() if task["mapped"]] == ["ingest_batch"]
    assert tasks["settle"]["rule"] == "all_done"
    dataset = dag_id.removeprefix("ingest_")
    assert {name: task["outlets"] for name, task in tasks.items() if task["outlets"]} == {
        "announce_rows": [f"raw.{dataset}"]
    }


@pytest.mark.parametrize("dag_id", sorted(INGEST))
def test_ingest_dag_waits_for_its_own_files_without_a_worker(dags: dict, dag_id: str) -> None:
    dag = dags[dag_id]
    sensor = dag["tasks"]["wait_for_files"]
    assert sensor["dataset"] == dag_id.removeprefix("ingest_")
    assert sensor["poke_interval"] == IngestSettings().poke_seconds
    assert sensor["timeout"] == IngestSettings().wait_hours * 3600
    assert dag["timetable"] == "ContinuousTimetable"
    assert dag["stops_after"] == IngestSettings().max_consecutive_failures


@pytest.mark.parametrize("dag_id", sorted(CONSUME))
def test_consume_dag_has_its_tasks_in_order(dags: dict, dag_id: str) -> None:
    tasks = dags[dag_id]["tasks"]
    assert {name: task["downstream"] for name, task in tasks.items()} == {
        "wait_for_messages": ["consume"],
        "consume": ["announce_rows"],
        "announce_rows": [],
    }
    # It also runs after a failed `consume`, and does not change the state of the run.
    assert [name for name, task in tasks.items() if task["teardown"]] == ["announce_rows"]
    assert {name: task["outlets"] for name, task in tasks.items() if task["outlets"]} == {
        "announce_rows": [f"raw.{TOPICS[dag_id.removeprefix('consume_')]}"]
    }
    ignore = dags[dag_id]["params"]["ignore_threshold"]
    assert (ignore["type"], ignore["default"]) == ("boolean", False)
    assert "dead letters" in ignore["description"]


@pytest.mark.parametrize("dag_id", sorted(CONSUME))
def test_consume_dag_waits_for_its_own_topic(dags: dict, dag_id: str) -> None:
    dag, streams, topic = dags[dag_id], StreamSettings(), dag_id.removeprefix("consume_")
    sensor = dag["tasks"]["wait_for_messages"]
    assert (sensor["topic"], sensor["group"]) == (topic, streams.group_of(topic))
    assert sensor["connection_id"] == "events_kafka"
    assert sensor["poke_interval"] == 2
    assert sensor["timeout"] == IngestSettings().wait_hours * 3600
    assert dag["timetable"] == "ContinuousTimetable"
    assert dag["stops_after"] == IngestSettings().max_consecutive_failures
    for part in (f"`{topic}`", f"`{topic}.dlq`", f"`filegate.{topic}`", "ignore_threshold", "replay-dlq"):
        assert part in dag["doc"]


def test_settings_change_where_and_how_messages_are_waited_for(look: Look) -> None:
    dag = look(STREAM_GROUP="others", INGEST_WAIT_HOURS="2")["dags"]["consume_transactions"]
    sensor = dag["tasks"]["wait_for_messages"]
    assert (sensor["group"], sensor["poke_interval"], sensor["timeout"]) == ("others.transactions", 2.0, 7200.0)


# From GitHub to a model


@pytest.mark.parametrize("dag_id", sorted(SIBLINGS))
def test_chained_dag_has_its_timetable(dags: dict, dag_id: str) -> None:
    assert dags[dag_id]["timetable"] == SIBLINGS[dag_id]


def test_each_chained_dag_waits_for_the_asset_events_of_the_one_before(dags: dict) -> None:
    waits = {dag_id: set(dags[dag_id]["waits"]) for dag_id in SIBLINGS}
    assert waits == {
        "transform_warehouse": {f"raw.{dataset}" for dataset in DATASETS},
        "update_live_marts": {"raw.crypto_prices", "raw.weather", "raw.github_events"},
        "build_features": {"raw.activity", "raw.projects", "raw.tasks", "raw.teams", "raw.users"},
        "materialize_features": {f"features.{path.stem}" for path in VIEWS},
        "check_quality": {"analytics.marts"},
        "train_commit_model": {"analytics.ml_features"},
        "train_task_delay": {"features.online"},
    }
    sources = {
        outlet: dag_id for dag_id, dag in dags.items() for task in dag["tasks"].values() for outlet in task["outlets"]
    }
    for dag_id in (
        "transform_warehouse",
        "check_quality",
        "train_commit_model",
        "materialize_features",
        "train_task_delay",
    ):
        assert waits[dag_id] <= set(sources), dag_id
    assert sources["analytics.marts"] == sources["analytics.ml_features"] == "transform_warehouse"
    assert sources["raw.commits"] == "ingest_commits"


def test_features_have_a_task_for_each_view_with_its_asset(dags: dict) -> None:
    tasks = dags["build_features"]["tasks"]
    assert {name: task["outlets"] for name, task in tasks.items()} == {
        f"build_{path.stem}": [f"features.{path.stem}"] for path in VIEWS
    }


def test_online_store_is_filled_by_one_task_after_a_check(dags: dict) -> None:
    tasks = dags["materialize_features"]["tasks"]
    assert tasks["find_new_features"]["downstream"] == ["materialize"]
    assert tasks["materialize"]["outlets"] == ["features.online"]
    assert dags["materialize_features"]["runs"] == 1


def test_schedule_of_the_chained_dags_is_a_setting(look: Look, dags: dict) -> None:
    changed = look(QUALITY_SCHEDULE_MINUTES="9")["dags"]
    assert (dags["check_quality"]["pause"], changed["check_quality"]["pause"]) == (15 * 60, 9 * 60)


def test_transformation_has_a_task_for_each_model_in_dependency_order(dags: dict) -> None:
    tasks = {name.rpartition(".")[2]: task for name, task in dags["transform_warehouse"]["tasks"].items()}
    paths = list((ROOT / "dbt" / "models").rglob("*.sql"))
    live = {path.stem for path in paths if path.parent.name == "live"}
    assert set(tasks) == {path.stem for path in paths} - live | {
        "find_new_rows",
        "prepare_tables",
        "announce_models",
        "announce_features",
        "cool_down",
    }

    def after(name: str) -> set[str]:
        return {below.rpartition(".")[2] for below in tasks[name]["downstream"]}

    assert "prepare_tables" in after("find_new_rows")
    assert "stg_commits" in after("prepare_tables")
    assert {"commit_metrics", "ml_features"} <= after("stg_commits")
    assert "daily_sales" in after("stg_sales")
    assert "announce_features" in after("ml_features")


def test_live_models_are_built_by_a_dag_of_their_own(dags: dict) -> None:
    dag = dags["update_live_marts"]
    tasks = {name.rpartition(".")[2]: task for name, task in dag["tasks"].items()}
    live = {path.stem for path in (ROOT / "dbt" / "models").rglob("live/*.sql")}
    others = {"find_new_live_rows", "prepare_live_tables", "announce_live_marts", "cool_down"}
    assert set(tasks) == live | others
    assert len(live) == 8

    def after(name: str) -> set[str]:
        return {below.rpartition(".")[2] for below in tasks[name]["downstream"]}

    assert after("find_new_live_rows") == {"prepare_live_tables"}
    assert after("prepare_live_tables") == {"stg_crypto_prices", "stg_weather", "stg_github_events"}
    assert after("stg_github_events") == {"developer_insights", "repository_insights", "activity_by_hour"}
    outlets = {outlet for task in tasks.values() for outlet in task["outlets"]}
    assert outlets == {"analytics.live_build", "analytics.live_marts"}


def test_without_a_manifest_only_the_transformations_are_missing_and_the_errors_name_the_remedy(look: Look) -> None:
    bundle = look(DBT_MANIFEST="/nowhere/manifest.json")
    assert DAG_IDS - set(bundle["dags"]) == {"transform_warehouse", "update_live_marts"}
    assert len(bundle["errors"]) == 2
    for error in bundle["errors"].values():
        assert "python -m local.services.dbt_manifest" in error


@pytest.mark.parametrize("name", ["bundle", "collecting"])
def test_parsing_imports_no_library_that_only_tasks_need(request: pytest.FixtureRequest, name: str) -> None:
    heavy = {"confluent_kafka", "pyarrow", "great_expectations", "fastavro", "aiosmtplib"}
    assert set(request.getfixturevalue(name)["imported"]) & heavy == set()


def test_of_the_shipped_sources_only_commits_are_collected_without_being_unpaused(dags: dict) -> None:
    """The chain from the API to the model begins there."""
    assert {dag_id for dag_id in COLLECT if not dags[dag_id]["paused"]} == {"collect_github_commits"}


def test_failed_runs_without_another_alert_notify(dags: dict) -> None:
    """In the other DAGs a task sends the alert for files, messages or checks."""
    of_runs = {
        "build_features",
        "maintain_platform",
        "materialize_features",
        "transform_warehouse",
        "train_commit_model",
        "train_task_delay",
        "update_lake",
        "update_live_marts",
    }
    assert {dag_id: dag["on_failure"] for dag_id, dag in dags.items() if dag["on_failure"]} == {
        **dict.fromkeys(of_runs, "notify_failed_run"),
        **dict.fromkeys(COLLECT, "notify_failed_source"),
    }


def test_reprocess_offers_the_datasets_and_stages(dags: dict) -> None:
    dag = dags["reprocess_failed"]
    assert dag["timetable"] == "NullTimetable"
    assert dag["params"]["dataset"]["enum"] == [*DATASETS, "unknown", "all"]
    assert dag["params"]["stage"]["enum"] == [None, "validate", "process", "load"]


def test_reprocess_is_refused_without_a_dataset(dags: dict) -> None:
    assert dags["reprocess_failed"]["accepts"] == [{"dataset": name} for name in ("sales", "unknown", "all")]


def test_contract_with_a_topic_gets_two_dags_and_one_without_gets_one(look: Look, contracts: Path) -> None:
    text = (CONTRACTS / "transactions.yaml").read_text()
    (contracts / "transactions.yaml").write_text(text.replace("topic: transactions", "topic: Bank.booked_v1-eu"))
    bundle = look(INGEST_CONTRACTS_DIR=str(contracts))
    assert bundle["errors"] == {}
    assert set(bundle["dags"]) == {
        "ingest_sales", "ingest_transactions", "consume_Bank.booked_v1-eu", *UPKEEP, *SIBLINGS
    }  # fmt: skip


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A directory with a copy of the sales contract."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "sales.yaml").write_text((CONTRACTS / "sales.yaml").read_text())
    return folder


def test_new_contract_makes_a_dag_appear(look: Look, contracts: Path) -> None:
    text = (CONTRACTS / "inventory.yaml").read_text()
    renamed = text.replace("id: inventory", "id: returns").replace("- name: inventory\n", "- name: returns\n")
    (contracts / "returns.yaml").write_text(renamed.replace("inventory*", "returns*"))
    bundle = look(INGEST_CONTRACTS_DIR=str(contracts))
    assert bundle["errors"] == {}
    assert set(bundle["dags"]) == {"ingest_sales", "ingest_returns", *UPKEEP, *SIBLINGS}
    assert bundle["dags"]["ingest_returns"]["tasks"]["wait_for_files"]["dataset"] == "returns"


def test_broken_contracts_make_no_dag_and_break_no_other(look: Look, contracts: Path) -> None:
    text = (CONTRACTS / "inventory.yaml").read_text()
    mistyped = text.replace("logicalType: integer", "logicalType: integr", 1).replace("inventory", "mistyped")
    (contracts / "mistyped.yaml").write_text(mistyped)
    (contracts / "no_yaml.yaml").write_text(text[: len(text) // 2] + "\n\t: [")
    bundle = look(INGEST_CONTRACTS_DIR=str(contracts))
    assert set(bundle["dags"]) == {"ingest_sales", *UPKEEP, *SIBLINGS}
    (path, trace), *others = bundle["errors"].items()
    assert not others
    assert path.endswith("broken_contracts.py")
    # File, position in it, remedy.
    assert re.search(r"mistyped.yaml.*\n.*schema\[0\]\.properties\[\d+\]\.logicalType.*Remedy: .*'integer'", trace)
    assert re.search(r"no_yaml.yaml.*\n.*line \d+.*Remedy: ", trace)


def test_draft_makes_no_dag_and_no_import_error(look: Look, contracts: Path) -> None:
    text = (CONTRACTS / "transactions.yaml").read_text()
    (contracts / "transactions.yaml").write_text(text.replace("status: active", "status: draft"))
    bundle = look(INGEST_CONTRACTS_DIR=str(contracts))
    assert bundle["errors"] == {}
    assert set(bundle["dags"]) == {"ingest_sales", *UPKEEP, *SIBLINGS}


def test_empty_catalogue_is_an_import_error_that_names_the_directory(look: Look, tmp_path: Path) -> None:
    bundle = look(INGEST_CONTRACTS_DIR=str(tmp_path))
    (path,) = bundle["errors"]
    assert path.endswith("broken_contracts.py")
    assert f"no contract in {tmp_path}" in bundle["errors"][path]
    assert set(bundle["dags"]) == DAG_IDS - INGEST - CONSUME - COLLECT


def test_contract_that_exhausts_its_check_does_not_break_others(look: Look, contracts: Path, tmp_path: Path) -> None:
    expression = "sale_id::VARCHAR"
    for _ in range(32):
        expression = f"array_to_string([{expression}], ',')"
    text = (contracts / "sales.yaml").read_text()
    (contracts / "transactions.yaml").write_text((CONTRACTS / "transactions.yaml").read_text())
    rule = "abs(total_amount - quantity * unit_price) <= 0.01"
    (contracts / "sales.yaml").write_text(text.replace(rule, f"{expression} = ''"))
    bundle = look(INGEST_CONTRACTS_DIR=str(contracts), INGEST_CONTRACTS_CACHE_DIR=str(tmp_path / "cache"))
    (path,) = bundle["errors"]
    assert "sales.yaml has 1 problem" in bundle["errors"][path]
    # Which limit it exceeds first depends on the speed and the load of the machine.
    assert any(limit in bundle["errors"][path] for limit in ("CPU time", "of memory", "took too long"))
    assert set(bundle["dags"]) == {"ingest_transactions", "consume_transactions", *UPKEEP, *SIBLINGS}


# Sources by definition


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sound definitions and three broken ones."""
    folder = tmp_path_factory.mktemp("definitions")
    written(folder, definition(name="shop", dataset="sales", description="Sales of both shops."), "shop.yaml")
    changes = {"dataset": "transactions", "deliver": "topic", "schedule": "*/30 * * * *", "paused": False}
    written(folder, definition(name="bank", **changes), "bank.yaml")
    written(folder, definition(name="mistyped", dataset="sale", shedule="@daily"), "mistyped.yaml")
    written(folder, definition(name="unknown", dataset="sale"), "unknown.yaml")
    written(folder, "name: [", "no_yaml.yaml")
    return folder


@pytest.fixture(scope="module")
def collecting(look: Look, definitions: Path) -> dict:
    return look(SOURCES_DIR=str(definitions))


def test_definition_makes_a_dag_appear(collecting: dict) -> None:
    assert set(collecting["dags"]) == (DAG_IDS - COLLECT) | {"collect_shop", "collect_bank"}
    shop, bank = collecting["dags"]["collect_shop"], collecting["dags"]["collect_bank"]
    assert (shop["timetable"], bank["timetable"]) == ("CronTriggerTimetable", "CronTriggerTimetable")
    for dag, dataset in ((shop, "sales"), (bank, "transactions")):
        document = yaml.safe_load((CONTRACTS / f"{dataset}.yaml").read_text())
        assert dag["owner"] == document["team"]["name"]
        assert (dag["catchup"], dag["runs"], dag["paused"]) == (False, 1, dag is shop)
        assert ("A new DAG is paused" in dag["doc"]) is (dag is shop)
        assert dag["start"].startswith("2026-01-01")
        assert dag["on_failure"] == "notify_failed_source"
        assert {"sources", dataset} <= set(dag["tags"])
        assert {name: task["downstream"] for name, task in dag["tasks"].items()} == {
            "list_elements": ["collect"],
            "collect": [],
        }
        assert [name for name, task in dag["tasks"].items() if task["mapped"]] == ["collect"]
        assert {task["retries"] for task in dag["tasks"].values()} == {IngestSettings().retries}
        for head in ("Purpose", "Trigger", "Reads", "Writes", "On failure", "How to rerun"):
            assert f"**{head}**" in dag["doc"]
    assert shop["params"]["full"]["default"] is False
    assert shop["params"]["elements"]["default"] == []


def test_page_of_a_source_has_its_definition_in_words(collecting: dict) -> None:
    shop, bank = collecting["dags"]["collect_shop"]["doc"], collecting["dags"]["collect_bank"]["doc"]
    for words in ("Sales of both shops.", "`source_shop`", "`GET /shops/{shop}/orders?limit=100`", "`incoming/sales/`"):
        assert words in shop
    assert "the topic `transactions`, from which `consume_transactions` loads `raw.transactions`" in bank


def test_broken_definitions_make_no_dag_and_break_no_other(collecting: dict) -> None:
    [(path, trace)] = collecting["errors"].items()
    assert path.endswith("broken_sources.py")
    assert re.search(r"mistyped.yaml has 1 problem.*\n.*shedule: unknown key. Remedy: write 'schedule'", trace)
    assert re.search(r"no_yaml.yaml.*\n.*line \d+.*Remedy: ", trace)
    assert re.search(r"unknown.yaml.*\n.*dataset: there is no contract for 'sale'; did you mean sales", trace)


def test_definition_of_a_broken_contract_is_reported_with_it(look: Look, contracts: Path, tmp_path: Path) -> None:
    (contracts / "inventory.yaml").write_text("a: [")
    folder = tmp_path / "sources"
    folder.mkdir()
    written(folder, definition(name="stocktaking", dataset="inventory"), "stocktaking.yaml")
    bundle = look(INGEST_CONTRACTS_DIR=str(contracts), SOURCES_DIR=str(folder))
    assert {Path(path).name for path in bundle["errors"]} == {"broken_contracts.py", "broken_sources.py"}
    assert set(bundle["dags"]) == {"ingest_sales", *UPKEEP, *SIBLINGS}
    [trace] = [trace for path, trace in bundle["errors"].items() if path.endswith("broken_sources.py")]
    assert "dataset: the contract cannot be used: inventory.yaml has 1 problem" in trace


def test_folder_of_definitions_may_be_missing(look: Look) -> None:
    bundle = look(SOURCES_DIR="/nowhere/sources")
    assert bundle["errors"] == {}
    assert set(bundle["dags"]) == DAG_IDS - COLLECT
