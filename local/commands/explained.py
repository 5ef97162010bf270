"""Errors of the platform's commands, as those of all commands, and SIGTERM as Ctrl-C."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from include import command_errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error that ends a command into lines on stderr and an exit code, instead of a stack trace."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that an interrupted start stops what it has started
    with command_errors.explained():
        yield


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
