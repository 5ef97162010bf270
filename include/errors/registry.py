"""The one registry of reason codes: kind, title, meaning, messages and remedy of each."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from include.errors.codes import Code
from include.errors.file_reasons import FILES
from include.errors.format_reasons import FORMAT_FILES, FORMAT_ROWS
from include.errors.reason import Kind
from include.errors.row_reasons import CELLS, MESSAGES, ROWS
from include.errors.work_reasons import WORK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.errors.reason import Reason

REASONS: Mapping[Code, Reason] = MappingProxyType(CELLS | FORMAT_ROWS | ROWS | MESSAGES | FILES | FORMAT_FILES | WORK)

_LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")


class Text(NamedTuple):
    """What a user reads: what happened, and what to do."""

    message: str
    remedy: str


def text(code: Code, variant: str = "", /, **values: object) -> Text:
    """The message of a code, filled with `values`, and its remedy.

    Raises:
        KeyError: the code has no such variant, or its template names a value that is missing.
    """
    reason = REASONS[code]
    if not variant:
        return Text(reason.template.format(**values), plain(reason.remedy))
    template, advice = reason.variants[variant]
    return Text(template.format(**values), plain(advice).format(**values) or plain(reason.remedy))


def message(code: Code, variant: str = "", /, **values: object) -> str:
    """The message of `text` alone, for rows and messages."""
    reason = REASONS[code]
    return (reason.variants[variant].template if variant else reason.template).format(**values)


def remedies(codes: Iterable[str | None]) -> dict[str, str]:
    """What a user can do about each code, as plain text; None and codes of other versions are left out."""
    return {code: plain(REASONS[Code(code)].remedy) for code in codes if code in set(Code)}


def meanings(codes: Iterable[str | None]) -> dict[str, str]:
    """What each code means, as plain text; None and codes of other versions are left out."""
    return {code: plain(REASONS[Code(code)].meaning) for code in codes if code in set(Code)}


def stops_the_work(code: str | None) -> bool:
    """Whether a code is of the work itself: its messages have no remedy of their own."""
    return code in set(Code) and REASONS[Code(code)].kind is Kind.WORK


def plain(markdown: str) -> str:
    """The text without code marks, and links as `text (docs/page)`."""
    return _LINK.sub(r"\1 (docs/\2)", markdown).replace("`", "")
