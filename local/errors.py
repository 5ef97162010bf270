"""The error of the embedded platform: what happened, and what the user can do next."""

from __future__ import annotations

from include.errors import CommandError


class PlatformError(CommandError):
    """A command of the platform failed."""
