"""The DAG `collect_<source>`: its tasks, their failures and labels, and the connection. The engine is replaced.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

import json
from typing import Any

import pytest

from tests.unit.orchestration.airflow_script import results_of

pytestmark = pytest.mark.unit

CONNECTIONS: dict[str, dict[str, Any] | None] = {
    "address": {"host": "https://api.example.org/v2", "password": "s3cret"},
    "path and port": {"host": "https://api.example.org/v2", "port": 8443},
    "none": None,
    "no host": {"password": "s3cret"},
    "stand-in": {"host": "http://127.0.0.1:8300", "extra": {"stand_in": True}},
}
SCRIPT = """
import json, os, sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from include import settings
from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.ingestion.records import AirflowRun
from include.orchestration import collect, sources
from include.orchestration.stores import api_url
from include.sources import runs
from include.sources.reader import read_source
from tests.unit.sources.source_files import ORDERS, TOPIC, document, written

folder = Path(sys.argv[1])
source = read_source(written(folder, document()), lambda _: ORDERS)
dag = collect.collect_dag(source, ORDERS)
NAMES = ["/shops/north/orders", "/shops/south/orders"]
collect_element, element_names = collect.collect_element, collect.element_names
collect.element_names = lambda source: NAMES
FAILURES = {
    "limited": RetryableError(Code.RATE_LIMITED, "used up until 10:00; the next run continues"),
    "limited for long": RetryableError(Code.RATE_LIMITED, "used up until 2029", is_long=True),
    "unavailable": RetryableError(Code.SOURCE_UNAVAILABLE, "away"),
    "refused": PermanentError(Code.SOURCE_REFUSED, "wrong token"),
}
asked, noted = [], []

@contextmanager
def failures_recorded(find_warehouse, source, element, run):
    try:
        yield runs.AirflowAttempt(run)
    except PipelineError as error:
        noted.append([source, element, run.dag_id, run.run_id, str(error.code)])
        raise
runs.failures_recorded = failures_recorded

def call(function, *arguments, **params):
    context = {
        "params": {"elements": [], "full": False} | params, "run_id": "r", "dag": SimpleNamespace(dag_id=dag.dag_id),
    }
    collect.get_current_context = lambda: context
    asked.clear()
    noted.clear()
    try:
        end = function(*arguments)
    except Exception as error:
        end = [type(error).__name__, str(error)]
    return {"end": end, "asked": list(asked), "noted": list(noted), "label": context.get("element_label")}

class Done(SimpleNamespace):
    def __str__(self):
        return "no request before 10:00"
    def summary(self):
        return {"records_read": self.records_read}

def run(failure=None, skipped_until=None, is_stand_in=False, **given):
    def collect_element(source, contract, element, attempt, *, full):
        asked.append([source.name, contract.dataset, element, attempt.run.run_id, full])
        if failure:
            raise FAILURES[failure]
        return Done(records_read=1234, skipped_until=skipped_until, is_stand_in=is_stand_in)
    collect.collect_element = collect_element
    return call(dag.get_task("collect").python_callable, NAMES[0], **given)

results = {name: run(name) for name in FAILURES}
results |= {"good": run(), "full": run(full=True)}
results["label"] = collect.label("/" + "a" * 400 + "/orders", ": 7 records")
results["stand-in"] = run(is_stand_in=True)
results["too early"] = run(skipped_until="10:00")
listing = dag.get_task("list_elements").python_callable
results["all"] = call(listing)
results["one"] = call(listing, elements=[" /shops/south/orders ", "/shops/south/orders"])
results["unknown"] = call(listing, elements=["/shops/noth/orders"])
mapped = dag.get_task("collect")
results["task"] = {
    "mapped": mapped.is_mapped, "at once": mapped.partial_kwargs.get("max_active_tis_per_dagrun"),
    "label": mapped.partial_kwargs.get("map_index_template"), "downstream": sorted(mapped.downstream_task_ids),
    "upstream": sorted(mapped.upstream_task_ids),
}
published = read_source(written(folder, document(deliver="topic")), lambda _: TOPIC)
topic = collect.collect_dag(published, TOPIC)
results["pages"] = {"file": dag.doc_md, "topic": topic.doc_md}
for variable in ('{"extra": {"stand_in": true}}', '{"extra": "{}"}', "http://h", "[]"):
    os.environ["AIRFLOW_CONN_SOURCE_SHOP"] = variable
    results["pages"][variable] = collect.collect_dag(source, ORDERS).doc_md
