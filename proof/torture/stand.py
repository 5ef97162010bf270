"""The platform under torture: its workers reach the stores through the proxies, and its processes can be got at.

What belongs here: what differs from a platform as users start it: contracts, waits, addresses. What does not: faults.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil

from include.settings import CONTRACTS_DIR, KafkaConfig
from local import broker, postgres, processes
from local.addresses import for_library
from local.airflow import API_SERVER, SCHEDULER
from local.airflow_api import AirflowApi
from local.credentials import load_or_make
from local.platform import KAFKA, POSTGRES, S3, Platform
from local.services import Service, shared_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local.console import Progress
    from local.processes import Session
    from local.settings import PlatformSettings
    from proof.torture.proxy import Proxy

TRIGGERER, DAG_PROCESSOR = "airflow-triggerer", "airflow-dag-processor"
SERVICES = (POSTGRES, S3, KAFKA, SCHEDULER, TRIGGERER, API_SERVER, DAG_PROCESSOR)
DATASETS = ("sales", "inventory", "events")
TOPIC = "events"
BUCKET = "landing"
DAGS = (*(f"ingest_{name}" for name in DATASETS), f"consume_{TOPIC}", "sweep_unmatched", "reprocess_failed")

# What the pipelines are told. Short waits, so that a run of minutes shows what a night would; a run of failures is what
# is asked for here, so it pauses no DAG.
PIPELINE = {
    "INGEST_RETRIES": "3",
    "INGEST_RETRY_DELAY_SECONDS": "1",
    "INGEST_RETRY_MAX_DELAY_SECONDS": "5",
    "INGEST_LOCK_TIMEOUT_SECONDS": "5",
    "INGEST_SWEEP_SECONDS": "5",
    "INGEST_MAX_CONSECUTIVE_FAILURES": "100000",
    "STREAM_SESSION_TIMEOUT_MS": "2000",
}
# What Airflow is told besides. The DAGs of other subjects stay paused: they would only take the processors.
_AIRFLOW = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
}


def write_contracts(folder: Path) -> None:
    """The datasets' contracts; events take messages as well."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DATASETS:
        text = (CONTRACTS_DIR / f"{name}.yaml").read_text(encoding="utf-8")
        if name == TOPIC:
            text = text.replace("newestBy: created_at\n", f"newestBy: fetched_at\n      topic: {TOPIC}\n")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


class Stand(Platform):
    """A platform whose workers go through proxies. Start it with `SERVICES`."""

    def __init__(
        self, settings: PlatformSettings, warehouse: Proxy, bucket: Proxy, progress: Progress | None = None
    ) -> None:
        super().__init__(settings, progress)
        self._warehouse, self._bucket = warehouse, bucket

    def services(self) -> list[Service]:
        """Those of every platform; Airflow's are told the proxies' ports."""
        return [
            replace(service, environment=self._detoured(service.environment))
            if "AIRFLOW_CONN_WAREHOUSE_PG" in service.environment
            else service
            for service in super().services()
        ]

    def prepare_cluster(self) -> Path:
        """Make PostgreSQL's data directory before the first start; where it is."""
        with self.at_rest():
            layout = self.settings.layout
            postgres.prepare_cluster(layout, load_or_make(layout.secrets))
            return layout.postgres

    @property
    def kafka(self) -> KafkaConfig:
        """How to reach the broker."""
        return KafkaConfig(bootstrap_servers=broker.bootstrap(self.settings))

    @property
    def session(self) -> Session | None:
        """The process session of everything under the supervisor."""
        return self._session()

    def superuser(self, database: str = "postgres") -> Any:
        """A superuser's connection, past the proxy."""
        return postgres.superuser_connection(self.settings, self.credentials, database)

    def state(self, service: str) -> tuple[str, int | None]:
        """The supervisor's word for a service, and its process."""
        found = self._supervisor.states().get(service)
        return (found.state, found.pid) if found else ("UNKNOWN", None)

    def complaints(self) -> dict[str, str]:
        """What each service that should run complains of; empty when all are well."""
        return {
            status.name: status.complaint for status in self.status() if status.name in SERVICES and status.complaint
        }

    def tasks(self) -> list[psutil.Process]:
        """Every process that runs a task, and not the executor's workers that watch over them."""
        return processes.find_tasks(self.settings.layout, self.session)

    def second_scheduler(self) -> subprocess.Popen[bytes]:
        """Another scheduler beside the supervised one; end it with `end_group`."""
        service = next(service for service in self.services() if service.name == SCHEDULER)
        log = self.settings.layout.logs / "second-scheduler.log"
        with log.open("ab") as file:
            return subprocess.Popen(  # noqa: S603 - our own interpreter
                service.command,
                env=shared_environment(self.settings.platform_home) | dict(service.environment),
                cwd=service.directory,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        with self._api() as api:
            api.unpause(dag_id)

    def dag_ids(self) -> set[str]:
        """The DAGs that Airflow knows by now."""
        with self._api() as api:
            return {str(dag["dag_id"]) for dag in api.dags()}

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Begin a run by hand; its id."""
        with self._api() as api:
            return api.trigger(dag_id, conf)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """How a run is."""
        with self._api() as api:
            return str(api.run(dag_id, run_id)["state"])

    def unfinished(self) -> list[str]:
        """Each run under way with the states of its tasks, as a line."""
        lines = []
        with self._api() as api:
            for dag_id in DAGS:
                for run in api.runs(dag_id, 5):
                    if run["state"] in {"running", "queued"}:
                        tasks = api.tasks(dag_id, str(run["dag_run_id"]))
                        states = " ".join(f"{task['task_id']}={task['state']}" for task in tasks)
                        lines.append(f"{dag_id} {run['state']} since {run['start_date']}: {states}")
        return lines

    def _api(self) -> _Api:
        told = for_library(self)
        return _Api(told["AIRFLOW_URL"], told["AIRFLOW_USER"], told["AIRFLOW_PASSWORD"])

    def _detoured(self, environment: Mapping[str, str]) -> dict[str, str]:
        warehouse = json.loads(environment["AIRFLOW_CONN_WAREHOUSE_PG"]) | {"port": self._warehouse.port}
        landing = json.loads(environment["AIRFLOW_CONN_LANDING_S3"])
        landing["extra"]["endpoint_url"] = f"http://127.0.0.1:{self._bucket.port}"
        detours = {
            "AIRFLOW_CONN_WAREHOUSE_PG": json.dumps(warehouse),
            "AIRFLOW_CONN_LANDING_S3": json.dumps(landing),
        }
        return {**environment, **_AIRFLOW, **detours}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process (-9) with all that it started in its session."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.send_signal(signal.SIGKILL)
    process.kill()
    process.wait(30)


class _Api(AirflowApi):
    """With the one call more that is needed here."""

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._call("PATCH", f"dags/{dag_id}", {"is_paused": False})
