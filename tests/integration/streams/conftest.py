"""One broker for all tests of messages, in its own folder and on its own port. Each test has its own topics."""

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
from local.services import broker as local_broker
from local.settings import temporary_settings
from local.supervisor.platform import KAFKA, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker for these tests alone: some tests kill it, and it loses its topics."""
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
    """A topic name for this test; the topic does not exist yet."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:40].strip("-")
    return f"{words}-{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def streams() -> StreamSettings:
    """A group is joined quickly. A batch is never closed by time, so a test that depends on time hangs and fails."""
    return StreamSettings(session_timeout_ms=1000, batch_seconds=3600)
