"""The variables with which the library's commands reach the embedded platform."""

from __future__ import annotations

from local import addresses
from local.commands.explained import explained
from local.settings import PlatformSettings
from local.supervisor.platform import Platform


def variables() -> dict[str, str]:
    """Addresses, keys and roles of the platform of this checkout.

    Raises:
        typer.Exit: the platform was never started.
    """
    with explained():
        return addresses.for_library(Platform(PlatformSettings()))
