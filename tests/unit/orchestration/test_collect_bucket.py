"""The DAG of a bucket source: its page, its label, its connection, and what the engine gets. The engine is replaced.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

import json
from typing import Any

import pytest

from tests.unit.orchestration.airflow_script import results_of

pytestmark = pytest.mark.unit

CONNECTIONS: dict[str, dict[str, Any] | None] = {
    "host": {"host": "https://s3.example.org", "login": "key", "password": "s3cret"},
    "host and port": {"host": "s3.example.org", "port": 9000, "schema": "http", "login": "key", "password": "s3cret"},
    "extra": {
        "conn_type": "aws", "login": "key", "password": "s3cret",
        "extra": {"endpoint_url": "https://s3.example.org", "region_name": "eu-central-1"},
    },
    "aws": {"conn_type": "aws", "login": "key", "password": "s3cret"},
    "virtual": {"host": "https://s3.example.org", "extra": {"config_kwargs": {"s3": {"addressing_style": "virtual"}}}},
    "unknown style": {"host": "https://s3.example.org", "extra": {"config_kwargs": {"s3": {"addressing_style": "x"}}}},
    "public": {"host": "https://s3.example.org"},
    "login in the address": {"host": "https://key:s3cret@s3.example.org"},
    "region of another type": {"extra": {"region_name": 3}},
    "none": None,
    "stand-in": {"host": "http://127.0.0.1:9000", "extra": {"stand_in": True}},
}  # fmt: skip
SCRIPT = """
import json, os, sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
import yaml
from include.errors import PermanentError
from include.orchestration import bucket_sources, collect, sources
from include.sources.__main__ import BUCKET_EXAMPLE
from include.sources.reader import read_source
from tests.unit.sources.source_files import ORDERS, written

path = written(Path(sys.argv[1]), yaml.safe_load(BUCKET_EXAMPLE), "partner_orders.yaml")
source = read_source(path, lambda _: ORDERS)
dag = collect.collect_dag(source, ORDERS)
results = {"page": dag.doc_md, "id": dag.dag_id, "elements": collect.element_names(source)}
for name, connection in json.loads(sys.argv[2]).items():
    key = "AIRFLOW_CONN_SOURCE_" + name.upper().replace(" ", "_").replace("-", "_")
    if connection is not None:
        os.environ[key] = json.dumps({"conn_type": "http"} | connection)
    try:
        found = sources.source_connection(key.removeprefix("AIRFLOW_CONN_").lower(), "bucket")
        config = bucket_sources.origin_config(found)
        secret = config.secret_access_key.get_secret_value() == "s3cret"
        results[name] = [config.endpoint_url, config.access_key_id, secret, config.region, config.addressing_style]
    except PermanentError as error:
        results[name] = [error.code, str(error)]

def module(name, **names):
    made = ModuleType(name)
    vars(made).update(names)
    sys.modules[name] = made

class Task(SimpleNamespace):
    def __init__(self, source, contract, element, attempt, is_full):
        super().__init__(
            source=source, contract=contract, element=element, attempt=attempt, is_full=is_full
        )

def engine(task, origin, traffic, stores):
    results["engine"] = [
        task.source.name, task.contract.dataset, task.element.name, task.attempt.run.dag_id,
        task.attempt.run.run_id, task.is_full,
        origin.endpoint, stores.objects.endpoint, stores.landing_bucket, stores.warehouse.user, traffic.is_stand_in,
    ]
    return SimpleNamespace(records_read=1234, skipped_until=None, is_stand_in=False, summary=lambda: {"copied": 1234})

module("include.sources.bucket.run", BucketTask=Task, collect_objects=engine)
os.environ["AIRFLOW_CONN_SOURCE_PARTNER"] = os.environ["AIRFLOW_CONN_SOURCE_HOST"]
os.environ["AIRFLOW_CONN_LANDING_S3"] = json.dumps(
    {"conn_type": "aws", "login": "a", "password": "b", "extra": {"endpoint_url": "http://127.0.0.1:1"}}
)
os.environ["AIRFLOW_CONN_WAREHOUSE_PG"] = json.dumps({"conn_type": "postgres", "host": "h", "login": "ingest"})
context = {
    "params": {"elements": [], "full": True}, "run_id": "r", "ti": SimpleNamespace(try_number=1),
    "dag": SimpleNamespace(dag_id=dag.dag_id),
}
collect.get_current_context = lambda: context
results["end"] = dag.get_task("collect").python_callable("s3://exports/orders/")
results["label"] = context["element_label"]
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    # A key of the machine, which no source may get.
    machine = {"AWS_ACCESS_KEY_ID": "machine", "AWS_SECRET_ACCESS_KEY": "machine"}
    return results_of(SCRIPT, home, str(home), json.dumps(CONNECTIONS), environment=machine, secret="s3cret")


def test_page_says_what_is_read_and_has_the_definition(results: dict[str, Any]) -> None:
    assert results["id"] == "collect_partner_orders"
    assert results["elements"] == ["s3://exports/orders/"]
    page = results["page"]
    reads = "**Reads**: `ops.source_object`, the bucket (login: access key; password: secret; host: address) of the "
    assert f"{reads}connection `source_partner`, `ops.source_position`." in page
    assert "\n# partner_orders\n" in page
    assert "{" not in page.partition("\n# partner_orders\n")[0]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("host", ["https://s3.example.org", "key", True, "us-east-1", "path"]),
        ("host and port", ["http://s3.example.org:9000", "key", True, "us-east-1", "path"]),
        ("extra", ["https://s3.example.org", "key", True, "eu-central-1", "path"]),
        ("aws", [None, "key", True, "us-east-1", "path"]),
        ("public", ["https://s3.example.org", "", False, "us-east-1", "path"]),
        ("virtual", ["https://s3.example.org", "", False, "us-east-1", "virtual"]),
    ],
)
def test_connection_is_the_store_of_the_source(results: dict[str, Any], name: str, config: list[Any]) -> None:
    assert results[name] == config


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("login in the address", "The address of the connection source_login_in_the_address cannot be used."),
        ("region of another type", "The address of the connection source_region_of_another_type cannot be used."),
        (
            "unknown style",
            "addressing_style in the extra of the connection source_unknown_style must be",
        ),
        (
            "none",
            "There is no connection source_none. Add it in Airflow (Admin, Connections), or as "
            "AIRFLOW_CONN_SOURCE_NONE in sources.env, which is read at the next start: login is the access key",
        ),
        ("stand-in", "is that of a stand-in"),
    ],
)
def test_unusable_connection_is_refused_with_a_remedy(results: dict[str, Any], name: str, words: str) -> None:
    code, message = results[name]
    assert code == "source-refused"
    assert words in message


def test_engine_gets_the_stores_and_the_run(results: dict[str, Any]) -> None:
    assert results["engine"] == [
        "partner_orders", "shop_orders", "s3://exports/orders/", "collect_partner_orders", "r", True,
        "https://s3.example.org", "http://127.0.0.1:1", "landing", "ingest", False,
    ]  # fmt: skip
    assert results["end"] == {"copied": 1234}
    assert results["label"] == "s3://exports/orders/: 1,234 objects"
