"""The variables with which the library's commands reach the embedded platform."""

from __future__ import annotations

from local import addresses
from local.commands.explained import explained
from local.errors import PlatformError
from local.settings import PlatformSettings, pipeline_variables, source_connections
from local.supervisor.platform import Platform


def variables() -> dict[str, str]:
    """Addresses, keys and roles of the platform of this checkout.

    Raises:
        SystemExit: the platform was never started.
    """
    with explained():
        return addresses.for_library(Platform(PlatformSettings()))


def variables_if_started() -> dict[str, str]:
    """The same; nothing if the platform was never started."""
    try:
        return addresses.for_library(Platform(PlatformSettings()))
    except PlatformError:
        return {}


def settings() -> dict[str, str]:
    """The settings of the pipelines, from the environment, `pipelines.env` and `.env`. No addresses of services."""
    return pipeline_variables()


def connections() -> dict[str, str]:
    """The connections of sources, AIRFLOW_CONN_SOURCE_<NAME>, from the environment and `.env`."""
    return source_connections()
