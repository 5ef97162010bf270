"""The S3 server over a folder, and the buckets in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.settings import S3Config
from local.services import Service
from local.settings import ingest_settings

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

PROGRAM = Path(sys.executable).parent / "rclone"
OTHER_BUCKETS = ("raw-data", "lake", "mlflow", "quality-docs")
REGION = "us-east-1"

# A ranged read answers with the checksum of the whole object, which newer clients then miss in the part.
CHECKSUMS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def endpoint(settings: PlatformSettings) -> str:
    """The server's URL."""
    return f"http://127.0.0.1:{settings.s3_port}"


def s3_config(settings: PlatformSettings, credentials: Credentials) -> S3Config:
    """How the library reaches the buckets."""
    return S3Config(
        endpoint_url=endpoint(settings),
        access_key_id=credentials.s3_access_key_id,
        secret_access_key=credentials.s3_secret_access_key,
        region=REGION,
    )


def client(config: S3Config) -> Any:
    """A client for the platform's own errands: short timeouts, no waiting through retries."""
    return boto3.client(
        "s3",
        endpoint_url=config.endpoint_url,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=config.secret_access_key.get_secret_value(),
        region_name=config.region,
        config=Config(
            connect_timeout=2,
            read_timeout=60,
            retries={"total_max_attempts": 1},
            proxies={},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """The server as a supervised program. Its key travels in the environment, where `ps` does not show it."""
    layout = settings.layout

    def probe(_since: float) -> str | None:
        try:
            client(s3_config(settings, credentials)).list_buckets()
        except (BotoCoreError, ClientError) as error:
            return str(error)
        return None

    return Service(
        name="s3",
        command=(
            str(PROGRAM), "serve", "s3", "shelf:",
            "--addr", f"127.0.0.1:{settings.s3_port}",
            # Files put into the folder by hand are seen after a second. Not 0s: rclone then cleans its cache of
            # each folder in a loop without a pause, and takes a core for itself.
            "--dir-cache-time", "1s",
            "--config", "/dev/null",  # whatever the user's own rclone is set to
        ),
        environment={
            "RCLONE_AUTH_KEY": f'"{credentials.s3_access_key_id},{credentials.s3_secret_access_key}"',
            # Over the bare folder each listing would read every file again for its ETag; this keeps them.
            "RCLONE_CONFIG_SHELF_TYPE": "hasher",
            "RCLONE_CONFIG_SHELF_REMOTE": str(layout.buckets),
            "RCLONE_CONFIG_SHELF_HASHES": "md5",
            "RCLONE_CONFIG_SHELF_MAX_AGE": "off",
            "RCLONE_CACHE_DIR": str(layout.home / "etags"),
        },
        directory=layout.home,
        probe=probe,
        port=settings.s3_port,
        port_variable="S3_PORT",
        address=endpoint(settings),
    )  # fmt: skip


def prepare_buckets(settings: PlatformSettings, credentials: Credentials) -> None:
    """Create what is missing."""
    s3 = client(s3_config(settings, credentials))
    there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in (ingest_settings().landing_bucket, *OTHER_BUCKETS):
        if name not in there:
            s3.create_bucket(Bucket=name)