del os.environ["AIRFLOW_CONN_SOURCE_SHOP"]
for name, connection in json.loads(sys.argv[2]).items():
    key = "AIRFLOW_CONN_SOURCE_" + name.upper().replace(" ", "_").replace("-", "_")
    if connection is not None:
        os.environ[key] = json.dumps({"conn_type": "http"} | connection)
    def find(stand_in, key=key):
        sources.source_settings = lambda: settings.SourceSettings(stand_in=stand_in)
        try:
            return api_url(sources.source_connection(key.removeprefix("AIRFLOW_CONN_").lower()))
        except PermanentError as error:
            return [error.code, str(error)]
    results[f"connection: {name}"] = find(False)
    results[f"connection: {name}, allowed"] = find(True)
# What the engine gets: the engine itself is replaced.
def module(name, **names):
    made = ModuleType(name)
    vars(made).update(names)
    sys.modules[name] = made

class Client:
    def __init__(self, source, api, traffic):
        asked.append([api.url, api.login, api.password.get_secret_value() == "s3cret", repr(api), traffic.is_stand_in])
    def __enter__(self):
        return self
    def __exit__(self, *_):
        asked.append("closed")

class Reader:
    def __init__(self, client, contract):
        asked.append([type(client).__name__, contract.dataset])
    def read(self, element, position, sink, full_run):
        return [element.name, position.watermark, position.next_page, sink, full_run]

def engine(task, read, traffic, stores):
    unfinished = Position("2026", next_page="2")
    return {
        "task": [task.source.name, task.contract.dataset, task.element.name, *asdict(task.attempt.run).values()],
        "read": read(task.element, unfinished, "sink"),
        "stores": [
            stores.warehouse.user, stores.landing_bucket, stores.spool_dir.name,
            stores.kafka and stores.kafka.bootstrap_servers, stores.streams.group,
        ],
    }

from dataclasses import asdict, dataclass
from typing import Any
from pydantic import SecretStr
from include.sources.listing import Position

@dataclass
class Api:
    url: str
    login: str = ""
    password: SecretStr = SecretStr("")

@dataclass
class Task:
    source: Any
    contract: Any
    element: Any
    attempt: Any

@dataclass
class Stores:
    objects: Any
    warehouse: Any
    landing_bucket: str
    spool_dir: Path
    kafka: Any
    streams: Any

module("include.sources.elements", elements=lambda source: [SimpleNamespace(name=name) for name in NAMES])
module("include.sources.rest")
module("include.sources.rest.auth", ApiConnection=Api)
module("include.sources.rest.client", RestClient=Client)
module("include.sources.rest.reading", RestReader=Reader)
module("include.sources.run", ElementTask=Task, SourceStores=Stores, collect=engine)
os.environ["AIRFLOW_CONN_SOURCE_SHOP"] = json.dumps(
    {"conn_type": "http", "host": "https://api.example.org/v2", "login": "me", "password": "s3cret"}
)
for name in ("landing_s3", "warehouse_pg"):
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps({"conn_type": "x", "host": "h", "login": "ingest"})
os.environ["AIRFLOW_CONN_EVENTS_KAFKA"] = json.dumps({"conn_type": "kafka", "extra": {"bootstrap.servers": "h:9092"}})
attempt = runs.AirflowAttempt(AirflowRun(dag.dag_id, "r"))
glued = {"file": (source, ORDERS, False), "topic": (published, TOPIC, False), "full": (source, ORDERS, True)}
for name, (given, contract, full) in glued.items():
    results[f"engine: {name}"] = call(lambda: collect_element(given, contract, NAMES[1], attempt, full=full))
