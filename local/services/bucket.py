"""The buckets of the platform: their clients, their creation, and the buckets that each access key may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.settings import S3Config
from local.services import seaweedfs
from local.services.seaweedfs import Identity
from local.services.service import Service
from local.settings import ingest_settings

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

MLFLOW_BUCKET = "mlflow"
BROKER_BUCKET = "kafka"
LAKE_BUCKET = "lake"
OTHER_BUCKETS = ("raw-data", LAKE_BUCKET, MLFLOW_BUCKET, "quality-docs")
REGION = "us-east-1"

_ADMIN, _BROKER, _LAKE_READER = "s3-admin", "kafka", "lake-reader"
_PROBED = {"Bucket": "health", "Key": "probe"}
_PROBE = b"This object is read and written to see whether the server works.\n"

# The server answers a ranged read with the checksum of the whole object, which newer clients would compare with the
# part.
CHECKSUMS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def endpoint(settings: PlatformSettings) -> str:
    """Return the server's URL."""
    return f"http://127.0.0.1:{settings.s3_port}"


def s3_config(settings: PlatformSettings, credentials: Credentials) -> S3Config:
    """Return the address and key of the pipelines."""
    return _config(settings, credentials.s3_access_key_id, credentials.s3_secret_access_key)


def admin_config(settings: PlatformSettings, credentials: Credentials) -> S3Config:
    """Return the address and the administrator's key, for starts and imports. No service has this key."""
    return _config(settings, _ADMIN, credentials.s3_admin_secret_access_key)


def broker_config(settings: PlatformSettings, credentials: Credentials) -> S3Config:
    """Return the address and the broker's key, which may use only the broker's bucket."""
    return _config(settings, _BROKER, credentials.kafka_s3_secret_access_key)


def lake_reader_config(settings: PlatformSettings, credentials: Credentials) -> S3Config:
    """Return the address and the key that may only read the lake."""
    return _config(settings, _LAKE_READER, credentials.s3_lake_reader_secret_access_key)


def _config(settings: PlatformSettings, key: str, secret: str) -> S3Config:
    return S3Config(endpoint_url=endpoint(settings), access_key_id=key, secret_access_key=secret, region=REGION)


def client(config: S3Config) -> Any:
    """Make a client for the platform's commands, with short timeouts and without retries."""
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
    """Declare the server as a supervised program. Its keys are in a private file, not on the command line."""

    def probe(_since: float) -> str | None:
        """Read and write an object: some seconds after a start the server lists objects and cannot read them yet."""
        s3 = client(admin_config(settings, credentials))
        try:
            s3.get_object(**_PROBED)["Body"].read()
            s3.put_object(**_PROBED, Body=_PROBE)
        except ClientError as error:
            # The first start creates the object after the server is ready.
            missing = error.response.get("Error", {}).get("Code") in {"NoSuchBucket", "NoSuchKey"}
            return None if missing else str(error)
        except BotoCoreError as error:
            return str(error)
        return None

    return Service(
        name="s3",
        command=seaweedfs.command(settings),
        # In the user's home directory the server would look for further settings.
        environment={**seaweedfs.ENVIRONMENT, "HOME": str(settings.layout.s3)},
        directory=settings.layout.s3,
        probe=probe,
        port=settings.s3_port,
        port_variable="S3_PORT",
        internal_ports=seaweedfs.internal_ports(settings),
        internal_ports_variable="S3_INTERNAL_PORTS",
        address=endpoint(settings),
        # Its orderly stop waits 15 seconds for internal streams that do not end. Acknowledged objects survive a kill
        # (tests/integration/local/test_s3_server.py).
        stop_seconds=3,
    )


def prepare_server(settings: PlatformSettings, credentials: Credentials) -> None:
    """Write the server's configuration, with a key for each client and the buckets that it may use."""
    seaweedfs.prepare(
        settings,
        (
            Identity(_ADMIN, credentials.s3_admin_secret_access_key, None),
            Identity(credentials.s3_access_key_id, credentials.s3_secret_access_key, _of_pipelines(settings)),
            Identity(credentials.mlflow_s3_access_key_id, credentials.mlflow_s3_secret_access_key, [MLFLOW_BUCKET]),
            Identity(_BROKER, credentials.kafka_s3_secret_access_key, [BROKER_BUCKET]),
            Identity(
                _LAKE_READER, credentials.s3_lake_reader_secret_access_key, [LAKE_BUCKET], rights=seaweedfs.READ_ONLY
            ),
        ),
    )


def prepare_buckets(settings: PlatformSettings, credentials: Credentials) -> None:
    """Create missing buckets. The landing bucket has versioning, so that deleted objects can be recovered."""
    s3 = client(admin_config(settings, credentials))
    existing = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in (*_of_pipelines(settings), MLFLOW_BUCKET, BROKER_BUCKET, _PROBED["Bucket"]):
        if name not in existing and "*" not in name:
            s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=ingest_settings().landing_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(**_PROBED, Body=_PROBE)


def _of_pipelines(settings: PlatformSettings) -> list[str]:
    """Return the buckets that the pipelines' key may use."""
    own = (ingest_settings().landing_bucket, *(name for name in OTHER_BUCKETS if name != MLFLOW_BUCKET))
    extra = (name.strip() for name in settings.s3_extra_buckets.split(","))
    return list(dict.fromkeys((*own, *filter(None, extra))))
