"""One server of stand-ins for all tests of sources; each test has its own datasets and buckets."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

TESTS = Path(__file__).parents[2]
# Helpers of other folders: the broker, the schema registry, a certificate.
sys.path[1:1] = [str(TESTS / "integration" / folder) for folder in ("streams", "alerts")]

from bucket_world import BucketWorld  # noqa: E402
from database_world import DatabaseWorld, MariaDbDatabase, PostgresDatabase, world_of  # noqa: E402
from element_world import ElementWorld, Row  # noqa: E402
from github_world import World  # noqa: E402
from mail_server import write_certificate  # noqa: E402
from real_broker import Broker  # noqa: E402

from include.settings import KafkaConfig  # noqa: E402
from local.services import broker as local_broker  # noqa: E402
from local.services import bucket as local_bucket  # noqa: E402
from local.services.stand_ins.server import NOW, StandIns  # noqa: E402
from local.supervisor.platform import KAFKA, S3  # noqa: E402
from tests.integration.own_platform import RUN, own_platform  # noqa: E402
from tests.mariadb import mariadb  # noqa: E402
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
def other_store() -> Iterator[Platform]:
    """A second S3 server, with keys of its own."""
    with own_platform((S3,)) as running:
        yield running


@pytest.fixture
def bucket_world(
    platform: Platform, other_store: Platform, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[BucketWorld]:
    """A bucket of the second server, which is the source of a dataset of the test's own."""
    name = own_name(request.node.nodeid + os.environ.get(RUN, ""))
    landing = f"{name.replace('_', '-')}-landing"
    client = local_bucket.client(platform.s3_config)
    client.create_bucket(Bucket=landing)
    client.put_bucket_versioning(Bucket=landing, VersioningConfiguration={"Status": "Enabled"})
    local_bucket.client(other_store.s3_config).create_bucket(Bucket=name.replace("_", "-"))
    with owner_connection(platform) as owner:
        made = BucketWorld(platform, other_store.s3_config, name, landing, owner, tmp_path)
        yield made
        made.clear()


@pytest.fixture(scope="session")
def running_api() -> Iterator[StandIns]:
    with StandIns() as api:
        yield api


@pytest.fixture
def github_world(
    platform: Platform, running_api: StandIns, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[World]:
    """The parts between GitHub's API and the table, separate for each test."""
    name = f"github_{zlib.crc32(request.node.nodeid.encode()):08x}"
    client = local_bucket.client(platform.s3_config)
    buckets = [f"{name.replace('_', '-')}-{kind}" for kind in ("raw", "landing")]
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    running_api.reset()
    running_api.now = NOW.replace(day=21, hour=0, minute=0, second=0)
    with owner_connection(platform) as owner:
        made = World(running_api, platform, name, *buckets, owner, tmp_path)
        yield made
        made.clear()


@pytest.fixture(scope="session")
def mariadb_database() -> Iterator[MariaDbDatabase]:
    """A MariaDB server whose zone is not UTC, and whose modes change what a careless client reads."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    try:
        write_certificate(certificate := folder / "certificate.pem")
        with mariadb(
            folder,
            f"--ssl-cert={certificate}",
            f"--ssl-key={certificate}",
            "--default-time-zone=+09:00",
            "--sql-mode=PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,ORACLE",
            "--character-set-server=latin1",
            "--init-connect=SET SESSION sql_select_limit = 2",
        ) as server:
            yield MariaDbDatabase(server)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_database(platform: Platform) -> Iterator[PostgresDatabase]:
    """A database of its own in the platform's PostgreSQL, with a role whose settings change texts."""
    database = PostgresDatabase(platform)
    database.make()
    yield database
    database.drop()


@pytest.fixture
def mariadb_world(element_world: ElementWorld, mariadb_database: MariaDbDatabase) -> Iterator[DatabaseWorld]:
    """A source that reads a table of MariaDB, which the test makes under the world's name."""
    world = world_of(element_world, mariadb_database)
    yield world
    world.clear()


@pytest.fixture
def postgres_world(element_world: ElementWorld, postgres_database: PostgresDatabase) -> Iterator[DatabaseWorld]:
    """A source that reads a table of PostgreSQL, which the test makes under the world's name."""
    world = world_of(element_world, postgres_database)
    yield world
    world.clear()


@pytest.fixture(params=["postgres", "mariadb"])
def database_world(request: pytest.FixtureRequest) -> DatabaseWorld:
    """One of both."""
    world: DatabaseWorld = request.getfixturevalue(f"{request.param}_world")
    return world