results["vanished"] = call(lambda: collect_element(source, ORDERS, "/shops/east/orders", attempt, full=False))
from include.orchestration.source_readers import open_reader
from include.sources.database.definition import DatabaseSource
from include.sources.listing import Traffic

database = DatabaseSource.model_validate({
    "name": "crm_users", "kind": "database", "connection": "source_crm", "schedule": None, "dataset": "shop_orders",
    "schema": "shop", "table": "users",
})
connection = SimpleNamespace(
    conn_type="mysql", host="db", port=3307, login="app", password="s3cret", schema="crm",
    extra='{"time_zone": "Europe/Berlin"}', extra_dejson={"time_zone": "Europe/Berlin"},
)
with open_reader(database, ORDERS, connection, Traffic()) as reader:
    found = reader._connection
    results["database"] = [
        type(reader).__name__, found.engine, found.host, found.port, found.login, found.database, str(found.time_zone),
        found.password.get_secret_value() == "s3cret", repr(found),
    ]
results["pages"]["database"] = collect.collect_dag(database, ORDERS).doc_md
collect.element_names = element_names
results["names"] = collect.element_names(source)
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    return results_of(SCRIPT, home, str(home), json.dumps(CONNECTIONS), secret="s3cret")


def test_elements_are_collected_one_after_the_other_with_labels(results: dict[str, Any]) -> None:
    assert results["task"] == {
        "mapped": True, "at once": 1, "label": "{{ element_label }}", "downstream": [], "upstream": ["list_elements"]
    }  # fmt: skip


def test_successful_task_returns_counts(results: dict[str, Any]) -> None:
    assert results["good"] == {
        "end": {"records_read": 1234},
        "asked": [["shop_orders", "shop_orders", "/shops/north/orders", "r", False]],
        "noted": [],
        "label": "/shops/north/orders: 1,234 records",
    }


@pytest.mark.parametrize(
    ("failure", "ends_as", "words"),
    [
        pytest.param("limited", "AirflowSkipException", "used up until 10:00; the next run continues", id="skipped"),
        pytest.param("limited for long", "AirflowFailException", "used up until 2029", id="failed, not skipped"),
        pytest.param("unavailable", "RetryableError", "away", id="retried"),
        pytest.param("refused", "AirflowFailException", "collect: source-refused: wrong token", id="failed"),
    ],
)
def test_failure_has_the_matching_task_outcome(results: dict[str, Any], failure: str, ends_as: str, words: str) -> None:
    kind, message = results[failure]["end"]
    assert kind == ends_as
    assert words in message
    assert results[failure]["label"] == "/shops/north/orders"
    [noted] = results[failure]["noted"]
    assert noted[:4] == ["shop_orders", "/shops/north/orders", "collect_shop_orders", "r"]


def test_full_run_is_known_to_the_engine(results: dict[str, Any]) -> None:
    assert [asked[-1] for asked in results["full"]["asked"]] == [True]


def test_label_of_a_long_name_fits_airflows_table(results: dict[str, Any]) -> None:
    label = results["label"]
    assert len(label) == 250
    assert label.startswith("/aaa")
    assert label.endswith("a/orders: 7 records")


def test_element_that_the_definition_has_no_more_fails_with_a_remedy(results: dict[str, Any]) -> None:
    kind, message = results["vanished"]["end"]
    assert kind == "PermanentError"
    assert "has no element '/shops/east/orders' any more. Start another run" in message


def test_label_names_a_stand_in(results: dict[str, Any]) -> None:
    assert results["stand-in"]["label"] == "/shops/north/orders: 1,234 records of a stand-in"


def test_run_before_the_time_that_the_api_asks_for_is_skipped(results: dict[str, Any]) -> None:
    assert results["too early"]["end"] == ["AirflowSkipException", "no request before 10:00"]


def test_run_lists_all_elements_or_the_chosen_ones(results: dict[str, Any]) -> None:
    assert results["all"]["end"] == ["/shops/north/orders", "/shops/south/orders"]
    assert results["one"]["end"] == ["/shops/south/orders"]


