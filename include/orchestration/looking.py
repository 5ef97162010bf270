"""Waiting without a worker slot and without a log line: a sensor that looks once, and a trigger that goes on looking.

What belongs here: when to look, when to stop, and when an outage becomes an alert. What does not: where to look
(`file_sensor`, `message_sensor`). The triggerer and every DAG file import this module: what a look needs is imported
by the thread that looks.
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

from include.errors import PermanentError, RetryableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context

# A store or broker that is away is logged this often, not with every look.
_REMIND_SECONDS = 60.0


class LookingTrigger(BaseTrigger, ABC):
    """Looks every `poke_seconds` until there is something, or until the moment `until`. It logs nothing meanwhile.

    Its event holds one of: `waiting`, a number, 0 when the time is up; `refusal`, a sentence, when a store or the
    broker refuses; `trouble` with `code` and `since`, when they have not answered for `alert_seconds`.

    Args:
        poke_seconds: pause between two looks.
        until: when to stop.
        alert_seconds: how long an outage lasts before the trigger reports it.
        began: since when the outage lasts that was reported already, if there is one; for `again_seconds` it is not
            reported again.
        again_seconds: how long.
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
        """How another process makes the same trigger. Connections go by name: no secret is stored."""
        names = (*self._names, "poke_seconds", "until", "alert_seconds", "began", "again_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @abstractmethod
    def look(self) -> int:
        """How much is waiting; 0 for nothing. Blocks, for as long as the timeouts of what it asks.

        Raises:
            RetryableError: a store or the broker does not answer.
            PermanentError: it refuses.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look from a thread of our own: one that hangs holds up neither the event loop nor other triggers."""
        loop, reminded = asyncio.get_running_loop(), -_REMIND_SECONDS
        began, limit = self.began, self.again_seconds if self.began else self.alert_seconds
        failing_since = time.monotonic() if began else None
        pool = ThreadPoolExecutor(1, thread_name_prefix="look")
        try:
            while True:
                found = 0
                try:
                    found = await loop.run_in_executor(pool, self.look)
                    failing_since, began, limit = None, None, self.alert_seconds
                except PermanentError as error:
                    yield _event(refusal=str(error))
                    return
                except RetryableError as error:
                    now = time.monotonic()
                    failing_since, began = failing_since or now, began or datetime.now(UTC)
                    if now >= reminded + _REMIND_SECONDS:
                        reminded = now
                        self.log.warning("Still looking. %s", error)
                    if now - failing_since >= limit:
                        yield _event(trouble=str(error), code=str(error.code), since=began.isoformat())
                        return
                left = (self.until - datetime.now(UTC)).total_seconds()
                if found or left <= 0:
                    yield _event(waiting=found)
                    return
                await asyncio.sleep(min(self.poke_seconds, left))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class LookingSensor(BaseSensorOperator):
    """Succeeds with the number of what is waiting, once there is something.

    A store or broker that is away is waited for, and reported after minutes; one that refuses fails the task at once.
    After `timeout` seconds the task is skipped, and with it the rest of the run.

    Args:
        options: `poke_interval` and `timeout` in seconds, and those of every task.
    """

    def trigger(self, until: datetime, **alerting: Any) -> LookingTrigger:
        """The trigger that looks on until then; `alerting` are further arguments of `LookingTrigger`."""
        raise NotImplementedError

    def awaited(self) -> str:
        """What the sensor waits for, in a few words."""
        raise NotImplementedError

    def execute(self, context: Context) -> int:  # noqa: ARG002 - Airflow calls it so
        """Look once, and leave the rest to the trigger."""
        until = datetime.now(UTC) + timedelta(seconds=self.timeout)
        trigger = self.trigger(until)
        try:
            found = trigger.look()
        except PermanentError as error:
            raise AirflowFailException(str(error)) from error
        except RetryableError as error:
            self.log.warning("%s", error)
            found = 0
        if not found:
            self.log.info("%s: nothing is waiting; a trigger looks every %s s", self.awaited(), self.poke_interval)
            self._defer_until(until, None)
        return self._found(found)

    def end_of_waiting(self, context: Context, event: dict[str, Any], until: str = "") -> int:  # noqa: ARG002
        """Act on the trigger's event: go on, fail, be skipped, or report an outage and wait on."""
        if refusal := event.get("refusal"):
            raise AirflowFailException(refusal)
        if trouble := event.get("trouble"):
            from include.orchestration.outside import notify_outage

            self.log.warning("%s", trouble)
            began = datetime.fromisoformat(event["since"])
            notify_outage(self.awaited(), event["code"], began)
            self._defer_until(datetime.fromisoformat(until), began)
        return self._found(event["waiting"]) if event["waiting"] else self._nothing_came()

    def _defer_until(self, until: datetime, began: datetime | None) -> None:
        from include.orchestration.outside import alerting

        self.defer(
            trigger=self.trigger(until, began=began, **alerting()),
            method_name=self.end_of_waiting.__name__,
            kwargs={"until": until.isoformat()},
        )

    def _nothing_came(self) -> int:
        raise AirflowSkipException(f"{self.awaited()}: nothing came for so long; the next run goes on waiting.")

    def _found(self, waiting: int) -> int:
        self.log.info("%s: %s waiting", self.awaited(), f"{waiting:,}")
        return waiting


def _event(**facts: object) -> TriggerEvent:
    return TriggerEvent(facts)  # type: ignore[no-untyped-call]
