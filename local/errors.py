"""The error of the embedded platform: what happened, and what the user can do next."""

from __future__ import annotations


class PlatformError(Exception):
    """A command of the platform failed.

    Attributes:
        message: what happened, and where.
        remedy: what the user can do next.
        context: the last lines of a log, if they help to understand the error.
    """

    def __init__(self, message: str, remedy: str = "", context: tuple[str, ...] = ()) -> None:
        self.message, self.remedy, self.context = message, remedy, context
        super().__init__(message, remedy, context)

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message
