"""Where the lake is: its catalogue, a database of PostgreSQL, and its bucket; and how it is read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from include.settings import S3Config, WarehouseConfig, lake_settings, store_settings

CATALOGUE_SCHEMA = "ducklake"


class LakeConfig(BaseModel):
    """How to reach the lake as one of its roles. DuckDB uses up to `memory_mb` megabytes, then it spills to disk."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    catalogue: WarehouseConfig
    objects: S3Config
    bucket: str
    memory_mb: int


def reader_config() -> LakeConfig:
    """The lake as its reader, from the environment: for commands."""
    lake, stores = lake_settings(), store_settings()
    return LakeConfig(
        catalogue=WarehouseConfig(
            host=stores.warehouse_host, port=stores.warehouse_port, database=stores.warehouse_lake_database,
            user=stores.warehouse_lake_reader_user, password=stores.warehouse_lake_reader_password,
        ),
        objects=S3Config(
            endpoint_url=stores.s3_endpoint_url, region=stores.s3_region,
            access_key_id=stores.s3_lake_reader_access_key_id,
            secret_access_key=stores.s3_lake_reader_secret_access_key,
        ),
        bucket=lake.bucket,
        memory_mb=lake.memory_mb,
    )  # fmt: skip