def test_unknown_element_fails_with_the_nearest_names(results: dict[str, Any]) -> None:
    kind, message = results["unknown"]["end"]
    assert kind == "AirflowFailException"
    assert "There is no element '/shops/noth/orders'. Did you mean /shops/north/orders" in message
    assert message.endswith("Elements: /shops/north/orders, /shops/south/orders")


def test_page_of_the_dag_says_where_records_go_and_has_the_definition(results: dict[str, Any]) -> None:
    page = results["pages"]["file"]
    assert "**Trigger**: on the schedule `@hourly`, or manually" in page
    assert "**Writes**: `incoming/shop_orders/`, " in page
    assert "\n# shop_orders\n" in page
    assert "**Writes**: the topic `shop.orders`, " in results["pages"]["topic"]


def test_page_begins_with_a_note_on_invented_values_only_where_a_stand_in_answers(results: dict[str, Any]) -> None:
    noted = [name for name, page in results["pages"].items() if "The values are invented" in page]
    assert noted == ['{"extra": {"stand_in": true}}']
    assert results["pages"][noted[0]].startswith(
        "> **The values are invented**: a stand-in answers at the connection `source_shop`, not the real API."
    )


@pytest.mark.parametrize(
    ("name", "url"),
    [
        pytest.param("address", "https://api.example.org/v2", id="scheme and path"),
        pytest.param("path and port", "https://api.example.org:8443/v2", id="port"),
        pytest.param("stand-in, allowed", "http://127.0.0.1:8300", id="stand-in"),
    ],
)
def test_connection_has_the_address(results: dict[str, Any], name: str, url: str) -> None:
    assert results[f"connection: {name}"] == url


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("none", "There is no connection source_none. Add it in Airflow", id="missing"),
        pytest.param(
            "none, allowed",
            "or as AIRFLOW_CONN_SOURCE_NONE in sources.env, which is read at the next start: host is the API's address",
            id="remedy",
        ),
        pytest.param("no host", "The connection source_no_host has no host. Add it in Airflow", id="no host"),
        pytest.param("stand-in", "or set SOURCES_STAND_IN=true", id="stand-in"),
    ],
)
def test_connection_that_cannot_be_used_fails_with_a_remedy(results: dict[str, Any], name: str, words: str) -> None:
    code, message = results[f"connection: {name}"]
    assert code == "source-refused"
    assert words in message


def test_engine_gets_the_element_and_the_connections_of_airflow(results: dict[str, Any]) -> None:
    found = results["engine: file"]
    assert found["end"]["task"] == ["shop_orders", "shop_orders", "/shops/south/orders", "collect_shop_orders", "r"]
    assert found["end"]["stores"] == ["ingest", "landing", "ingest-spool", None, "filegate"]
    (url, login, has_password, shown, is_stand_in), reader, closed = found["asked"]
    assert (url, login, has_password, is_stand_in) == ("https://api.example.org/v2", "me", True, False)
    assert "s3cret" not in shown
    assert (reader, closed) == (["Client", "shop_orders"], "closed")
    assert results["engine: topic"]["end"]["stores"][3] == "h:9092"
    assert results["names"] == ["/shops/north/orders", "/shops/south/orders"]


@pytest.mark.parametrize(("run", "full_run"), [("file", ""), ("full", "r")])
def test_reader_gets_the_position_and_whether_the_run_is_full(results: dict[str, Any], run: str, full_run: str) -> None:
    assert results[f"engine: {run}"]["end"]["read"] == ["/shops/south/orders", "2026", "2", "sink", full_run]


def test_reader_of_a_database_gets_all_parts_of_the_connection(results: dict[str, Any]) -> None:
    *parts, shown = results["database"]
    assert parts == ["DatabaseReader", "mysql", "db", 3307, "app", "crm", "Europe/Berlin", True]
    assert "s3cret" not in shown


def test_page_of_a_database_names_the_table(results: dict[str, Any]) -> None:
    page = results["pages"]["database"]
    assert "**Reads**: the table or query (host, port, login, password; schema: the database)" in page
    assert "the table or view `shop.users` in the database of the connection `source_crm`" in page
