"""Pagination: the first page of a listing, the page after an answer, and smaller pages.

What belongs here: which request comes next, by the definition and the answer alone. What does not: sending it
(`client`), limits, and pages that come again (`reading`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.contracts.paths import path_steps
from include.errors import visible
from include.ingestion.readers.json_values import Number
from include.sources.definition import (
    Cursor,
    HeaderCursor,
    JsonLink,
    LastValue,
    LinkHeader,
    Offset,
    PageNumber,
    Pagination,
)
from include.sources.elements import encoded
from include.sources.rest.answer_text import AnswerText, BadAnswerError, Steps
from include.sources.rest.targets import param, with_param
from include.stores.http_response import next_link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.sources.rest.records import AnswerRecords

_SIZES = ("limit", "per_page", "page_size", "pageSize")
_LONGEST_CURSOR = 8000
# Percent-encoded. A URL of httpx has at most 65,536.
_LONGEST_ENCODED = 32_000


@dataclass(frozen=True)
class Page:
    """A page that was read.

    Attributes:
        target: its request.
        headers: of the answer, as a mapping that ignores case.
        records: of the answer.
        read: how many records of the listing were read, those of this page included.
        link: returns the target of a link in the answer.
    """

    target: str
    headers: Mapping[str, str]
    records: AnswerRecords
    read: int
    link: Callable[[str], str]


def first_target(pagination: Pagination, target: str) -> str:
    """Return the request of the first page."""
    match pagination:
        case Offset():
            target = with_param(target, pagination.limit_param, str(pagination.limit))
            is_given = param(target, pagination.offset_param) is not None
            return target if is_given else with_param(target, pagination.offset_param, "0")
        case PageNumber(param=name, first=first):
            return target if param(target, name) is not None else with_param(target, name, str(first))
    return target


def next_target(pagination: Pagination, page: Page) -> str | None:
    """Return the request of the next page; None after the last one.

    Raises:
        PermanentError: a link leads to another server.
        BadAnswerError: the answer has no usable value where the next page should be.
    """
    answer, count = page.records.answer, len(page.records)
    match pagination:
        case LinkHeader():
            link = next_link(page.headers)
            return page.link(link) if link else None
        case JsonLink(next_path=path):
            link = _cursor(answer.single(path_steps(path)))
            return page.link(link) if link else None
        case HeaderCursor(header=header, param=name):
            cursor = _cursor(page.headers.get(header, "").strip())
            return with_param(page.target, name, cursor) if cursor else None
        case Cursor(cursor_path=path, param=name):
            cursor = _cursor(answer.single(path_steps(path)))
            return with_param(page.target, name, cursor) if cursor else None
        case Offset() if count and not _is_complete(pagination, page):
            offset = _whole(param(page.target, pagination.offset_param)) or 0
            return with_param(page.target, pagination.offset_param, str(offset + count))
        case PageNumber(param=name) if count and not _is_complete(pagination, page):
            number = _whole(param(page.target, name))
            return with_param(page.target, name, str((pagination.first if number is None else number) + 1))
        case LastValue(param=name) if count >= _asked(page.target, pagination.limit):
            return with_param(page.target, name, _following(pagination, page.records))
    return None


def total_of(pagination: Pagination, answer: AnswerText) -> int | None:
    """Return the total that an answer states; None if it states none."""
    path = pagination.total_path if isinstance(pagination, Offset | PageNumber) else None
    if path is None:
        return None
    raw = answer.raw(path_steps(path))
    return _whole(raw.strip('"'))


def wanted_paths(pagination: Pagination) -> list[Steps]:
    """Return the paths in the answer that decide about the next page."""
    match pagination:
        case JsonLink(next_path=path) | Cursor(cursor_path=path):
            return [path_steps(path)]
        case Offset(total_path=str(path)) | PageNumber(total_path=str(path)):
            return [path_steps(path)]
        case LastValue(path=path):
            return [path_steps(path)]
    return []


def smaller_target(pagination: Pagination, target: str) -> str | None:
    """Return the request for the first part of a page; None if the page's size is one record, or not known.

    With page numbers the new size divides the old one, so that pages begin at the same records: page 3 of 100 records
    begins where page 5 of 50 records begins.
    """
    names = (pagination.limit_param,) if isinstance(pagination, Offset) else _SIZES
    found = ((name, size) for name in names if (size := _whole(param(target, name))) is not None)
    name, size = next(found, ("", 1))
    if size <= 1:
        return None
    smaller = size // 2
    if isinstance(pagination, PageNumber):
        smaller = next(part for part in range(size // 2, 0, -1) if size % part == 0)
        number = _whole(param(target, pagination.param))
        skipped = 0 if number is None else number - pagination.first
        target = with_param(target, pagination.param, str(pagination.first + skipped * (size // smaller)))
    return with_param(target, name, str(smaller))


def _is_complete(pagination: Offset | PageNumber, page: Page) -> bool:
    """Whether a page with records is the last.

    Without a total the first empty page is the last: a short one is not, since an API may give fewer records than it is
    asked for. A total that is smaller than what came is wrong, and as none.
    """
    return page.read == total_of(pagination, page.records.answer)


def _asked(target: str, limit: int) -> int:
    """Return how many records a full page has: the limit, or fewer if smaller pages are read."""
    sizes = (_whole(param(target, name)) for name in _SIZES)
    return min(limit, next((size for size in sizes if size), limit))


def _cursor(value: Any) -> str:
    """Return a cursor or link as text; empty at the end: null, absent, empty, or false."""
    if not value:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST_CURSOR:
        raise BadAnswerError(f"has a cursor that is no text or number, or over {_LONGEST_CURSOR:,} characters long")
    try:
        is_too_long = len(encoded(value)) > _LONGEST_ENCODED
    except UnicodeEncodeError as error:
        raise BadAnswerError("has a cursor with half of a surrogate pair, which no address can hold") from error
    if is_too_long:
        raise BadAnswerError(f"has a cursor of over {_LONGEST_ENCODED:,} characters as it would be sent")
    return str(value)


def _following(pagination: LastValue, records: AnswerRecords) -> str:
    """Return the start of the next page: the value of the last record plus the step.

    The path begins at the last record, or, if it leads nowhere there, at the answer.
    """
    steps = path_steps(pagination.path)
    value = AnswerText(records.record(-1), (), [steps]).single(steps)
    if value is None:
        value = records.answer.single(steps)
    if isinstance(value, str) and (number := _integer(value)) is not None:
        return str(number + pagination.step)
    if isinstance(value, str) and value and not isinstance(value, Number) and not pagination.step:
        return _cursor(value)
    raise BadAnswerError(f"has no whole number at '{visible(pagination.path)}' of its last record")


def _integer(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else None
