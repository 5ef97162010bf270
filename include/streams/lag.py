"""How far the consumers are behind, for Prometheus: asked from the broker at each scrape.

What belongs here: the metrics and the server that answers with them. What does not: how a broker is asked (`broker`).
Positions are the offsets that the groups commit to the broker, the same that a consumer starts from.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from include.errors import PipelineError
from include.streams.broker import spans
from include.streams.dead_letters import dead_letter_topic, replay_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from threading import Event

    from prometheus_client.metrics_core import Metric

    from include.settings import KafkaConfig, StreamSettings

log = logging.getLogger(__name__)

_PARTITION = ("topic", "partition")


class LagCollector(Collector):
    """Asks the broker at each scrape, and says that it is away instead of failing."""

    def __init__(self, config: KafkaConfig, streams: StreamSettings, topics: Callable[[], Sequence[str]]) -> None:
        self._config, self._streams, self._topics = config, streams, topics

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would ask the broker for it."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Lag, ends and positions of each partition, and dead letters that nobody has put back.

        A topic that nobody has made yet has no partitions, and so no series.
        """
        lag = GaugeMetricFamily(
            "filegate_topic_lag_messages", "Messages not committed by the group.", labels=_PARTITION
        )
        ends = CounterMetricFamily("filegate_topic_published_messages", "Messages ever published.", labels=_PARTITION)
        committed = CounterMetricFamily(
            "filegate_topic_committed_messages", "The group's committed offset.", labels=_PARTITION
        )
        dead = GaugeMetricFamily("filegate_dead_letters_waiting", "Dead letters not put back.", labels=("topic",))
        answers = 1.0
        try:
            for topic in self._topics():
                for span in spans(self._config, topic, self._streams.group_of(topic)):
                    place = (topic, str(span.partition))
                    lag.add_metric(place, span.waiting)
                    ends.add_metric(place, span.end)
                    committed.add_metric(place, span.start)
                letters = spans(self._config, dead_letter_topic(topic), replay_group())
                dead.add_metric((topic,), sum(span.waiting for span in letters))
        except PipelineError as error:
            log.warning("No lag: %s", error)
            answers = 0.0
        yield GaugeMetricFamily("filegate_broker_up", "Whether the broker answered for every topic.", value=answers)
        if answers:
            yield from (lag, ends, committed, dead)


def serve(collector: Collector, host: str, port: int, until: Event) -> None:
    """Answer Prometheus at /metrics until somebody sets the event.

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
