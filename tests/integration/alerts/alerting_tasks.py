"""A process that sends alerts as tasks do. Each line of standard input is a request in JSON; it prints each response.

It is a separate process, since Airflow reads its configuration at import; all tests share it, since the import takes
seconds.
"""

import io
import json
import logging
import os
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from include.alerts.message import Alert, Item
from include.contracts.reader import read_contract
from include.errors import Code, PermanentError
from include.orchestration import alerts
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import CONTRACTS_DIR, AlertSettings, alert_settings, ingest_settings
from include.settings_base import is_constant
from include.streams.consume import Consumed
from include.streams.message_ledger import TopicRange

ROOT = Path(__file__).parents[3]


def context(dag_id: str, run_id: str, began: str | None = None) -> dict:
    start = datetime.fromisoformat(began) if began else None
    return {"dag": SimpleNamespace(dag_id=dag_id), "run_id": run_id, "dag_run": SimpleNamespace(start_date=start)}


def send(name: str) -> bool:
    alert = Alert("sales", "1 file quarantined", {"empty-file": 1}, (Item(name, "empty-file"),), advice="Grüße")
    return alerts._send(alert)


def files(dataset: str, began: str, run_id: str = "run 1/é") -> None:
    alerts.get_current_context = lambda: context(f"ingest_{dataset}", run_id, began)
    alerts.notify_quarantined_files(dataset)


def held_back() -> None:
    alerts.notify_held_back_files()


def waiting(dataset: str) -> None:
    alerts.get_current_context = lambda: context(f"ingest_{dataset}", "run-1")
    alerts.notify_waiting_files(dataset)


def outage(awaited: str, code: str, began: str) -> None:
    alerts.get_current_context = lambda: context("ingest_sales", "run-1")
    alerts.notify_outage(awaited, code, datetime.fromisoformat(began))


def messages(
    code: str = "", stopped: int = 0, dead_letters: int = 0, messages: int = 0, removed: list[int] | None = None
) -> None:
    alerts.get_current_context = lambda: context("consume_transactions", "run-1")
    contract = read_contract(CONTRACTS_DIR / "transactions.yaml")
    with alerts.alert_on_bad_messages(contract) as watched, no_retry_of_permanent_errors():
        batches = Counter({"stopped": stopped} if stopped else {})
        ranges = [TopicRange("transactions", *removed)] if removed else []
        watched.consumed = Consumed(batches, messages, dead_letters, removed=ranges)
        if code:
            raise PermanentError(Code(code), "the value 4711 of Jane Doe is bad")


def checks(code: str) -> None:
    alerts.get_current_context = lambda: context("check_quality", "run-1")
    with alerts.alert_on_critical_checks(), no_retry_of_permanent_errors():
        raise PermanentError(Code(code), "saw 4711 of Jane Doe")


def run(dag_id: str, failed: list[str]) -> None:
    """Call the failure callback of a DAG of the bundle, as the DAG processor does."""
    from airflow.callbacks.callback_requests import DagCallbackRequest
    from airflow.dag_processing.dagbag import DagBag
    from airflow.dag_processing.processor import _execute_dag_callbacks

    states = dict.fromkeys(failed, "failed") | {"good": "success", "behind": "upstream_failed"}
    RuntimeTaskInstance.get_task_states = staticmethod(lambda dag_id, run_ids: {run_ids[0]: states})
    file = "collect_sources" if dag_id.startswith("collect_") else dag_id
    bag = DagBag(str(ROOT / "dags" / f"{file}.py"), load_op_links=False)
    request = DagCallbackRequest(
        dag_id=dag_id, run_id="run-1", filepath=f"dags/{file}.py", bundle_name="platform", bundle_version=None,
        msg="task_failure",
    )  # fmt: skip
    quiet = SimpleNamespace(**dict.fromkeys(("info", "warning", "exception"), lambda *arguments, **options: None))
    _execute_dag_callbacks(bag, request, quiet)


ACTIONS = {each.__name__: each for each in (send, files, held_back, waiting, outage, messages, checks, run)}


def constants() -> dict[str, str]:
    """What the environment has for constants of the alerts, which they do not read from there."""
    names = [name for name, field in AlertSettings.model_fields.items() if is_constant(field)]
    return {name: value for name in names if (value := os.environ.get(f"ALERTS_{name.upper()}"))}


made = AlertSettings.__init__
AlertSettings.__init__ = lambda self: made(self, **constants())


def respond(request: dict) -> dict:
    os.environ.update(request["environment"])
    for cached in (alert_settings, ingest_settings):
        cached.cache_clear()
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger().addHandler(handler)
    result, raised = None, ""
    try:
        result = ACTIONS[request["action"]](**request["arguments"])
    except AirflowFailException as error:
        raised = type(error.__cause__).__name__
    finally:
        logging.getLogger().removeHandler(handler)
        for name in request["environment"]:
            os.environ.pop(name)
    return {"result": result, "raised": raised, "log": logged.getvalue()}


def main() -> None:
    logging.getLogger().setLevel(logging.INFO)
    for line in sys.stdin:
        # The prefix marks responses, because Airflow writes to this pipe too.
        print(f"RESPONSE{json.dumps(respond(json.loads(line)))}", flush=True)


if __name__ == "__main__":
    main()
