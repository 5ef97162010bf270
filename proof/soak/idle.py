"""Costs of an idle platform: logs, CPU time and memory of every process, per service, scaled to an hour.

What belongs here: measuring, and the goals. What does not: a platform under load (`__main__`).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil
from rich.table import Table

from include.settings import CONTRACTS_DIR
from local.services import postgres
from local.supervisor import processes
from proof.soak.expectations import tolerance
from proof.soak.judge import Series, Verdict, judge
from proof.soak.samples import memory_of, service_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from local.supervisor.platform import Platform

DATASETS = 20
LOG_MB_AN_HOUR, CORE_SHARE = 1.0, 0.15
_HOUR = 3600.0
_TASKS, _TASK_LOGS = ("tasks", "executor"), "logs of tasks"
_SCHEDULER = "airflow-scheduler"
_WAITING = "SELECT count(*) FROM task_instance WHERE state = 'deferred' AND task_id = 'wait_for_files'"
_RUNNING = "SELECT count(*) FROM task_instance WHERE state IN ('running', 'queued', 'scheduled')"


@dataclass(frozen=True)
class Cost:
    """Costs of an idle service. `memory_slope` is in MB an hour; `flat` is False if that is growth."""

    service: str
    log_mb_an_hour: float
    core_share: float
    memory_mb: float
    memory_slope: float
    flat: bool


@dataclass(frozen=True)
class Idle:
    """Costs of the platform and of each service."""

    minutes: float
    datasets: int
    total: Cost
    services: list[Cost]

    @property
    def complaints(self) -> list[str]:
        """The goals that are missed, one sentence each."""
        total, found = self.total, []
        if total.log_mb_an_hour > LOG_MB_AN_HOUR:
            found.append(f"logs grow by {total.log_mb_an_hour:.2f} MB an hour; the goal is {LOG_MB_AN_HOUR:g}")
        if total.core_share > CORE_SHARE:
            found.append(f"{total.core_share:.1%} of one core; the goal is {CORE_SHARE:.0%}")
        if not total.flat:
            found.append(f"memory grows by {total.memory_slope:.0f} MB an hour")
        return found


def write_contracts(folder: Path) -> None:
    """Write the repository's contracts, and copies of one of them up to twenty datasets."""
    for file in CONTRACTS_DIR.glob("*.yaml"):
        (folder / file.name).write_text(file.read_text())
    text = (CONTRACTS_DIR / "inventory.yaml").read_text()
    for at in range(DATASETS - len(list(folder.glob("*.yaml")))):
        name = f"idle_{at:02d}"
        renamed = text.replace("id: inventory", f"id: {name}").replace("- name: inventory\n", f"- name: {name}\n")
        (folder / f"{name}.yaml").write_text(renamed.replace("inventory*", f"{name}*"))


def wait_until_idle(platform: Platform, seconds: float, say: Callable[[str], None]) -> bool:
    """Wait until every dataset's sensor is deferred and no task runs; return whether that happened in time."""
    end = time.monotonic() + seconds
    with postgres.superuser_connection(platform.settings, platform.credentials, "airflow") as airflow:
        while time.monotonic() < end:
            waiting, running = _count(airflow, _WAITING), _count(airflow, _RUNNING)
            say(f"{waiting} of {DATASETS} sensors are deferred, {running} tasks run")
            if waiting >= DATASETS and not running:
                return True
            time.sleep(2)
    return False


