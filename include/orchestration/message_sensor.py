"""Waiting for messages without a worker slot: a sensor that looks once, and a trigger that goes on looking.

What belongs here: when to look, and when to stop. What does not: taking the messages (`consume`). Nobody joins the
consumers' group here, so waiting disturbs no consumer. The triggerer and every DAG file import this module: the
broker's client is imported by the thread that looks.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.errors import PermanentError, RetryableError
from include.orchestration.stores import kafka_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context

# A broker that is away is spoken of this often, not with every look.
_REMIND_SECONDS = 60.0


class WaitForMessages(BaseSensorOperator):
    """Succeeds with the number of messages that the group has not committed, once there are any.

    A broker that is away is waited for; one that refuses fails the task at once. After `timeout` seconds the task is
    skipped, and with it the rest of the run.

    Args:
        connection_id: the Airflow connection of the broker.
        topic: may be made later.
        group: whose commits count.
        options: `poke_interval` and `timeout` in seconds, and those of every task.
    """

    def __init__(self, *, connection_id: str, topic: str, group: str, **options: Any) -> None:
        super().__init__(**options)
        self.connection_id, self.topic, self.group = connection_id, topic, group

    def execute(self, context: Context) -> int:  # noqa: ARG002 - Airflow calls it so
        """Look once, and leave the rest to the trigger."""
        trigger = MessagesWaitingTrigger(
            connection_id=self.connection_id,
            topic=self.topic,
            group=self.group,
            poke_seconds=self.poke_interval,
            until=datetime.now(UTC) + timedelta(seconds=self.timeout),
        )
        try:
            found = trigger.look()
        except PermanentError as error:
            raise AirflowFailException(str(error)) from error
        except RetryableError as error:
            self.log.warning("%s", error)
            found = 0
        if not found:
            self.log.info("%s: nothing is waiting; a trigger looks every %s s", self.topic, self.poke_interval)
            self.defer(trigger=trigger, method_name=self.end_of_waiting.__name__)
        return self._found(found)

    def end_of_waiting(self, context: Context, event: dict[str, Any]) -> int:  # noqa: ARG002
        """What the trigger has to say."""
        if refusal := event.get("refusal"):
            raise AirflowFailException(refusal)
        if not event["waiting"]:
            raise AirflowSkipException(f"No message in {self.topic} for so long; the next run goes on waiting.")
        return self._found(event["waiting"])

    def _found(self, waiting: int) -> int:
        self.log.info("%s: %s messages are waiting", self.topic, f"{waiting:,}")
        return waiting


class MessagesWaitingTrigger(BaseTrigger):
    """Looks every `poke_seconds` until there are messages, or until the moment `until`.

    Its event says `waiting`, a number, 0 when the time is up; or `refusal`, a sentence, when the broker refuses.
    """

    def __init__(self, connection_id: str, topic: str, group: str, poke_seconds: float, until: datetime) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection_id, self.topic, self.group = connection_id, topic, group
        self.poke_seconds, self.until = poke_seconds, until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How another process makes the same trigger. The connection goes by name: no secret is stored."""
        names = ("connection_id", "topic", "group", "poke_seconds", "until")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    def look(self) -> int:
        """How many messages the group has not committed. Blocks, for as long as the broker's timeouts.

        Raises:
            RetryableError: the broker does not answer.
            PermanentError: the broker refuses.
        """
        from include.streams.broker import waiting

        return waiting(kafka_config(self.connection_id), self.topic, self.group)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look from a thread of our own: one that hangs holds up neither the event loop nor other triggers."""
        loop, reminded = asyncio.get_running_loop(), -_REMIND_SECONDS
        pool = ThreadPoolExecutor(1, thread_name_prefix=f"look-{self.topic}")
        try:
            while True:
                found = 0
                try:
                    found = await loop.run_in_executor(pool, self.look)
                except PermanentError as error:
                    yield _event(refusal=str(error))
                    return
                except RetryableError as error:
                    if time.monotonic() >= reminded + _REMIND_SECONDS:
                        reminded = time.monotonic()
                        self.log.warning("Still looking for messages. %s", error)
                left = (self.until - datetime.now(UTC)).total_seconds()
                if found or left <= 0:
                    yield _event(waiting=found)
                    return
                await asyncio.sleep(min(self.poke_seconds, left))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _event(**facts: object) -> TriggerEvent:
    return TriggerEvent(facts)  # type: ignore[no-untyped-call]
