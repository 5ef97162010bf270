"""The platform under torture: its workers reach the stores through proxies, and its processes are accessible.

What belongs here: the differences to a normal platform: contracts, waits, addresses. What does not: faults.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from include.settings import CONTRACTS_DIR, KafkaConfig
from local.addresses import for_library
from local.airflow_api import AirflowApi
from local.credentials import load_or_make
from local.services import broker, postgres
from local.services.airflow import API_SERVER, SCHEDULER
from local.services.service import Service, shared_environment
from local.supervisor import processes
from local.supervisor.platform import KAFKA, POSTGRES, S3, Platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.console import Progress
    from local.settings import PlatformSettings
    from local.supervisor.processes import Session
    from proof.torture.proxy import Proxy

TRIGGERER, DAG_PROCESSOR = "airflow-triggerer", "airflow-dag-processor"
SERVICES = (POSTGRES, S3, KAFKA, SCHEDULER, TRIGGERER, API_SERVER, DAG_PROCESSOR)
DATASETS = ("sales", "inventory", "events")
TOPIC = "events"
EVENTS = Path(__file__).with_name("events.yaml")
BUCKET = "landing"
DAGS = (*(f"ingest_{name}" for name in DATASETS), f"consume_{TOPIC}", "sweep_unmatched", "reprocess_failed")

# Environment of the pipelines. Waits are short, so that a run takes minutes; consecutive failures, which are expected
# here, must not pause a DAG.
PIPELINE = {
    "INGEST_RETRIES": "3",
    "INGEST_RETRY_DELAY_SECONDS": "1",
    "INGEST_LOCK_TIMEOUT_SECONDS": "5",
    "INGEST_SWEEP_SECONDS": "5",
    "INGEST_MAX_CONSECUTIVE_FAILURES": "100000",
}
# Environment of Airflow. DAGs that are not needed stay paused: they would only use CPU time.
_AIRFLOW = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
}


def write_contracts(folder: Path) -> None:
    """Write the datasets' contracts: the shipped ones, and that of the events, which have a topic as well."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DATASETS:
        source = EVENTS if name == TOPIC else CONTRACTS_DIR / f"{name}.yaml"
        (folder / f"{name}.yaml").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")


class ProxiedPlatform(Platform):
    """A platform whose workers connect through proxies. Start it with `SERVICES`."""

    def __init__(
        self, settings: PlatformSettings, warehouse: Proxy, bucket: Proxy, progress: Progress | None = None
    ) -> None:
        super().__init__(settings, progress)
        self._warehouse, self._bucket = warehouse, bucket

    def services(self) -> list[Service]:
        """Return the services; Airflow's get the ports of the proxies."""
        return [
            replace(service, environment=self._with_proxies(service.environment))
            if "AIRFLOW_CONN_WAREHOUSE_PG" in service.environment
            else service
            for service in super().services()
        ]

    def prepare_cluster(self) -> Path:
        """Create PostgreSQL's data directory before the first start; return its path."""
        with self.stopped():
            layout = self.settings.layout
            postgres.prepare_cluster(layout, load_or_make(layout.secrets))
            return layout.postgres

    @property
    def kafka(self) -> KafkaConfig:
        """The connection to the broker."""
        return KafkaConfig(bootstrap_servers=broker.bootstrap(self.settings))

    @property
    def session(self) -> Session | None:
        """The process session of all processes under the supervisor."""
        return self._session()

    def superuser(self, database: str = "postgres") -> Any:
        """Return a connection of the superuser, without the proxy."""
        return postgres.superuser_connection(self.settings, self.credentials, database)

    def state(self, service: str) -> tuple[str, int | None]:
        """Return the supervisor's state of a service, and its process id."""
        found = self._supervisor.states().get(service)
        return (found.state, found.pid) if found else ("UNKNOWN", None)

    def complaints(self) -> dict[str, str]:
        """Return the complaints of the services by name; empty if all are healthy."""
        return {
            status.name: status.complaint for status in self.status() if status.name in SERVICES and status.complaint
        }

    def tasks(self) -> list[psutil.Process]:
        """Return every process that runs a task, without the executor's workers."""
        return processes.find_tasks(self.settings.layout, self.session)

    def second_scheduler(self) -> subprocess.Popen[bytes]:
        """Start another scheduler beside the supervised one; end it with `end_group`."""
        service = next(service for service in self.services() if service.name == SCHEDULER)
        log = self.settings.layout.logs / "second-scheduler.log"
        with log.open("ab") as file:
            return subprocess.Popen(  # noqa: S603 - this interpreter
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
        """Return the ids of the DAGs that Airflow has parsed."""
        with self._api() as api:
            return {str(dag["dag_id"]) for dag in api.dags()}

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Trigger a run; return its id."""
        with self._api() as api:
            return api.trigger(dag_id, conf)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        with self._api() as api:
            return str(api.run(dag_id, run_id)["state"])

    def unfinished(self) -> list[str]:
        """Return a line for each unfinished run, with the states of its tasks."""
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
        environment = for_library(self)
        return _Api(environment["AIRFLOW_URL"], environment["AIRFLOW_USER"], environment["AIRFLOW_PASSWORD"])

    def _with_proxies(self, environment: Mapping[str, str]) -> dict[str, str]:
        warehouse = json.loads(environment["AIRFLOW_CONN_WAREHOUSE_PG"]) | {"port": self._warehouse.port}
        landing = json.loads(environment["AIRFLOW_CONN_LANDING_S3"])
        landing["extra"]["endpoint_url"] = f"http://127.0.0.1:{self._bucket.port}"
        proxied = {
            "AIRFLOW_CONN_WAREHOUSE_PG": json.dumps(warehouse),
            "AIRFLOW_CONN_LANDING_S3": json.dumps(landing),
        }
        return {**environment, **_AIRFLOW, **proxied}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all its child processes with SIGKILL."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.send_signal(signal.SIGKILL)
    process.kill()
    process.wait(30)


class _Api(AirflowApi):
    """The API client with a call to unpause a DAG."""

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._call("PATCH", f"dags/{dag_id}", {"is_paused": False})
