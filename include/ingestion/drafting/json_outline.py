"""Reads the beginning of a JSON text of any size, so that its shape can be seen although its end is missing.

What belongs here: the tolerant reading of a text that may be cut anywhere. What does not: what the shape means
(`documents`), and reading records to load them (`include.ingestion.readers`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTLINE_CHARACTERS = 1024**2
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_MOST_DEPTH = 64


@dataclass(frozen=True)
class Outline:
    """The first value of a text, with what is known of it. `more`: another value follows it."""

    value: Any
    more: bool


class _CutError(Exception):
    """The text ends here, or is no JSON from here on."""


def outline(path: Path) -> Outline:
    """The shape of the first value of a text. Scalars are texts, numbers and truth values as Python has them."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        text = stream.read(OUTLINE_CHARACTERS)
    tokens = (match[0] for match in _TOKEN.finditer(text))
    holder: list[Any] = []
    try:
        _read(next(tokens, ""), tokens, holder.append, 0)
        more = next(tokens, None) is not None
    except _CutError:
        more = False
    return Outline(holder[0] if holder else None, more)


def _read(first: str, tokens: Iterator[str], keep: Any, depth: int) -> None:
    """Give the value that begins with `first` to `keep`, containers before they are filled."""
    if first == "{" and depth < _MOST_DEPTH:
        members: dict[str, Any] = {}
        keep(members)
        _read_members(members, tokens, depth)
    elif first == "[" and depth < _MOST_DEPTH:
        items: list[Any] = []
        keep(items)
        _read_items(items, tokens, depth)
    else:
        try:
            keep(json.loads(first, strict=False))
        except ValueError as error:
            raise _CutError from error


def _read_members(members: dict[str, Any], tokens: Iterator[str], depth: int) -> None:
    while (key := _next(tokens)) != "}":
        if key == ",":
            continue
        if not key.startswith('"') or _next(tokens) != ":":
            raise _CutError
        name = json.loads(key, strict=False)
        _read(_next(tokens), tokens, lambda value, name=name: members.__setitem__(name, value), depth + 1)


def _read_items(items: list[Any], tokens: Iterator[str], depth: int) -> None:
    while (first := _next(tokens)) != "]":
        if first != ",":
            _read(first, tokens, items.append, depth + 1)


def _next(tokens: Iterator[str]) -> str:
    following = next(tokens, None)
    if following is None:
        raise _CutError
    return following
