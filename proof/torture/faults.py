"""Injects the faults one after the other, and records time, target and effect of each.

What belongs here: signals, proxies, disk, the second scheduler. What does not: the order of faults (`schedule`).
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import psutil
import psycopg

from include.errors import RetryableError
from include.stores.object_store import ObjectStore
from local.errors import PlatformError
from local.services.airflow import API_SERVER, SCHEDULER
from local.supervisor.platform import POSTGRES, S3
from proof.torture.half_put import begin_put
from proof.torture.proxied_platform import BUCKET, DAG_PROCESSOR, TRIGGERER, end_group
from proof.torture.schedule import Kind, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proof.torture.disk import SmallDisk
    from proof.torture.proxied_platform import ProxiedPlatform
    from proof.torture.proxy import Proxy
    from proof.torture.stream import Stream

_TASK_SECONDS = 20.0  # limit of the wait for a task process: between two runs there may be none
_PROCESS_SECONDS = 60.0
_MOST_LEFT_BYTES = 1024**2
_PUT_BYTES = 16 * 1024**2
_SWEEP_SECONDS = 60.0
_FULL_FOR = 2  # factor on the fault's duration: PostgreSQL has to write in that time
_NO_SPACE = b"No space left on device"
_STEP_SECONDS = 0.05
_SECOND_SCHEDULER_SECONDS = 60.0  # limit of the wait until it is registered


@dataclass(frozen=True)
class FaultResult:
    """A fault as it happened. `tried` is False if the machine or the moment did not allow it; `effect` says why."""

    number: int
    kind: Kind
    at: float
    seconds: float
    target: str
    effect: str
    tried: bool = True


@dataclass
class FaultInjector:
    """Injects faults into a platform. `disk` is None if it cannot be filled; `no_disk` is the reason."""

    platform: ProxiedPlatform
    stream: Stream
    warehouse: Proxy
    bucket: Proxy
    disk: SmallDisk | None
    no_disk: str
    log: Path
    done: list[FaultResult] = field(default_factory=list)

    def inject(self, fault: ScheduledFault) -> FaultResult:
        """Inject a fault, end it, and write the result to the log."""
        begun = time.time()
        try:
            target, effect, tried = self._act(fault)
        except (psutil.Error, OSError, psycopg.Error, PlatformError, RetryableError, HTTPException) as error:
            # The target may still be down after the fault before.
            target, effect, tried = fault.kind.value, f"hit nothing: {type(error).__name__}: {error}".strip(), False
        result = FaultResult(fault.number, fault.kind, begun, time.time() - begun, target, effect, tried)
        self.done.append(result)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        return result

    def _act(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        match fault.kind:
            case Kind.KILL_TASK | Kind.KILL_ALL_TASKS:
                return self._kill_tasks(fault)
            case Kind.KILL_SCHEDULER:
                return self._signal(SCHEDULER)
            case Kind.KILL_TRIGGERER:
                return self._signal(TRIGGERER)
            case Kind.KILL_API_SERVER:
                return self._signal(API_SERVER)
            case Kind.KILL_DAG_PROCESSOR:
                return self._signal(DAG_PROCESSOR)
            case Kind.KILL_POSTGRES:
                return self._signal(POSTGRES)
            case Kind.STOP_POSTGRES:
                return self._signal(POSTGRES, signal.SIGQUIT)
            case Kind.KILL_BACKEND:
                return self._kill_backend(fault)
            case Kind.KILL_POSTGRES_AFTER_SWEEP:
                return self._kill_after_sweep(fault)
            case Kind.KILL_S3:
                return self._signal(S3)
            case Kind.KILL_S3_IN_PUTS:
                return self._kill_in_puts(fault)
            case Kind.RESET_WAREHOUSE | Kind.RESET_BUCKET:
                return self._of(fault), f"{self._proxy(fault).reset()} connections reset", True
            case Kind.STALL_WAREHOUSE | Kind.STALL_BUCKET:
                return self._lasting(fault, self._proxy(fault).stall)
            case Kind.DRIP_WAREHOUSE | Kind.DRIP_BUCKET:
                return self._lasting(fault, self._proxy(fault).drip)
            case Kind.CUT_WAREHOUSE | Kind.CUT_BUCKET:
                return self._cut(fault)
            case Kind.FILL_DISK:
                return self._fill_disk(fault)
            case Kind.TWO_SCHEDULERS:
                return self._two_schedulers(fault)

    # --- processes

    def _signal(self, service: str, number: signal.Signals = signal.SIGKILL) -> tuple[str, str, bool]:
        pid = self._wait_for(lambda: self.platform.state(service)[1], _PROCESS_SECONDS)
        if pid is None:
            return service, f"not running: {self.platform.state(service)[0]}", False
        os.kill(pid, number)
        return f"{service} (pid {pid})", number.name, True

    def _kill_in_puts(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        """Kill the S3 server during single PUTs that never end: their objects must not be listed or claimed."""
        sent = [int(share * _PUT_BYTES) for share in (fault.draw, fault.draw / 2, 1 - 1 / _PUT_BYTES)]
        with ExitStack() as held:
            for at, count in enumerate(sent):
                key = f"incoming/sales/{fault.number}_never_ended_{at}.csv"
                put = begin_put(self.platform.s3_config, BUCKET, key, b"x" * _PUT_BYTES, count)
                held.enter_context(closing(put))
            target, effect, tried = self._signal(S3)
        return target, f"{effect} during {len(sent)} PUTs", tried

    def _kill_after_sweep(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        """Kill the postmaster as soon as the sweep has moved a file without a dataset out of incoming/."""
        drop = self.stream.drop_unmatched(f"swept{fault.number}")
        store = ObjectStore(self.platform.s3_config)
        swept = self._wait_for(lambda: store.head(BUCKET, drop.key) is None, _SWEEP_SECONDS)
        if not swept:
            return "sweep", f"no sweep moved {drop.name} within {_SWEEP_SECONDS:.0f} s", False
        target, effect, tried = self._signal(POSTGRES)
        return target, f"{effect} right after the sweep of {drop.name}", tried

    def _kill_tasks(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        tasks = self._wait_for(self.platform.tasks, _TASK_SECONDS) or []
        if not tasks:
            return "task", "no task was running", False
        chosen = tasks if fault.kind is Kind.KILL_ALL_TASKS else [tasks[int(fault.draw * len(tasks)) % len(tasks)]]
        names = []
        for process in chosen:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                names.append(str(process.pid))
        return f"task (pid {', '.join(names)})", f"SIGKILL, {len(tasks)} were running", bool(names)

    def _kill_backend(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        """Kill one of PostgreSQL's backends, a loading one if possible: the postmaster then restarts all of them."""
        query = (
            "SELECT pid, usename || ': ' || left(query, 60) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
            "ORDER BY (usename = 'ingest' AND state = 'active') DESC, pid"
        )
        with self.platform.superuser() as connection:
            found = connection.execute(query).fetchall()
        if not found:
            return "backend", "no client was connected", False
        pid, what = found[0] if fault.draw < 0.7 else found[int(fault.draw * len(found)) % len(found)]
        os.kill(pid, signal.SIGKILL)
        return f"backend (pid {pid})", f"SIGKILL at {' '.join(what.split())}", True

    def _two_schedulers(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        second = self.platform.second_scheduler()
        try:
            query = (
                "SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'running' "
                "AND latest_heartbeat > now() - interval '10 seconds'"
            )

            def both() -> bool:
                with suppress(psycopg.Error), self.platform.superuser("airflow") as connection:
                    return bool(connection.execute(query).fetchone()[0] >= 2)
                return False

            together = bool(self._wait_for(both, _SECOND_SCHEDULER_SECONDS))
            if together:
                time.sleep(fault.lasts)
            if fault.draw < 0.5 or second.poll() is not None:
                return "second scheduler", f"ran beside the first ({together=}), killed", together
            target, effect, tried = self._signal(SCHEDULER)
            time.sleep(fault.lasts)  # the second one runs alone, then beside the restarted first one
            return target, f"{effect} beside a second one ({together=})", tried and together
        finally:
            end_group(second)

    # --- connections

    def _proxy(self, fault: ScheduledFault) -> Proxy:
        return self.warehouse if fault.kind.value.endswith("warehouse") else self.bucket

    @staticmethod
    def _of(fault: ScheduledFault) -> str:
        return f"connections to the {fault.kind.value.rpartition('-')[2]}"

    def _lasting(self, fault: ScheduledFault, switch: Callable[..., None]) -> tuple[str, str, bool]:
        switch(on=True)
        try:
            time.sleep(fault.lasts)
        finally:
            switch(on=False)
        return self._of(fault), f"for {fault.lasts:.1f} s", True

    def _cut(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        proxy, towards = self._proxy(fault), "client" if fault.draw < 0.6 else "store"
        armed = self._wait_for(lambda: proxy.cut(towards), _TASK_SECONDS) or 0
        self._wait_for(lambda: not proxy.armed, fault.lasts)
        return self._of(fault), f"{armed} cut in the middle of what goes to the {towards}", armed > 0

    # --- the disk

    def _fill_disk(self, fault: ScheduledFault) -> tuple[str, str, bool]:
        if self.disk is None:
            return "disk of the warehouse", f"skipped: {self.no_disk}", False
        log = self.platform.settings.layout.logs / f"{POSTGRES}.log"
        before = log.read_bytes().count(_NO_SPACE)
        try:
            taken = self.disk.fill(int(fault.draw * _MOST_LEFT_BYTES))
            time.sleep(_FULL_FOR * fault.lasts)
        finally:
            self.disk.clear()
        refused = max(0, log.read_bytes().count(_NO_SPACE) - before)
        effect = f"{taken / 1e6:.0f} MB taken for {_FULL_FOR * fault.lasts:.1f} s, {refused} writes refused"
        return "disk of the warehouse", effect, True

    @staticmethod
    def _wait_for(condition: Callable[[], Any], seconds: float) -> Any:
        end = time.monotonic() + seconds
        while True:
            with suppress(PlatformError, psutil.Error, RetryableError):
                if found := condition():
                    return found
            if time.monotonic() > end:
                return None
            time.sleep(_STEP_SECONDS)
