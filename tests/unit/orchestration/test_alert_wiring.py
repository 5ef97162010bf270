"""Which alerts each task sends. The work of the tasks is replaced by stubs.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from include.contracts.reader import read_contract
from include.errors import Code, PermanentError, RetryableError
from include.ingestion import settle
from include.ingestion.upkeep import sweep
from include.orchestration import alerts, consume, file_moves, ingest, quality, stores
from include.quality import check
from include.settings import CONTRACTS_DIR
from include.streams.consume import Consumed

sent, outcomes = [], {}
SETTINGS = SimpleNamespace(on=True)
alerts.alert_settings = lambda: SETTINGS
alerts._notify_messages = lambda contract, consumed, code: sent.append(
    ["messages", contract.topic, consumed.dead_letters, code])
alerts._notify_checks = lambda began: sent.append(["checks"])
ingest.notify_waiting_files = consume.notify_waiting_files = lambda dataset: None
ingest.notify_quarantined_files = file_moves.notify_quarantined_files = lambda dataset: sent.append(["files", dataset])
file_moves.notify_held_back_files = lambda: sent.append(["held back"])
context = {"dag": SimpleNamespace(dag_id="d"), "run_id": "r", "params": {"ignore_threshold": False},
           "ti": SimpleNamespace(try_number=1, xcom_push=lambda *values: None)}
for module in (ingest, consume, file_moves):
    module.get_current_context = lambda: context

@contextmanager
def connected(*arguments, **options):
    yield SimpleNamespace(objects=None, ledger=None)
stores.connected_stores = connected
stores.s3_config = stores.warehouse_transform_config = stores.lake_config = lambda: None

def outcome(name, call, *arguments):
    sent.clear()
    try:
        end = call(*arguments)
    except Exception as error:
        end = type(error).__name__
    outcomes[name] = {"end": end, "sent": list(sent)}

def task(dag, name):
    return dag.get_task(name).python_callable

sales = read_contract(CONTRACTS_DIR / "sales.yaml")
settle.settle_dataset = lambda *given: settle.Settled({"validation_failed": 2})
outcome("settle", task(ingest.ingest_dag(sales), "settle"))
away = RetryableError(Code.BUCKET_UNAVAILABLE, "away")
settle.settle_dataset = lambda *given: settle.Settled({"archived": 2}, [away])
outcome("settle but one", task(ingest.ingest_dag(sales), "settle"))
settle.settle_dataset = lambda *given: settle.Settled({"archived": 2}, [away, ValueError("a defect")])
outcome("settle and meet a defect", task(ingest.ingest_dag(sales), "settle"))

def failing(code):
    def fail(*given, **options):
        raise PermanentError(code, "no")
    return fail

settle.settle_dataset = failing(Code.BUCKET_REFUSED)
outcome("settle and fail", task(ingest.ingest_dag(sales), "settle"))

for name, quarantined in (("sweep of an unknown file", 1), ("sweep of nothing", 0)):
    sweep.sweep = lambda *given: sweep.Swept(0, quarantined)
    outcome(name, file_moves.sweep_incoming.function)
sweep.sweep = failing(Code.BUCKET_REFUSED)
outcome("sweep and fail", file_moves.sweep_incoming.function)

class Consumer:
    def __init__(self, fail=None):
        self.result, self.fail = Consumed(Counter({"loaded": 1}), 100, 7), fail
    def consume(self):
        if self.fail:
            self.fail()
        return self.result

transactions = read_contract(CONTRACTS_DIR / "transactions.yaml")
for name, fail in (("consume", None), ("consume and stop", failing(Code.ERROR_BUDGET_EXCEEDED))):
    consumer = Consumer(fail)
    @contextmanager
    def connected_consumer(*arguments, **options):
        yield consumer
    stores.connected_consumer = connected_consumer
    outcome(name, task(consume.consume_dag(transactions), "consume"))

for name, code in (("critical", Code.QUALITY_CRITICAL), ("refused", Code.WAREHOUSE_REFUSED)):
    check.check_warehouse = failing(code)
    outcome(name, quality.check_tables.function, "sales")
    outcome(f"{name} of live sources", quality.check_live_tables.function)

print("OUTCOMES" + json.dumps(outcomes, default=str))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://unused:x@127.0.0.1:1/none",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, cwd=home, timeout=300,
        check=False,
    )  # fmt: skip
    line = next((line for line in answer.stdout.splitlines() if line.startswith("OUTCOMES")), None)
    assert line is not None, answer.stderr[-3000:]
    return json.loads(line.removeprefix("OUTCOMES"))


@pytest.mark.parametrize(
    ("task", "end", "sent"),
    [
        pytest.param("settle", {"validation_failed": 2}, [["files", "sales"]], id="settle"),
        pytest.param("settle but one", {"archived": 2}, [["files", "sales"]], id="settle-but-one-that-waits"),
        pytest.param("settle and meet a defect", "ValueError", [["files", "sales"]], id="settle-and-meet-a-defect"),
        pytest.param("settle and fail", "AirflowFailException", [["files", "sales"]], id="settle-and-fail"),
        pytest.param(
            "sweep of an unknown file", {"routed": 0, "quarantined": 1}, [["files", "unknown"], ["held back"]],
            id="sweep",
        ),
        pytest.param(
            "sweep of nothing", {"routed": 0, "quarantined": 0}, [["files", "unknown"], ["held back"]],
            id="sweep-of-nothing",
        ),
        pytest.param(
            "sweep and fail", "AirflowFailException", [["files", "unknown"], ["held back"]], id="sweep-and-fail"
        ),
        pytest.param(
            "consume", {"loaded": 1, "messages": 100, "rows": 0, "dead letters": 7},
            [["messages", "transactions", 7, ""]], id="consume",
        ),
        pytest.param(
            "consume and stop", "AirflowFailException", [["messages", "transactions", 7, "error-budget-exceeded"]],
            id="consume-and-stop",
        ),
        pytest.param("critical", "AirflowFailException", [["checks"]], id="critical-check"),
        pytest.param("refused", "AirflowFailException", [], id="no-check-was-made"),
        pytest.param(
            "critical of live sources", "AirflowFailException", [["checks"]], id="critical-check-of-live-sources"
        ),
        pytest.param("refused of live sources", "AirflowFailException", [], id="no-check-of-live-sources-was-made"),
    ],
)  # fmt: skip
def test_task_sends_its_alerts_and_its_outcome_does_not_change(
    outcomes: dict, task: str, end: object, sent: list
) -> None:
    assert outcomes[task] == {"end": end, "sent": sent}
