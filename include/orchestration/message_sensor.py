"""Sensor for messages. It does not join the consumer group, so it causes no rebalance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from include.orchestration.polling import PollingSensor, PollingTrigger
from include.orchestration.stores import kafka_config, warehouse_ingest_config

if TYPE_CHECKING:
    from datetime import datetime

    from include.settings import KafkaConfig


class WaitForMessages(PollingSensor):
    """Succeed when the topic has messages that the group has not committed, and return their number (the lag).

    Args:
        connection_id: Airflow connection of the broker.
        topic: it need not exist yet.
        group: consumer group.
        options: arguments of `PollingSensor`.
    """

    def __init__(self, *, connection_id: str, topic: str, group: str, **options: Any) -> None:
        super().__init__(**options)
        self.connection_id, self.topic, self.group = connection_id, topic, group

    def trigger(self, until: datetime, **alerting: Any) -> MessagesWaitingTrigger:
        """Return the trigger for this topic and group."""
        return MessagesWaitingTrigger(self.connection_id, self.topic, self.group, self.poke_interval, until, **alerting)

    def awaited(self) -> str:
        """Describe what the sensor waits for."""
        return f"messages of {self.topic}"


class MessagesWaitingTrigger(PollingTrigger):
    """Polls until the group has messages to read, with a back-off for a batch that waits for a store or service."""

    _names: ClassVar[tuple[str, ...]] = ("connection_id", "topic", "group")

    def __init__(
        self, connection_id: str, topic: str, group: str, poke_seconds: float, until: datetime, **alerting: Any
    ) -> None:
        super().__init__(poke_seconds, until, **alerting)
        self.connection_id, self.topic, self.group = connection_id, topic, group
        self._kafka: KafkaConfig | None = None

    def poll(self) -> int:
        """Return the lag of the group, or 0 while a batch backs off after an outage."""
        from include.streams.offsets import group_lag

        # The connection is read once, and again after an error: a password may have changed.
        kafka = self._kafka or kafka_config(self.connection_id)
        self._kafka = None
        found = group_lag(kafka, self.topic, self.group)
        self._kafka = kafka
        return found if found and not self._backs_off() else 0

    def _backs_off(self) -> bool:
        """Return whether the topic's last try ended a moment ago because of an outage, according to the ledger."""
        from include.ingestion.waiting import topic_backs_off

        return topic_backs_off(self.topic, warehouse_ingest_config())
