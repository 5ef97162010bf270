"""Waiting for messages, without joining the consumers' group: waiting disturbs no consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from include.orchestration.looking import LookingSensor, LookingTrigger
from include.orchestration.stores import kafka_config, warehouse_ingest_config

if TYPE_CHECKING:
    from datetime import datetime

    from include.settings import KafkaConfig


class WaitForMessages(LookingSensor):
    """Succeeds with the number of messages that the group has not committed, once there are any.

    Args:
        connection_id: the Airflow connection of the broker.
        topic: may be made later.
        group: whose commits count.
        options: those of `LookingSensor`.
    """

    def __init__(self, *, connection_id: str, topic: str, group: str, **options: Any) -> None:
        super().__init__(**options)
        self.connection_id, self.topic, self.group = connection_id, topic, group

    def trigger(self, until: datetime, **alerting: Any) -> MessagesWaitingTrigger:
        """The trigger for this topic and group."""
        return MessagesWaitingTrigger(self.connection_id, self.topic, self.group, self.poke_interval, until, **alerting)

    def awaited(self) -> str:
        """The topic."""
        return f"messages of {self.topic}"


class MessagesWaitingTrigger(LookingTrigger):
    """Looks until the group has messages to read. A batch that waits for a store or service backs off."""

    _names: ClassVar[tuple[str, ...]] = ("connection_id", "topic", "group")

    def __init__(
        self, connection_id: str, topic: str, group: str, poke_seconds: float, until: datetime, **alerting: Any
    ) -> None:
        super().__init__(poke_seconds, until, **alerting)
        self.connection_id, self.topic, self.group = connection_id, topic, group
        self._kafka: KafkaConfig | None = None

    def look(self) -> int:
        """How many messages the group has not committed, unless they wait for something outside of them."""
        from include.streams.broker import waiting

        # The connection is asked for once, and again after an error: a password may have changed.
        kafka = self._kafka or kafka_config(self.connection_id)
        self._kafka = None
        found = waiting(kafka, self.topic, self.group)
        self._kafka = kafka
        return found if found and not self._backs_off() else 0

    def _backs_off(self) -> bool:
        """Whether the topic's last try ended a moment ago for a reason outside of it, as the ledger has it."""
        from include.ingestion.waiting import topic_backs_off

        return topic_backs_off(self.topic, warehouse_ingest_config())
