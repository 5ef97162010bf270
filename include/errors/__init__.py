"""The errors a stage may raise, and the registry of the reason codes that users meet.

Bad data is a result, never an exception: the codes of cells, rows, messages and files travel in result records.
Exceptions are for what stops the work itself, and their type says whether a retry can help. Every message for a user
is on one line: see `visible`. `registry` has title, meaning, messages and remedy of each code, and
`python -m include.errors` writes docs/reason-codes.md from it.
"""

from __future__ import annotations

from include.errors.codes import Code, Stage

__all__ = ["Code", "PermanentError", "PipelineError", "RetryableError", "Stage", "visible"]


class PipelineError(Exception):
    """Something stopped the work. `details` are values by name; they survive pickling and are shown sorted."""

    def __init__(self, stage: str, code: Code, message: str, **details: object) -> None:
        self.stage, self.code, self.message, self.details = stage, code, message, details
        super().__init__(stage, code, message, details)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.stage, self.code, self.message, self.details))

    def __str__(self) -> str:
        details = ", ".join(visible(f"{name}={value}") for name, value in sorted(self.details.items()))
        return f"{self.stage}: {self.code}: {self.message}" + (f" ({details})" if details else "")


class RetryableError(PipelineError):
    """The network, a lock, a throttle, a restart: the same call may succeed later."""


class PermanentError(PipelineError):
    """A contract, a setting, a permission: trying again changes nothing until a user or an operator fixes it."""


def _rebuild(
    kind: type[PipelineError], stage: str, code: Code, message: str, details: dict[str, object]
) -> PipelineError:
    return kind(stage, code, message, **details)


def visible(text: str) -> str:
    r"""The text on one line, with characters that cannot be printed as escapes, as in `a\r\nb` or `1\xa0000`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
