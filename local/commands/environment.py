"""The variables with which the library's commands reach the embedded platform."""

from __future__ import annotations

import typer

from local import addresses
from local.errors import PlatformError
from local.platform import Platform
from local.settings import PlatformSettings


def variables() -> dict[str, str]:
    """Addresses, keys and roles of the platform of this checkout.

    Raises:
        typer.Exit: the platform was never started.
    """
    try:
        return addresses.for_library(Platform(PlatformSettings()))
    except PlatformError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
