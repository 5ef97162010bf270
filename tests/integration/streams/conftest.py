"""One broker for all tests of messages, in a folder and on a port of its own. Each test has topics of its own."""

from __future__ import annotations

import re
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from real_broker import Broker

from include.settings import KafkaConfig, StreamSettings
from local import broker as local_broker
from local.platform import KAFKA, Platform
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker of our own: some tests kill it, and it forgets its topics."""
    home = Path(tempfile.mkdtemp(prefix="broker-"))
    running = Platform(temporary_settings(home))
    try:
        running.up([KAFKA])
        yield Broker(running, KafkaConfig(bootstrap_servers=local_broker.bootstrap(running.settings)))
    finally:
        running.down()
        shutil.rmtree(home)


@pytest.fixture
def kafka(broker: Broker) -> KafkaConfig:
    """How to reach the broker."""
    return broker.config


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A name of the test's own; nothing has made the topic yet."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:40].strip("-")
    return f"{words}-{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def streams() -> StreamSettings:
    """Quick to join a group; and a batch is never closed by time, so what depends on time hangs and is seen."""
    return StreamSettings(session_timeout_ms=1000, batch_seconds=3600)
