"""The text of an answer, and where its values are: each is cut out as the API wrote it.

What belongs here: finding values at paths of JSON. What does not: which of them are records (`records`).

The whole answer is passed once and must be JSON to its end, before the first record is taken. Only a record itself may
be invalid: it is cut out by its brackets, and the pipeline refuses its row with the reason.
"""

from __future__ import annotations

import re
from codecs import lookup
from typing import TYPE_CHECKING, Any

from include.errors import visible
from include.ingestion.readers.json_values import BLANKS, pass_value, read_value, value_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Steps = tuple[str, ...]
Spot = tuple[int, int]  # where a value begins and ends

_NOT_BLANK = re.compile(f"[^{BLANKS}]|\\Z")
_INDEX = re.compile(r"-?(0|[1-9]\d{0,8})")
# A value that is no JSON, as NaN.
_WORD = re.compile(r'[^\s,\[\]{}":]+')
_CHARSET = re.compile(r"charset=\"?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)


class BadAnswerError(ValueError):
    """An answer without records that can be taken. The message goes on after "its answer"."""


class AnswerText:
    """The text of an answer, and where its values are.

    Args:
        text: of the answer.
        lists: paths whose lists are read element by element.
        paths: other paths that are asked for. Indices of lists may be negative: they count from the end.
    """

    def __init__(self, text: str, lists: Iterable[Steps], paths: Iterable[Steps] = ()) -> None:
        """Pass the whole text.

        Raises:
            BadAnswerError: it is not JSON, or has a member of a path twice.
        """
        self.text = text
        # The names of the members, if the answer is an object and a path leads into it.
        self.members: set[str] = set()
        self._lists = frozenset(lists)
        self._spots: dict[Steps, Spot] = {}
        self._items: dict[Steps, list[Spot]] = {}
        end = _after_blanks(text, self._walk(_after_blanks(text, 0), (), tree_of([*self._lists, *paths])))
        if end != len(text):
            raise _not_json(text, end)

    def spot(self, steps: Steps) -> Spot | None:
        """Return where the value at a path is; None if the path leads nowhere, or to null."""
        spot = self._spots.get(steps)
        return None if spot is None or self.text.startswith("null", spot[0]) else spot

    def raw(self, steps: Steps) -> str:
        """Return the text of the value at a path; empty if the path leads nowhere, or to null."""
        spot = self.spot(steps)
        return "" if spot is None else self.text[slice(*spot)]

    def single(self, steps: Steps) -> Any:
        """Return the value at a path, a number as `Number`; None if the path leads nowhere, or to null.

        Raises:
            BadAnswerError: it is an object or a list.
        """
        raw = self.raw(steps)
        if raw.startswith(("{", "[")):
            kind = "an object" if raw.startswith("{") else "a list"
            raise BadAnswerError(f"has {kind} at '{visible('.'.join(steps))}', where a text or a number is expected")
        return read_value(raw)[0] if raw else None

    def items(self, steps: Steps) -> list[Spot] | None:
        """Return where the elements of a list are; None if there is no list at this path of `lists`."""
        return self._items.get(steps)

    def _walk(self, at: int, steps: Steps, tree: dict[str, Any]) -> int:
        """Pass the value that begins here, note where the values of the tree are, and return its end."""
        sign = self.text[at : at + 1]
        if sign == "{" and tree:
            end = self._walk_object(at, steps, tree)
        elif sign == "[" and (tree or steps in self._lists):
            end = self._walk_list(at, steps, tree)
        else:
            end = self._end(at)
        self._spots[steps] = (at, end)
        return end

    def _walk_list(self, at: int, steps: Steps, tree: dict[str, Any]) -> int:
        items, end = elements_at(self.text, at, self._record_end if steps in self._lists else self._end)
        self._items[steps] = items
        for step, inner in tree.items():
            index = int(step) if _INDEX.fullmatch(step) else len(items)
            # A record need not be valid: then there is nothing at a path inside.
            if -len(items) <= index < len(items) and pass_value(self.text, items[index][0]) is not None:
                self._walk(items[index][0], (*steps, step), inner)
        return end

    def _walk_object(self, at: int, steps: Steps, tree: dict[str, Any]) -> int:
        text, keys = self.text, set()
        at = _after_blanks(text, at + 1)
        if text.startswith("}", at):
            return at + 1
        while True:
            key, at = self._key(at)
            if key in keys and key in tree:
                raise BadAnswerError(f"has the member '{visible(key[:60])}' twice")
            keys.add(key)
            at = self._walk(at, (*steps, key), tree[key]) if key in tree else self._end(at)
            at = _after_blanks(text, at)
            if text.startswith("}", at):
                self.members = self.members if steps else keys
                return at + 1
            if not text.startswith(",", at):
                raise _not_json(text, at)
            at = _after_blanks(text, at + 1)

    def _key(self, at: int) -> tuple[str, int]:
        """Return the key that begins here, and where its value begins."""
        end = pass_value(self.text, at) if self.text.startswith('"', at) else None
        colon = None if end is None else _after_blanks(self.text, end)
        if colon is None or not self.text.startswith(":", colon):
            raise _not_json(self.text, at)
        return str(read_value(self.text, at)[0]), _after_blanks(self.text, colon + 1)

    def _end(self, at: int) -> int:
        end = pass_value(self.text, at)
        if end is None:
            raise _not_json(self.text, at)
        return end

    def _record_end(self, at: int) -> int:
        """Return the end of a record, which need not be valid."""
        end = pass_value(self.text, at)
        if end is not None:
            return end
        if self.text.startswith(("{", "["), at):
            end = value_end(self.text, at)
        elif word := _WORD.match(self.text, at):
            end = word.end()
        if end is None:
            raise _not_json(self.text, at)
        return end


def elements_at(text: str, at: int, end_of: Callable[[int], int]) -> tuple[list[Spot], int]:
    """Return where the elements of a list are, and its end.

    Args:
        text: that has the list.
        at: where the list begins.
        end_of: returns the end of the element that begins at a position.

    Raises:
        BadAnswerError: it is not a list of JSON.
    """
    found: list[Spot] = []
    at = _after_blanks(text, at + 1)
    if text.startswith("]", at):
        return found, at + 1
    while True:
        end = end_of(at)
        found.append((at, end))
        at = _after_blanks(text, end)
        if text.startswith("]", at):
            return found, at + 1
        if not text.startswith(",", at):
            raise _not_json(text, at)
        at = _after_blanks(text, at + 1)


def tree_of(paths: Iterable[Steps]) -> dict[str, Any]:
    """Return the steps of all paths, each with the steps after it."""
    tree: dict[str, Any] = {}
    for steps in paths:
        inner = tree
        for step in steps:
            inner = inner.setdefault(step, {})
    return tree


def decoded(body: bytes, content_type: str) -> str:
    """Return the text of an answer: UTF-8, or else the encoding that its header names.

    Bytes that are neither become surrogates, which are written again as they came.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        named = _CHARSET.search(content_type)
    try:
        if named and lookup(named[1]).name != "utf-8":
            return body.decode(named[1])
    except (LookupError, ValueError):
        pass  # an encoding that is not known, or not that of the body
    return body.decode("utf-8", "surrogateescape")


def _after_blanks(text: str, at: int) -> int:
    match = _NOT_BLANK.search(text, at)
    return match.start() if match else len(text)


def _not_json(text: str, at: int) -> BadAnswerError:
    if not text[at:].strip(BLANKS):
        return BadAnswerError("is cut off" if text.strip(BLANKS) else "is empty")
    return BadAnswerError(f"is not JSON at its character {at + 1}")
