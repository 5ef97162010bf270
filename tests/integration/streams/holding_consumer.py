"""A consumer process for tests to kill: polls one batch, prints its number of messages, and never commits."""

from __future__ import annotations

import sys
import time

from include.settings import KafkaConfig, StreamSettings
from include.streams.batch_consumer import BatchConsumer


def main(bootstrap: str, topic: str, group: str) -> None:
    """Poll, print and wait."""
    with BatchConsumer(
        KafkaConfig(bootstrap_servers=bootstrap), topic, group, StreamSettings(session_timeout_ms=1000)
    ) as own:
        print(sum(len(batch) for batch in own.poll()), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