def _count(connection: Any, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


class Meter:
    """Takes samples of an idle platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform, self._layout = platform, platform.settings.layout
        self._begun = time.time()
        self._memory: dict[str, Series] = {}
        self._processor: dict[str, list[float]] = defaultdict(list)
        self._logs: list[dict[str, float]] = []

    def take(self) -> None:
        """Take one sample: memory and CPU time by service, sizes of logs."""
        at, memory, processor = (
            time.time() - self._begun,
            defaultdict[str, float](float),
            defaultdict[str, float](float),
        )
        states = self._platform._supervisor.states()  # noqa: SLF001 - status() would also call every service
        programs = {state.pid: name for name, state in states.items() if state.pid}
        for process in processes.find(self._layout, self._platform._session()):  # noqa: SLF001 - as the tests do
            with contextlib.suppress(psutil.Error, OSError):
                service = service_of(process, programs)
                service = _SCHEDULER if service in _TASKS else service
                memory[service] += memory_of(process.pid)
                # With the time of children that have ended: tasks are short.
                processor[service] += sum(process.cpu_times()[:4])
        for service, value in memory.items():
            self._memory.setdefault(service, Series(service, "MB PSS")).add(at, value)
        for service, value in processor.items():
            self._processor[service].append(value)
        self._memory.setdefault("", Series("", "MB PSS")).add(at, sum(memory.values()))
        self._logs.append(self._sizes())

    def cost(self, minutes: float) -> Idle:
        """Return the measured costs, scaled to an hour."""
        lasted = self._memory[""].seconds[-1] - self._memory[""].seconds[0]
        services = [self._of(service, lasted) for service in sorted({*self._memory, *self._logs[-1]} - {""})]
        judged = judge(self._memory[""], tolerance("MB PSS"))
        total = Cost(
            "all",
            sum(cost.log_mb_an_hour for cost in services),
            sum(cost.core_share for cost in services),
            judged.end,
            judged.slope,
            judged.verdict is not Verdict.GROWS,
        )
        return Idle(minutes, DATASETS, total, services)

    def _of(self, service: str, lasted: float) -> Cost:
        memory, processor = self._memory.get(service), self._processor.get(service, [0.0])
        judged = judge(memory, tolerance("MB PSS")) if memory else None
        grown = self._logs[-1].get(service, 0.0) - self._logs[0].get(service, 0.0)
        return Cost(
            service,
            grown * _HOUR / lasted,
            max(0.0, processor[-1] - processor[0]) / lasted,
            judged.end if judged else 0.0,
            judged.slope if judged else 0.0,
            judged is None or judged.verdict is not Verdict.GROWS,
        )

    def _sizes(self) -> dict[str, float]:
        """Return the MB of logs by service; logs of tasks are one sum."""
        sizes: dict[str, float] = defaultdict(float)
        for file in self._layout.logs.glob("*.log*"):
            sizes[file.name.partition(".log")[0]] += file.stat().st_size / 1024**2
        sizes[_TASK_LOGS] = size_of(self._layout.airflow / "logs")
        return dict(sizes)


def measure(platform: Platform, minutes: float, sample: float, say: Callable[[str], None]) -> Idle:
    """Sample an idle platform for `minutes`, every `sample` seconds."""
    meter, end = Meter(platform), time.monotonic() + 60 * minutes
    meter.take()
    while (left := end - time.monotonic()) > 0:
        say(f"{minutes - left / 60:.1f} of {minutes:g} minutes")
        time.sleep(min(sample, left))
        meter.take()
    return meter.cost(minutes)


def show(idle: Idle, console: Console) -> None:
    """Print the table, and whether the goals are met."""
    table = Table(
        "service", "logs, MB/h", "of one core", "memory, MB", "MB/h", "",
        title=f"idle with {idle.datasets} datasets, {idle.minutes:g} minutes scaled to an hour",
    )  # fmt: skip
    for column in table.columns[1:5]:
        column.justify = "right"
    for cost in [*idle.services, idle.total]:
        table.add_row(
            cost.service, f"{cost.log_mb_an_hour:.3f}", f"{cost.core_share:.1%}", f"{cost.memory_mb:,.0f}",
            f"{cost.memory_slope:+,.0f}", "flat" if cost.flat else "[bold red]GROWS[/]",
        )  # fmt: skip
    console.print(table)
    for complaint in idle.complaints:
        console.print(f"[bold red]{complaint}[/]")
    if not idle.complaints:
        console.print(f"at most {LOG_MB_AN_HOUR:g} MB of logs an hour, {CORE_SHARE:.0%} of one core, memory flat")


def write(idle: Idle, path: Path) -> None:
    """Write the result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**asdict(idle), "complaints": idle.complaints}, indent=2) + "\n")
