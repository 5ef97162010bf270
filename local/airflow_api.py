"""A client of Airflow's REST API, version 2: trigger a DAG, read runs, tasks, return values and logs.

What belongs here: calls. What does not: waiting and printing (`runs`, `schedules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import httpx

from local.errors import PlatformError

if TYPE_CHECKING:
    from types import TracebackType

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_REMEDY = "look at `filegate status`, and start the platform with `make up`"
_PAGE = 100  # the largest page that Airflow returns
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}

Answer = dict[str, Any]


class AirflowApi:
    """A session of one user. Use as a context manager.

    Raises:
        PlatformError: Airflow does not answer, or refuses the request; from every call.
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        self._address, self._user, self._password = address, user, password
        self._client = httpx.Client(base_url=f"{address}/api/v2/", timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        login = {"username": self._user, "password": self._password}
        token = self._call("POST", f"{self._address}/auth/token", login)["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def dags(self) -> list[Answer]:
        """Return every DAG, ordered by its id."""
        return self._all("dags?order_by=dag_id", "dags")

    def import_errors(self) -> list[Answer]:
        """Return the import error of every DAG file that has one, with its stack trace."""
        return self._all("importErrors?order_by=filename", "import_errors")

    def expression(self, dag_id: str) -> Any:
        """Return the asset expression of a DAG, nested `any` and `all`; None if no asset starts it."""
        return self._call("GET", f"dags/{dag_id}/details").get("asset_expression")

    def trigger(self, dag_id: str, conf: Answer | None = None) -> str:
        """Trigger a run and return its id."""
        body = {"logical_date": None, "conf": conf or {}}
        return str(self._call("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> Answer:
        """Return one run."""
        return self._call("GET", f"dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str, most: int) -> list[Answer]:
        """Return the latest runs of a DAG, newest first."""
        found: list[Answer] = self._call("GET", f"dags/{dag_id}/dagRuns?limit={most}&order_by=-run_after")["dag_runs"]
        return found

    def busy(self, dag_id: str, ignored_task: str = "") -> bool:
        """Whether a run of the DAG is queued or has unfinished tasks.

        Args:
            dag_id: the DAG.
            ignored_task: a task that does not count.
        """
        running = [run for run in self.runs(dag_id, 5) if run["state"] in {"queued", "running"}]
        tasks = (task for run in running for task in self.tasks(dag_id, run["dag_run_id"]))
        return any(task["task_id"] != ignored_task and task["state"] not in ENDED for task in tasks)

    def tasks(self, dag_id: str, run_id: str) -> list[Answer]:
        """Return the task instances of a run, in the order of their start."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000"
        found: list[Answer] = self._call("GET", path)["task_instances"]
        return sorted(found, key=lambda task: (task["start_date"] or "9", task["task_id"], task["map_index"]))

    def return_value(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Return the value that a task returned, or None."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}"
        try:
            return self._call("GET", f"{path}&deserialize=true")["value"]
        except _MissingError:
            return None

    def reasons(self, dag_id: str, run_id: str, task: Answer) -> list[str]:
        """Return the log messages that say why a task failed or was skipped; empty if it never started."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        if not task["try_number"]:
            return []
        content = self._call("GET", f"{path}?map_index={task['map_index']}").get("content") or []
        entries = [entry for entry in content if isinstance(entry, dict)]
        relevant = [entry for entry in entries if entry.get("level") in {"error", "critical"} or "reason" in entry]
        return [_message(entry) for entry in relevant]

    def _all(self, path: str, key: str) -> list[Answer]:
        """Return every entry of a list, reading it page by page."""
        found: list[Answer] = []
        while True:
            answer = self._call("GET", f"{path}&limit={_PAGE}&offset={len(found)}")
            found += answer[key]
            if not answer[key] or len(found) >= int(answer["total_entries"]):
                return found

    def _call(self, method: str, path: str, body: Answer | None = None) -> Answer:
        try:
            answer = self._client.request(method, path, json=body, headers={"Accept": "application/json"})
        except httpx.HTTPError as error:
            raise PlatformError(f"Airflow does not answer at {self._address} ({error})", _REMEDY) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise _MissingError(f"Airflow does not know {path.partition('?')[0]}", "look at `filegate schedules`")
        if answer.is_error:
            raise PlatformError(
                f"Airflow refuses {path.partition('?')[0]}: {answer.status_code} {answer.text[:300]}", _REMEDY
            )
        content: Answer = answer.json()
        return content


class _MissingError(PlatformError):
    """Airflow answered 404: the DAG, run, task or value does not exist."""


def _message(entry: Answer) -> str:
    """Return the message of a log entry: why a task was skipped, or the error with the exception's message."""
    if "reason" in entry:
        return str(entry["reason"])
    causes = [f"{cause['exc_type']}: {cause['exc_value']}" for cause in entry.get("error_detail") or []]
    return " ".join([str(entry.get("event", "")), *causes[-1:]])
