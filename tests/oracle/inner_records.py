"""The records inside JSON documents, by record path and keys, and the values at paths inside records.

What belongs here: where a record begins in a document that is parsed as a whole, and what paths lead to. What does not:
a record's own faults (`readers`), types (`judge`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from include.errors import Code
from tests.oracle.documents import NotJsonError, Raw, Text, parse_from
from tests.oracle.verdict import FileRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Found(NamedTuple):
    """A record in a text: where its own text begins and ends, its value, and the key under which it is."""

    start: int
    end: int
    value: Raw
    key: str | None = None
    is_repeated: bool = False


class _Part(NamedTuple):
    """An element of an array, or a member of an object with its key."""

    key: str | int
    start: int
    at: int
    end: int
    value: Raw


def inner_records(text: str, path: str | None, *, keyed: bool) -> Iterator[Found]:
    """The records of every document of a text.

    Raises:
        FileRefused: a document is broken, or has no records at the path.
    """
    at = _skip(text, 0, " \t\r\n\ufeff")
    while at < len(text):
        try:
            _, end = parse_from(text, at)
        except NotJsonError as error:
            raise FileRefused(Code.TRUNCATED_FILE if error.cut else Code.UNREADABLE_FILE) from error
        yield from _records(text, _location(text, at, path.split(".") if path else []), keyed=keyed)
        at = _skip(text, end, " \t\r\n\ufeff")


def _location(text: str, at: int, steps: Sequence[str]) -> int:
    for step in steps:
        parts = list(_parts(text, at)) if text[at] in "{[" else []
        if text[at] == "{":
            here = [part for part in parts if part.key == step]
        else:
            here = [part for part in parts if str(part.key) == step]
        if len(here) > 1:
            raise FileRefused(Code.DUPLICATE_COLUMNS)
        if not here:
            raise FileRefused(Code.MISSING_RECORD_PATH)
        at = here[0].at
    return at


def _records(text: str, at: int, *, keyed: bool) -> Iterator[Found]:
    if text[at] == "{" and keyed:
        members = list(_parts(text, at))
        keys = [part.key for part in members]
        for part in members:
            yield Found(part.start, part.end, part.value, str(part.key), keys.count(part.key) > 1)
    elif text[at] == "[" and not keyed:
        yield from (Found(part.at, part.end, part.value) for part in _parts(text, at))
    elif text[at] == "{":
        value, end = parse_from(text, at)
        yield Found(at, end, value)
    else:
        raise FileRefused(Code.MISSING_RECORD_PATH)


def _parts(text: str, at: int) -> Iterator[_Part]:
    """The elements or members of the valid array or object that begins at `at`."""
    is_object, count = text[at] == "{", 0
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        start, key = at, count
        if is_object:
            key, at = parse_from(text, at)
            at = _skip(text, _skip(text, at) + 1)
        value, end = parse_from(text, at)
        yield _Part(key, start, at, end, value)
        count += 1
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int, blanks: str = " \t\r\n") -> int:
    while at < len(text) and text[at] in blanks:
        at += 1
    return at


def at_path(cells: Any, path: str, *, is_json: bool = True) -> Raw:
    """The value at a path inside a record, null where there is none. A text there is a text of JSON, if that is it."""
    value = cells
    for step in path.split("."):
        if isinstance(value, list):
            value = {str(at): item for at, item in enumerate(value)}
        value = value.get(step) if isinstance(value, dict) else None
    return Text(value) if is_json and type(value) is str else value


def remainder(cells: Any, paths: Iterable[str]) -> dict[str, Raw]:
    """What the paths leave of the members with which they begin, without members of which nothing is left."""
    split = [tuple(path.split(".")) for path in paths]
    begun = {steps[0] for steps in split}
    found = {key: _without(cells[key], [s[1:] for s in split if s[0] == key]) for key in cells if key in begun}
    return {key: value for key, value in found.items() if value is not None}


def _without(value: Raw, paths: list[tuple[str, ...]]) -> Raw:
    if () in paths:
        return None
    if isinstance(value, dict):
        kept = {}
        for key, member in value.items():
            below = [steps[1:] for steps in paths if steps[0] == key]
            left = _without(member, below) if below else member
            if not below or left is not None:
                kept[key] = left
        return kept or None
    if isinstance(value, list):
        items = []
        for at, item in enumerate(value):
            below = [steps[1:] for steps in paths if steps[0] == str(at)]
            items.append(_without(item, below) if below else item)
        return items if any(item is not None for item in items) else None
    return value
