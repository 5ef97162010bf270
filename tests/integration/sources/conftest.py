"""One replay of the API for all tests of sources; each test has its own datasets, buckets and collector."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import psycopg
import pytest
from github_world import World
from psycopg.rows import dict_row

from local.services import bucket as local_bucket
from local.services.github_api.server import GithubApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform


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
    config = platform.warehouse_config("owner")
    owner = psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True, row_factory=dict_row,
        options="-c timezone=UTC -c statement_timeout=60s",
    )  # fmt: skip
    now = running_api.now
    with owner:
        owner.execute("DELETE FROM ops.source_state")
        made = World(running_api, platform, name, *buckets, owner, tmp_path)
        yield made
        running_api.now = now
        made.drop_tables()
