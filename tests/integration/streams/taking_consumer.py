"""A consumer process for tests to kill: takes one batch, says what it has, and neither commits nor ends."""

from __future__ import annotations

import sys
import time

from include.settings import KafkaConfig, StreamSettings
from include.streams.intake import Intake


def main(bootstrap: str, topic: str, group: str) -> None:
    """Take, tell, and wait for the end."""
    with Intake(KafkaConfig(bootstrap_servers=bootstrap), topic, group, StreamSettings(session_timeout_ms=1000)) as own:
        print(sum(len(batch) for batch in own.take()), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
