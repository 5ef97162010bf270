"""Which topics exist, and reading and changing a topic's options.

What belongs here: what the broker stores about a topic as a whole. What does not: its messages, and offsets of groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from include.streams.broker import TIMEOUT_SECONDS, admin_client, known_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.settings import KafkaConfig


def topic_names(config: KafkaConfig) -> set[str]:
    """The broker's topics. Asking creates none.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config) as admin:
        return set(known_topics(admin))


def topic_options(config: KafkaConfig, name: str) -> dict[str, str] | None:
    """A topic's options, in the broker's names; None where there is no such topic.

    Apache Kafka returns all of them, the embedded broker only those that were set.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config, topic=name) as admin:
        if name not in known_topics(admin):
            return None
        asked = ConfigResource(ResourceType.TOPIC, name)
        found = admin.describe_configs([asked], request_timeout=TIMEOUT_SECONDS)[asked].result(2 * TIMEOUT_SECONDS)
        return {option: str(entry.value) for option, entry in found.items() if entry.value is not None}


def set_topic_options(config: KafkaConfig, name: str, options: Mapping[str, str]) -> None:
    """Change these options of a topic, and no other.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    entries = [
        ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET) for option, value in options.items()
    ]
    with admin_client(config, topic=name) as admin:
        changed = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        answers = admin.incremental_alter_configs([changed], request_timeout=TIMEOUT_SECONDS)
        answers[changed].result(2 * TIMEOUT_SECONDS)
