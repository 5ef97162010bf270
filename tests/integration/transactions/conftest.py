"""Every test has its own topic, dataset and consumer group, on the session's stores, broker and ML service."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

TESTS = Path(__file__).parents[2]
# Helpers of other folders: the ML service that misbehaves, the schema registry, the owner's connection.
sys.path[1:1] = [str(TESTS / folder) for folder in ("unit/stores", "integration/streams", "integration/ingestion")]

from faulty_ml_service import FaultyMlService  # noqa: E402
from ingest_pipeline import direct  # noqa: E402
from real_broker import Broker  # noqa: E402
from topic_pipeline import Row, TopicPipeline  # noqa: E402

from include.contracts.reader import read_contract  # noqa: E402
from include.settings import CONTRACTS_DIR, IngestSettings, KafkaConfig, MlServiceSettings, StreamSettings  # noqa: E402
from local.services import broker as local_broker  # noqa: E402
from local.services import ml_api as local_ml_api  # noqa: E402
from local.supervisor.platform import KAFKA, ML_API  # noqa: E402
from tests.own_names import own_name  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from local.supervisor.platform import Platform


class MakeTopic(Protocol):
    """`make_topic(streams={"batch_messages": 10}, unknown_columns=...)`."""

    def __call__(
        self,
        *,
        streams: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        ml_service: dict[str, Any] | None = None,
        partitions: int = 1,
        **changes: Any,
    ) -> TopicPipeline: ...


@pytest.fixture(scope="session")
def broker(platform: Platform) -> Broker:
    """The broker, started beside the stores."""
    platform.up((KAFKA,))
    return Broker(platform, KafkaConfig(bootstrap_servers=local_broker.bootstrap(platform.settings)))


@pytest.fixture(scope="session")
def ml_service_url(platform: Platform) -> str:
    """The real ML service, started beside the stores."""
    platform.up((ML_API,))
    return local_ml_api.url(platform.settings)


@pytest.fixture(scope="session")
def owner(platform: Platform) -> Iterator[psycopg.Connection[Row]]:
    """A connection to the warehouse as its owner, to check the pipeline's results."""
    with direct(platform.warehouse_config("owner")) as connection:
        yield connection


@pytest.fixture
def faulty() -> Iterator[FaultyMlService]:
    """An ML service that misbehaves on command."""
    with FaultyMlService() as service:
        yield service


class Topics:
    """Creates pipelines, and drops their tables."""

    def __init__(self, broker: Broker, url: str, owner: psycopg.Connection[Row], folder: Path) -> None:
        self._platform, self._broker, self._url, self._owner, self._folder = broker.platform, broker, url, owner, folder
        self.made: list[TopicPipeline] = []

    def make(
        self,
        name: str,
        *,
        streams: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        ml_service: dict[str, Any] | None = None,
        partitions: int = 1,
        **changes: Any,
    ) -> TopicPipeline:
        name = own_name(name)
        contract = read_contract(CONTRACTS_DIR / "transactions.yaml")
        defaults = {"group": name, "max_poll_interval_ms": 30_000, "run_seconds": 60}
        token = self._platform.credentials.ml_api_token
        ml = {"url": self._url, "token": token, "attempts": 3, "backoff_seconds": 0.01, "backoff_max_seconds": 0.02}
        pipeline = TopicPipeline(
            contract=replace(contract, **{"dataset": name, "topic": name, **changes}),
            kafka=self._broker.config,
            # Shorter than the settings allow: each join of the group takes half of it.
            streams=StreamSettings(**{**defaults, **(streams or {})}).model_copy(update={"session_timeout_ms": 1000}),
            settings=IngestSettings(**{"spool_dir": self._folder / name, **(settings or {})}),
            ml_service=MlServiceSettings(**{**ml, **(ml_service or {})}),
            s3=self._platform.s3_config,
            warehouse=self._platform.warehouse_config(),
            owner=self._owner,
            partitions=partitions,
        )
        self.made.append(pipeline)
        return pipeline

    def drop(self) -> None:
        for pipeline in self.made:
            pipeline.sql("DROP TABLE IF EXISTS {table}")


@pytest.fixture
def make_topic(
    broker: Broker,
    ml_service_url: str,
    owner: psycopg.Connection[Row],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[MakeTopic]:
    """Makes pipelines of changed contracts and settings, with the test's own topic."""
    topics = Topics(broker, ml_service_url, owner, tmp_path)
    yield lambda **how: topics.make(request.node.nodeid, **how)
    topics.drop()


@pytest.fixture(scope="module")
def module_topics(
    broker: Broker,
    ml_service_url: str,
    owner: psycopg.Connection[Row],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Topics]:
    """For what many tests of a module look at and one run has made."""
    topics = Topics(broker, ml_service_url, owner, tmp_path_factory.mktemp("topic"))
    yield topics
    topics.drop()


@pytest.fixture
def pipeline(make_topic: MakeTopic) -> TopicPipeline:
    """Transactions as their contract says, over one partition."""
    return make_topic()
