"""The lake of the platform: which role and key reach its catalogue and its bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from include.lake.config import LakeConfig
from include.settings import WarehouseConfig, lake_settings
from local.services import bucket, postgres

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings


def lake_config(settings: PlatformSettings, credentials: Credentials, *, writes: bool) -> LakeConfig:
    """Return addresses and logins of the lake: its reader's, or its owner's and the pipelines' key."""
    user = postgres.LAKE_OWNER if writes else postgres.LAKE_READER
    return LakeConfig(
        catalogue=WarehouseConfig(
            host="127.0.0.1", port=settings.postgres_port, database=postgres.LAKE, user=user,
            password=SecretStr(postgres.role_passwords(credentials)[user]),
        ),
        objects=(bucket.s3_config if writes else bucket.lake_reader_config)(settings, credentials),
        bucket=bucket.LAKE_BUCKET,
        memory_mb=lake_settings().memory_mb,
    )  # fmt: skip
