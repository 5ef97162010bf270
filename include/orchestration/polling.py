"""Base classes of the sensors: a sensor polls once, then defers to a trigger that polls without a log line per poll.

What belongs here: when to poll, when to stop, and when an outage becomes an alert. What does not: what is polled
(`file_sensor`, `message_sensor`). The triggerer and every DAG file import this module, so clients are imported by the
polling thread.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.errors import PermanentError, RetryableError, Stage, in_stage
from include.orchestration.alerts import notify_outage
from include.settings import alert_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context

# Seconds between two log lines about a store or broker that does not respond.
_REMIND_SECONDS = 60.0


class PollingTrigger(BaseTrigger, ABC):
    """Poll every `poke_seconds` until there is work, or until the time `until`. Polls are not logged.

    Its event has one of: `waiting`, the number of files or messages, 0 at the time limit; `refusal`, the error message
    of a store or broker that refuses; `outage` (error message) with `code` and `since`, when a store or broker has not
    responded for `alert_seconds`.

    Args:
        poke_seconds: pause between two polls.
        until: when to stop.
        alert_seconds: how long an outage lasts before the trigger reports it.
        began: start of an outage that was already reported, or None.
        again_seconds: how long an outage that was already reported is not reported again.
    """

    _names: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        poke_seconds: float,
        until: datetime,
        alert_seconds: float = 600.0,
        began: datetime | None = None,
        again_seconds: float = 3600.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poke_seconds, self.until = poke_seconds, until
        self.alert_seconds, self.began, self.again_seconds = alert_seconds, began, again_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments of this trigger. Connections are named by id: no secret is stored."""
        names = (*self._names, "poke_seconds", "until", "alert_seconds", "began", "again_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @abstractmethod
    def poll(self) -> int:
        """Return how much is waiting; 0 for nothing. Blocks for at most the timeouts of the clients.

        Raises:
            RetryableError: a store or the broker does not respond.
            PermanentError: it refuses.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll in a separate thread, so that a blocked poll delays neither the event loop nor other triggers."""
        loop, reminded = asyncio.get_running_loop(), -_REMIND_SECONDS
        began, limit = self.began, self.again_seconds if self.began else self.alert_seconds
        failing_since = time.monotonic() if began else None
        pool = ThreadPoolExecutor(1, thread_name_prefix="poll")
        try:
            while True:
                found = 0
                try:
                    found = await loop.run_in_executor(pool, in_stage(Stage.CLAIM)(self.poll))
                    failing_since, began, limit = None, None, self.alert_seconds
                except PermanentError as error:
                    yield _event(refusal=str(error))
                    return
                except RetryableError as error:
                    now = time.monotonic()
                    failing_since, began = failing_since or now, began or datetime.now(UTC)
                    if now >= reminded + _REMIND_SECONDS:
                        reminded = now
                        self.log.warning("The poll failed; polling continues. %s", error)
                    if now - failing_since >= limit:
                        yield _event(outage=str(error), code=str(error.code), since=began.isoformat())
                        return
                remaining = (self.until - datetime.now(UTC)).total_seconds()
                if found or remaining <= 0:
                    yield _event(waiting=found)
                    return
                await asyncio.sleep(min(self.poke_seconds, remaining))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class PollingSensor(BaseSensorOperator):
    """Succeed when something is waiting, and return its number.

    If a store or broker does not respond, the sensor keeps polling and sends an alert after some minutes; if one
    refuses, the task fails at once. After `timeout` seconds the task and all tasks after it are skipped.

    Args:
        options: `poke_interval` and `timeout` in seconds, and further arguments of BaseSensorOperator.
    """

    def trigger(self, until: datetime, **alerting: Any) -> PollingTrigger:
        """Return the trigger that polls until then; `alerting` are further arguments of `PollingTrigger`."""
        raise NotImplementedError

    def awaited(self) -> str:
        """Describe what the sensor waits for, in a few words."""
        raise NotImplementedError

    def execute(self, context: Context) -> int:  # noqa: ARG002 - Airflow's signature
        """Poll once; if nothing is waiting, defer to the trigger."""
        until = datetime.now(UTC) + timedelta(seconds=self.timeout)
        trigger = self.trigger(until)
        try:
            with in_stage(Stage.CLAIM):
                found = trigger.poll()
        except PermanentError as error:
            raise AirflowFailException(str(error)) from error
        except RetryableError as error:
            self.log.warning("%s", error)
            found = 0
        if not found:
            self.log.info("%s: nothing is waiting; a trigger polls every %s s", self.awaited(), self.poke_interval)
            self._defer_until(until, None)
        return self._found(found)

    def end_of_waiting(self, context: Context, event: dict[str, Any], until: str = "") -> int:  # noqa: ARG002
        """Handle the trigger's event: succeed, fail, skip, or send an alert about an outage and defer again."""
        if refusal := event.get("refusal"):
            raise AirflowFailException(refusal)
        if outage := event.get("outage"):
            self.log.warning("%s", outage)
            began = datetime.fromisoformat(event["since"])
            notify_outage(self.awaited(), event["code"], began)
            self._defer_until(datetime.fromisoformat(until), began)
        return self._found(event["waiting"]) if event["waiting"] else self._timed_out()

    def _defer_until(self, until: datetime, began: datetime | None) -> None:
        self.defer(
            trigger=self.trigger(until, began=began, **_alert_times()),
            method_name=self.end_of_waiting.__name__,
            kwargs={"until": until.isoformat()},
        )

    def _timed_out(self) -> int:
        raise AirflowSkipException(f"{self.awaited()}: nothing within {self.timeout:g} s; the next run keeps waiting.")

    def _found(self, waiting: int) -> int:
        self.log.info("%s: %s waiting", self.awaited(), f"{waiting:,}")
        return waiting


def _alert_times() -> dict[str, float]:
    """Return `alert_seconds` and `again_seconds` for a `PollingTrigger`; an empty dict if the settings are wrong."""
    try:
        settings = alert_settings()
    except ValueError:  # logged when an alert is due
        return {}
    return {"alert_seconds": 60 * settings.waiting_minutes, "again_seconds": 60 * max(1.0, settings.quiet_minutes)}


def _event(**payload: object) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
