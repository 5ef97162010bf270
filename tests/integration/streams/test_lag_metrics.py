"""The lag of topics as Prometheus gets it: from the broker, over HTTP, by the command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from include.settings import KafkaConfig
from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import ensure_topic
from include.streams.dead_letters import dead_letter_topic
from include.streams.lag_metrics import LagCollector
from local.settings import free_ports

if TYPE_CHECKING:
    from real_broker import Broker

    from include.settings import StreamSettings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """What a scrape answers, by name and labels."""
    return {
        " ".join([sample.name.removeprefix("filegate_"), *sample.labels.values()]): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def registry_of(config: KafkaConfig, streams: StreamSettings, *topics: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(LagCollector(config, streams, lambda: topics))
    return registry


def test_lag_falls_with_what_the_group_commits(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    registry = registry_of(broker.config, streams, topic, "missing-topic")
    broker.send(topic, [b"x"] * 10)
    broker.send(dead_letter_topic(topic), [b"bad"] * 3)
    expected = {
        "broker_up": 1, f"topic_lag_messages {topic} 0": 10, f"topic_published_messages_total {topic} 0": 10,
        f"topic_committed_messages_total {topic} 0": 0, f"dead_letters_waiting {topic}": 3,
        "dead_letters_waiting missing-topic": 0,
    }  # fmt: skip
    assert samples(registry) == expected

    few = streams.model_copy(update={"batch_messages": 4})
    with BatchConsumer(broker.config, topic, streams.group_of(topic), few) as consumer:
        batch = next(iter(consumer.poll()))
        assert consumer.commit(batch)

    assert samples(registry) == expected | {
        f"topic_lag_messages {topic} 0": 6, f"topic_committed_messages_total {topic} 0": 4,
    }  # fmt: skip


def test_broker_that_is_down_is_reported_and_breaks_no_scrape(streams: StreamSettings) -> None:
    (unused_port,) = free_ports(1)
    config = KafkaConfig(bootstrap_servers=f"127.0.0.1:{unused_port}")

    assert samples(registry_of(config, streams, "sales", "events")) == {"broker_up": 0}


def test_command_answers_for_the_topics_of_the_contracts_until_it_is_stopped(broker: Broker) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "KAFKA_BOOTSTRAP": broker.config.bootstrap_servers,
    }
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "include.streams", "lag", "--port", str(port)],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        found = scraped(port, process)
        process.terminate()
        _, output = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert found["filegate_broker_up"] == [{}]
    assert {"topic": "transactions"} in found["filegate_dead_letters_waiting"]
    assert process.returncode == 0, output
    assert re.search(rf"http://127\.0\.0\.1:{port}/metrics", output)


def scraped(port: int, process: subprocess.Popen[str]) -> dict[str, list[dict[str, str]]]:
    """The labels of each metric, once the command answers."""
    deadline = time.monotonic() + 90
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                text = answer.read().decode()
        except (URLError, ConnectionError):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
            continue
        families = text_string_to_metric_families(text)
        return {family.name: [sample.labels for sample in family.samples] for family in families}
