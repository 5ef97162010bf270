"""A running platform for tests that drop files: its bucket, its tables, Airflow's API."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from include.contracts.reader import read_contract
from include.samples.badness import SampleFormat
from include.samples.writer import Sample, write_sample
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from local.addresses import for_library
from local.services.seaweedfs import internal_ports
from local.settings import PORTS
from local.supervisor import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from include.samples.badness import Bad
    from include.samples.report import SampleReport
    from local.supervisor.platform import Platform

SETTINGS = {
    "INGEST_RETRIES": "1",
    "INGEST_RETRY_DELAY_SECONDS": "1",
    "INGEST_LOCK_TIMEOUT_SECONDS": "2",
    "INGEST_SWEEP_SECONDS": "5",
    "TRAINING_TREES": "50",
}
BUCKET = "landing"


@dataclass
class Running:
    """A running platform, with helpers for its bucket, its tables and Airflow's API."""

    platform: Platform
    contracts: Path
    folder: Path
    definitions: Path | None = None  # a copy of those in sources/, where tests may save some

    def __post_init__(self) -> None:
        self.objects = ObjectStore(self.platform.s3_config)

    def sample(
        self, dataset: str, name: str, rows: int, kind: str = "csv", bad: Sequence[Bad] = (), **options: Any
    ) -> SampleReport:
        contract = read_contract(self.contracts / f"{dataset}.yaml")
        return write_sample(Sample(contract, rows, bad=bad, **options), self.folder / name, SampleFormat(kind))

    def drop(self, name: str, key: str) -> None:
        self.objects.upload(self.folder / name, BUCKET, key)

    def query(self, statement: str, values: Sequence[object] | dict[str, object] = ()) -> list[tuple[Any, ...]]:
        with connect(self.platform.warehouse_config("ingest")) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def entry(self, key: str) -> dict[str, Any]:
        """The newest ledger entry of a key."""
        rows = self.query(
            "SELECT to_jsonb(l) FROM ops.file_ingestion_log AS l WHERE object_key = %s ORDER BY file_id DESC LIMIT 1",
            [key],
        )
        return dict(rows[0][0]) if rows else {}

    def settled(self, key: str, seconds: float = 300) -> dict[str, Any]:
        """Wait until the entry of a key is settled, and return it."""
        return self.until(lambda: (entry := self.entry(key)).get("settled_at") and entry, key, seconds)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 300) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := condition():
                return answer
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {what}; {condition()!r}\n{self.state()}")

    def state(self) -> str:
        """Describe unsettled entries, waiting files, import errors and unfinished runs, for a failed test."""
        entries = self.query(
            "SELECT object_key, status, stage, attempts FROM ops.file_ingestion_log WHERE settled_at IS NULL LIMIT 20"
        )
        errors = [error["filename"] for error in self.airflow("importErrors")["import_errors"]]
        lists = {"open entries": entries, "waiting files": self.keys("incoming/")[:20], "import errors": errors}
        return "\n".join([*(f"{name}: {items}" for name, items in lists.items()), *self._unfinished()])

    def _unfinished(self) -> Iterator[str]:
        runs = self.airflow("dags/~/dagRuns?state=running&state=queued&limit=100")["dag_runs"]
        for run in runs:
            tasks = self.airflow(f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances?limit=100")
            states = [f"{task['task_id']}={task['state']}" for task in tasks["task_instances"]]
            yield f"{run['dag_id']} {run['state']} since {run['start_date']}: {' '.join(states)}"

    def keys(self, prefix: str) -> list[str]:
        return [item.key for item in self.objects.list(BUCKET, prefix)]

    def body(self, key: str) -> bytes:
        return b"".join(self.objects.read(BUCKET, key)[1])

    def kill_tasks(self) -> int:
        """Kill every process that runs a task, but no worker of the executor. Return the number of processes."""
        killed = 0
        for process in processes.find_tasks(self.platform.settings.layout, self.platform._session()):
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                killed += 1
        return killed

    def airflow(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
        """A call of Airflow's API, logged in as the admin."""
        variables = for_library(self.platform)
        login = {"username": variables["AIRFLOW_USER"], "password": variables["AIRFLOW_PASSWORD"]}
        token = self._call(f"{variables['AIRFLOW_URL']}/auth/token", login, "")["access_token"]
        return self._call(f"{variables['AIRFLOW_URL']}/api/v2/{path}", body, str(token), method)

    @staticmethod
    def _call(address: str, body: dict[str, Any] | None, token: str, method: str | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        content = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(address, content, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return dict(json.loads(answer.read() or b"{}"))  # a deletion is answered without a body


def listening_ports(platform: Platform) -> set[int]:
    """The ports of a platform with the LocalExecutor, which has no Redis."""
    named = {getattr(platform.settings, name) for name in PORTS if name != "redis_port"}
    return named | set(internal_ports(platform.settings))
