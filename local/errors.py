"""The one error of the embedded stack: what happened, and what the user can do next."""

from __future__ import annotations


class PlatformError(Exception):
    """The platform cannot do what was asked.

    Attributes:
        message: what happened, and where.
        remedy: the next thing to try.
        context: the last lines of a log, if that helps to understand.
    """

    def __init__(self, message: str, remedy: str = "", context: tuple[str, ...] = ()) -> None:
        self.message, self.remedy, self.context = message, remedy, context
        super().__init__(message, remedy, context)

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message
