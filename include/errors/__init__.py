"""The errors a stage may raise, and the registry of the reason codes that users meet.

Bad data is a result, never an exception: the codes of cells, rows, messages and files travel in result records.
Exceptions are for what stops the work itself, and their type says whether a retry can help. Every message for a user
is on one line: see `visible`. A code's name stands in `codes`, its title, meaning, messages and remedy in
`row_reasons`, `file_reasons`, `format_reasons` or `work_reasons`. `registry` joins them, and
`python -m include.errors` writes docs/reason-codes.md.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from include.errors.codes import Code, Stage
from include.errors.registry import text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Code", "CommandError", "PermanentError", "PipelineError", "RetryableError", "Stage", "in_stage", "visible"]


class PipelineError(Exception):
    """Something stopped the work. `details` are values by name; they are shown sorted.

    The code that raises an error does not know the stage that runs it: `in_stage` adds it. All of it survives pickling.
    """

    stage: str = ""

    def __init__(self, code: Code, message: str | None = None, /, **details: object) -> None:
        """Without `message`, the registry's usual message of the code is filled with the details."""
        message = text(code, **details).message if message is None else message
        self.code, self.message, self.details = code, message, details
        super().__init__(code, message, details)

    def with_stage(self, stage: str) -> Self:
        """This error, with the stage that ran if it has none yet."""
        self.stage = self.stage or stage
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.details), {"stage": self.stage})

    def __str__(self) -> str:
        details = ", ".join(visible(f"{name}={value}") for name, value in sorted(self.details.items()))
        stage = f"{self.stage}: " if self.stage else ""
        return f"{stage}{self.code}: {self.message}" + (f" ({details})" if details else "")


class RetryableError(PipelineError):
    """The network, a lock, a throttle, a restart: the same call may succeed later."""


class PermanentError(PipelineError):
    """A contract, a setting, a permission: trying again changes nothing until a user or an operator fixes it."""


class CommandError(Exception):
    """What a user asked for cannot be done, and no data is the reason: a wrong name, a command of the platform.

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


@contextmanager
def in_stage(stage: str) -> Iterator[None]:
    """Add the stage that runs inside to errors that have none. It can decorate a function, too."""
    try:
        yield
    except PipelineError as error:
        error.with_stage(stage)
        raise


def _rebuild(kind: type[PipelineError], code: Code, message: str, details: dict[str, object]) -> PipelineError:
    return kind(code, message, **details)


def visible(text: str) -> str:
    r"""The text on one line, with characters that cannot be printed as escapes, as in `a\r\nb` or `1\xa0000`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


BROKEN_RULES = "a part of it breaks the rules of its format"


def reason_of(error: BaseException) -> str:
    """The first line of what a library says about a file that it cannot read, without a point at its end.

    Most errors of some libraries have no text; the names of their types say nothing to a user.
    """
    lines = str(error).strip().splitlines()
    return visible(lines[0].rstrip(".")) if lines else BROKEN_RULES
