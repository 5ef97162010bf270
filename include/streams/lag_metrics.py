"""The lag of the consumer groups for Prometheus: the broker is asked at each scrape.

What belongs here: the metrics and the server that returns them. What does not: reading the offsets (`offsets`).
Positions are the offsets that the groups commit to the broker, the same that a consumer starts from.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from include.errors import PipelineError
from include.streams.dead_letters import dead_letter_topic, replay_group
from include.streams.offsets import partition_offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from threading import Event

    from prometheus_client.metrics_core import Metric

    from include.settings import KafkaConfig, StreamSettings

log = logging.getLogger(__name__)

_PARTITION = ("topic", "partition")


class LagCollector(Collector):
    """Asks the broker at each scrape. If the broker does not answer, `filegate_broker_up` is 0."""

    def __init__(self, config: KafkaConfig, streams: StreamSettings, topics: Callable[[], Sequence[str]]) -> None:
        self._config, self._streams, self._topics = config, streams, topics

    def describe(self) -> Iterable[Metric]:
        """No metrics: otherwise the Prometheus registry would call `collect`, and so the broker, to list them."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Lag, last stable offset and position of each partition, and the dead letters that were not replayed.

        A topic that does not exist yet has no partitions, and so no series.
        """
        lag = GaugeMetricFamily(
            "filegate_topic_lag_messages", "Messages not committed by the group.", labels=_PARTITION
        )
        published = CounterMetricFamily(
            "filegate_topic_published_messages", "Messages ever published.", labels=_PARTITION
        )
        committed = CounterMetricFamily(
            "filegate_topic_committed_messages", "The group's committed offset.", labels=_PARTITION
        )
        dead = GaugeMetricFamily("filegate_dead_letters_waiting", "Dead letters not replayed.", labels=("topic",))
        answers = 1.0
        try:
            for topic in self._topics():
                for offsets in partition_offsets(self._config, topic, self._streams.group_of(topic)):
                    labels = (topic, str(offsets.partition))
                    lag.add_metric(labels, offsets.lag)
                    published.add_metric(labels, offsets.last_stable)
                    committed.add_metric(labels, offsets.position)
                letters = partition_offsets(self._config, dead_letter_topic(topic), replay_group())
                dead.add_metric((topic,), sum(offsets.lag for offsets in letters))
        except PipelineError as error:
            log.warning("No lag: %s", error)
            answers = 0.0
        yield GaugeMetricFamily("filegate_broker_up", "Whether the broker answered for every topic.", value=answers)
        if answers:
            yield from (lag, published, committed, dead)


def serve(collector: Collector, host: str, port: int, until: Event) -> None:
    """Serve the metrics at /metrics until the event is set.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, addr=host, registry=registry)
    log.info("Lag of the topics at http://%s:%s/metrics", host, server.server_port)
    try:
        until.wait()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
