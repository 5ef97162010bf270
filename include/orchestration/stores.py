"""Configurations of the stores and the broker from the Airflow connections `landing_s3`, `warehouse_pg` and others.

DAG files and the triggerer import this module, so each function imports the client that it opens.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from airflow.sdk import Connection
from pydantic import SecretStr

from include.errors import Code, PermanentError
from include.settings import (
    KafkaConfig,
    S3Config,
    WarehouseConfig,
    ingest_settings,
    lake_settings,
    stream_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.feature_store.config import FeatureStoreConfig
    from include.ingestion.attempt import Stores
    from include.ingestion.records import AirflowRun
    from include.lake.config import LakeConfig
    from include.streams.consume import TopicConsumer

LANDING = "landing_s3"
WAREHOUSE = "warehouse_pg"
WAREHOUSE_TRANSFORM = "warehouse_transform"
LAKE = "lake_pg"
FEAST = "feast_pg"
EVENTS = "events_kafka"

_BOOTSTRAP = "bootstrap.servers"


@contextmanager
def connected_stores() -> Iterator[Stores]:
    """Yield the bucket and the warehouse for a task."""
    from include.ingestion.attempt import open_stores

    with open_stores(s3_config(), _warehouse()) as stores:
        yield stores


@contextmanager
def connected_consumer(
    contract: Contract, run: AirflowRun, *, ignore_threshold: bool = False
) -> Iterator[TopicConsumer]:
    """Yield a consumer of the contract's topic, connected to the broker, the stores and the schema registry if set.

    Args:
        contract: a contract with a topic.
        run: the Airflow run, for the ledger.
        ignore_threshold: do not stop a batch for its bad messages.
    """
    from include.streams.batch_consumer import BatchConsumer
    from include.streams.consume import TopicConsumer
    from include.streams.decode import Decoder
    from include.streams.registry import Registry

    kafka, streams, topic = kafka_config(), stream_settings(), contract.topic or ""
    registry = Registry(streams.schema_registry_url) if streams.schema_registry_url else None
    with connected_stores() as stores, BatchConsumer(kafka, topic, streams.group_of(topic), streams) as consumer:
        yield TopicConsumer(
            contract, consumer, Decoder(registry), stores, kafka, ingest_settings(), streams, run, ignore_threshold
        )


def kafka_config(connection_id: str = EVENTS) -> KafkaConfig:
    """Return the broker configuration: the connection's extra holds `bootstrap.servers` and librdkafka options.

    Raises:
        PermanentError: the extra names no broker, or an option has a wrong type.
    """
    options = dict(Connection.get(connection_id).extra_dejson)
    servers = options.pop(_BOOTSTRAP, None)
    if not servers or not isinstance(servers, str):
        raise _unusable(connection_id, f'names no broker: add to it {{"{_BOOTSTRAP}": "host:port"}}')
    wrong = sorted(name for name, value in options.items() if not isinstance(value, str | int | float | bool))
    if wrong:
        raise _unusable(connection_id, f"holds {', '.join(wrong)}: an option must be a text, a number, true or false")
    return KafkaConfig(bootstrap_servers=servers, options=options)


def warehouse_ingest_config() -> WarehouseConfig:
    """Return the configuration of the warehouse for the role `ingest`."""
    return _warehouse()


def warehouse_transform_config() -> WarehouseConfig:
    """Return the configuration of the warehouse for the role `transform`, which writes staging and analytics."""
    return _warehouse(WAREHOUSE_TRANSFORM)


def lake_config() -> LakeConfig:
    """Return the configuration of the lakehouse for its owner, with the pipelines' key of the bucket."""
    from include.lake.config import LakeConfig

    settings = lake_settings()
    return LakeConfig(
        catalogue=_warehouse(LAKE), objects=s3_config(), bucket=settings.bucket, memory_mb=settings.memory_mb
    )


def feature_store_config() -> FeatureStoreConfig:
    """Return the configuration of the feature store: one role for its database and for the tables of features."""
    from include.feature_store.config import FeatureStoreConfig

    store, warehouse = _warehouse(FEAST), _warehouse()
    login = {"user": store.user, "password": store.password}
    return FeatureStoreConfig(warehouse.model_copy(update=login), store)


def api_url(connection: Connection) -> str:
    """Return the address of an API from its connection: the host is a URL, or host, port and schema are separate."""
    host = (connection.host or "").strip()
    if not host:
        return ""
    url = urlsplit(host if "://" in host else f"{connection.schema or 'https'}://{host}")
    return urlunsplit(url._replace(netloc=f"{url.netloc}:{connection.port}" if connection.port else url.netloc))


def _unusable(connection_id: str, why: str) -> PermanentError:
    return PermanentError(Code.BROKER_REFUSED, f"The extra of the connection {connection_id} {why}.")


def s3_config() -> S3Config:
    """Return the configuration of the object store from its connection."""
    connection = Connection.get(LANDING)
    extra = connection.extra_dejson
    return S3Config(
        endpoint_url=extra.get("endpoint_url"),
        access_key_id=connection.login or "",
        secret_access_key=SecretStr(connection.password or ""),
        region=extra.get("region_name", "us-east-1"),
    )


def _warehouse(connection_id: str = WAREHOUSE) -> WarehouseConfig:
    connection = Connection.get(connection_id)
    return WarehouseConfig(
        host=connection.host or "",
        port=connection.port or 5432,
        database=connection.schema or "warehouse",
        user=connection.login or "",
        password=SecretStr(connection.password or ""),
        lock_timeout=ingest_settings().lock_timeout_seconds,
    )
