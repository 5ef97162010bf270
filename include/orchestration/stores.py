"""The stores, as the Airflow connections `landing_s3` and `warehouse_pg` describe them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import Connection
from pydantic import SecretStr

from include.ingestion.road import Stores, open_stores
from include.settings import S3Config, WarehouseConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

LANDING = "landing_s3"
WAREHOUSE = "warehouse_pg"


@contextmanager
def connected_stores() -> Iterator[Stores]:
    """Bucket and warehouse for a task."""
    with open_stores(_s3(), _warehouse()) as stores:
        yield stores


def _s3() -> S3Config:
    connection = Connection.get(LANDING)
    extra = connection.extra_dejson
    return S3Config(
        endpoint_url=extra.get("endpoint_url"),
        access_key_id=connection.login or "",
        secret_access_key=SecretStr(connection.password or ""),
        region=extra.get("region_name", "us-east-1"),
    )


def _warehouse() -> WarehouseConfig:
    connection = Connection.get(WAREHOUSE)
    return WarehouseConfig(
        host=connection.host or "",
        port=connection.port or 5432,
        database=connection.schema or "warehouse",
        user=connection.login or "",
        password=SecretStr(connection.password or ""),
    )
