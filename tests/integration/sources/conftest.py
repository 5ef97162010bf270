"""One replay of the API for all tests of sources; each test has its own datasets, buckets and collector."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

TESTS = Path(__file__).parents[2]
# Helpers of other folders: the broker, the schema registry.
sys.path[1:1] = [str(TESTS / "integration/streams")]

from element_world import ElementWorld, Row  # noqa: E402
from github_world import World  # noqa: E402
from real_broker import Broker  # noqa: E402

from include.settings import KafkaConfig  # noqa: E402
from local.services import broker as local_broker  # noqa: E402
from local.services import bucket as local_bucket  # noqa: E402
from local.services.github_api.server import GithubApi  # noqa: E402
from local.supervisor.platform import KAFKA  # noqa: E402
from tests.integration.own_platform import RUN  # noqa: E402
from tests.own_names import own_name  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform


@pytest.fixture(scope="session")
def broker(platform: Platform) -> Broker:
    """The broker, started beside the stores."""
    platform.up((KAFKA,))
    return Broker(platform, KafkaConfig(bootstrap_servers=local_broker.bootstrap(platform.settings)))


def owner_connection(platform: Platform) -> psycopg.Connection[Row]:
    config = platform.warehouse_config("owner")
    return psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True, row_factory=dict_row,
        options="-c timezone=UTC -c statement_timeout=60s",
    )  # fmt: skip


@pytest.fixture
def element_world(platform: Platform, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ElementWorld]:
    """A source of the test's own, with its buckets and its dataset."""
    name = own_name(request.node.nodeid + os.environ.get(RUN, ""))
    client = local_bucket.client(platform.s3_config)
    buckets = [f"{name.replace('_', '-')}-{kind}" for kind in ("raw", "landing")]
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    with owner_connection(platform) as owner:
        made = ElementWorld(platform, name, *buckets, owner, tmp_path)
        yield made
        made.clear()


@pytest.fixture(scope="session")
def running_api() -> Iterator[GithubApi]:
    with GithubApi() as api:
        yield api


@pytest.fixture
def world(
    platform: Platform, running_api: GithubApi, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[World]:
    """The parts between the API and the table, separate for each test."""
    name = f"github_{zlib.crc32(request.node.nodeid.encode()):08x}"
    client = local_bucket.client(platform.s3_config)
    buckets = [f"{name.replace('_', '-')}-{kind}" for kind in ("raw", "landing")]
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    running_api.faults.clear()
    running_api.requests.clear()
    running_api.limit = None
    now = running_api.now
    with owner_connection(platform) as owner:
        owner.execute("DELETE FROM ops.source_state")
        made = World(running_api, platform, name, *buckets, owner, tmp_path)
        yield made
        running_api.now = now
        made.drop_tables()
