"""Flat JSON records as lines of CSV, by one regular expression for all records of a file.

What belongs here: the shape of a file's records, found in its first ones, and their text as CSV. What does not: reading
the file (`vectorised_json`), types.

The records of one writer have the same keys in the same order. The expression matches a whole record with exactly these
keys, some of them left out, and takes out the characters of each value; so nothing is converted, no key is there twice,
and no key is mistaken for one at another level. A record that it does not match is read by the tokenizer of the slow
path, and falls back with its file if it has more than the shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from include.ingestion.readers.json_values import (
    DuplicateKeyError,
    NestedTooDeepError,
    NotJsonError,
    Number,
    has_half_pair,
    json_cell,
    kept_by_jsonb,
    read_value,
    spelled,
    text_cell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Groups are never possessive, sets are: see POSSESSIVE_GROUP in tests/unit/test_architecture.py.
# Escapes of a character other than NUL; of those beyond the first plane, both halves together.
_ESCAPE = (
    rb'\\(?:["\\/bfnrt]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}'
    rb"|u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4})"
)
_TEXT = rb'"[^"\\\x00-\x1f]*+(?:' + _ESCAPE + rb'[^"\\\x00-\x1f]*+)*"'
# Of a length that every column of JSON can keep.
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,999}+)(?:\.[0-9]{1,999}+)?(?:[eE][+-]?[0-9]{1,3}+)?"
_SCALAR = _TEXT + rb"|" + _NUMBER + rb"|true|false"
_ESCAPES = re.compile(_ESCAPE)
_PLAIN = {
    b'\\"': b'""',
    b"\\\\": b"\\",
    b"\\/": b"/",
    b"\\b": b"\b",
    b"\\f": b"\f",
    b"\\n": b"\n",
    b"\\r": b"\r",
    b"\\t": b"\t",
}
# Beyond this, the expression costs more than it saves.
MOST_LEAVES = 200
# A list or object on one line, with at most three levels inside. It is checked as a value of its column.
_ANY_TEXT = rb'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*"'


def _container(levels: int) -> bytes:
    between = rb'[^{}\[\]"\x00-\x1f]*+'
    inner = _ANY_TEXT + (rb"|" + _container(levels - 1) if levels else b"")
    return rb"[{\[]" + between + rb"(?:(?:" + inner + rb")" + between + rb")*[}\]]"


_DOCUMENT = _SCALAR + rb"|" + _container(3)


class OtherShapeError(ValueError):
    """A record has a key or value that the shape lacks, or its value needs the slow path."""


class Use(Enum):
    """What happens to the value of a leaf."""

    CELL = auto()
    DOCUMENT = auto()
    RESCUE = auto()
    IGNORE = auto()


@dataclass(frozen=True)
class Leaf:
    """A member with a scalar value, or with any value of a document column, by the steps to it."""

    steps: tuple[str, ...]
    use: Use


# The members of an object in their order: a leaf, or the members of an object inside.
Members = dict[str, "Leaf | Members"]


def keys_in_order(records: list[dict[str, Any]], is_whole: Callable[[tuple[str, ...]], bool]) -> dict[str, Any]:
    """The keys of all records, in an order that each has; objects inside as dictionaries, other values as None.

    Args:
        records: some of a file.
        is_whole: whether the member at these steps is one value, even if it is an object.
    """
    return _merged(records, is_whole, ())


def _merged(
    records: list[dict[str, Any]], is_whole: Callable[[tuple[str, ...]], bool], above: tuple[str, ...]
) -> dict[str, Any]:
    order: list[str] = []
    inside: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        at = 0
        for key, value in record.items():
            if key not in order[at:]:
                if key not in order:
                    order.insert(at, key)
                    at += 1
            else:
                at = order.index(key) + 1
            if type(value) is dict and not is_whole((*above, key)):
                inside.setdefault(key, []).append(value)
    return {key: _merged(inside[key], is_whole, (*above, key)) if key in inside else None for key in order}


@dataclass(frozen=True)
class JsonShape:
    """The shape of a file's records, which gives lines of CSV.

    `blanks` are the characters that may be between the tokens of a record. A line has the cells of `cells`, then those
    of `documents`, then the rescued members as JSON, if there are any.
    """

    members: Members
    blanks: bytes
    leaves: tuple[Leaf, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "leaves", tuple(_leaves(self.members)))

    def _of_use(self, use: Use) -> tuple[Leaf, ...]:
        return tuple(leaf for leaf in self.leaves if leaf.use is use)

    @cached_property
    def cells(self) -> tuple[Leaf, ...]:
        """The leaves that are cells."""
        return self._of_use(Use.CELL)

    @cached_property
    def documents(self) -> tuple[Leaf, ...]:
        """The leaves of document columns."""
        return self._of_use(Use.DOCUMENT)

    @cached_property
    def rescued(self) -> tuple[Leaf, ...]:
        """The leaves that are kept together as JSON."""
        return self._of_use(Use.RESCUE)

    def expression(self, delimiter: bytes) -> re.Pattern[bytes]:
        """The expression for a record up to its delimiter; its last group takes what is no record of the shape."""
        blanks = b"[" + self.blanks + b"]*+"
        record = blanks + _object(self.members, blanks) + blanks
        return re.compile(b"(?:" + record + b"|([^" + delimiter + b"]++))" + delimiter)

    def lines(self, found: list[tuple[bytes, ...]], *, has_escapes: bool) -> list[bytes]:
        """The lines of CSV for the groups of matched records."""
        taken = [leaf for leaf in self.leaves if leaf.use is not Use.IGNORE]
        if len(taken) == len(self.cells):
            return _decoded(list(map(b",".join, map(itemgetter(slice(0, -1)), found))), has_escapes=has_escapes)
        at = {leaf: index for index, leaf in enumerate(taken)}
        cells = [at[leaf] for leaf in self.cells]
        lines = _decoded([b",".join([groups[index] for index in cells]) for groups in found], has_escapes=has_escapes)
        documents = [at[leaf] for leaf in self.documents]
        rescued = [(at[leaf], spelled(leaf.steps[0]).encode() + b":") for leaf in self.rescued]
        for row, groups in enumerate(found):
            more = [_csv_text(_bare_document(groups[index])) for index in documents]
            if rescued:
                more.append(_csv_text(_bare_object([name + groups[index] for index, name in rescued if groups[index]])))
            lines[row] = b",".join([lines[row], *more] if cells else more)
        return lines

    def other_line(self, record: dict[str, Any]) -> bytes:
        """The line of CSV for a record that the expression did not match.

        Raises:
            OtherShapeError: it has more than the shape.
        """
        values: dict[Leaf, Any] = {}
        _collect(record, self.members, values)
        texts = [text_cell(values.get(leaf)) for leaf in self.cells]
        line = [_field(values.get(leaf), text) for leaf, text in zip(self.cells, texts, strict=True)]
        documents = (json_cell(values.get(leaf)) for leaf in self.documents)
        line += [b"" if text is None else _csv_text(text.encode()) for text in documents]
        if self.rescued:
            kept = {leaf.steps[0]: values[leaf] for leaf in self.rescued if leaf in values}
            if not kept_by_jsonb(spelled(kept)):
                raise OtherShapeError
            line.append(_csv_text(spelled(kept).encode()) if kept else b"")
        if any("\0" in text for text in texts if text is not None):
            raise OtherShapeError
        return b",".join(line)


def records_in(text: str, *, has_commas: bool = False) -> Iterator[tuple[dict[str, Any], int]]:
    """The objects one after another in a text, each with its end.

    Args:
        text: the objects, with blanks around them.
        has_commas: a comma is between each two of them. What follows the last one is not read.

    Raises:
        OtherShapeError: a value cannot be read or is no object.
    """
    at = _after_blanks(text, 0)
    while at < len(text):
        try:
            value, end = read_value(text, at)
        except (NotJsonError, DuplicateKeyError, NestedTooDeepError) as error:
            raise OtherShapeError from error
        if type(value) is not dict or has_half_pair(text[at:end], value):
            raise OtherShapeError
        yield value, end
        at = _after_blanks(text, end)
        if has_commas:
            if not text.startswith(",", at):
                return
            at = _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _leaves(members: Members) -> Iterator[Leaf]:
    for member in members.values():
        if isinstance(member, Leaf):
            yield member
        else:
            yield from _leaves(member)


def _object(members: Members, blanks: bytes) -> bytes:
    """The expression for an object whose members are in this order; each may be left out."""
    # After a member comes a comma and another key, or the end.
    following = rb"(?:," + blanks + rb'(?=")|(?=\}))'
    parts = [
        b"(?:" + _key(key) + blanks + b":" + blanks + _member(member, blanks) + blanks + following + b")?"
        for key, member in members.items()
    ]
    return rb"\{" + blanks + b"".join(parts) + rb"\}"


def _key(key: str) -> bytes:
    """The expression for a key, with or without escapes for what is not ASCII."""
    spellings = {spelled(key).encode(), encode_basestring_ascii(key).encode()}
    return b"(?:" + b"|".join(map(re.escape, sorted(spellings))) + b")"


def _member(member: Leaf | Members, blanks: bytes) -> bytes:
    if not isinstance(member, Leaf):
        return b"(?:" + _object(member, blanks) + b"|null)"
    match member.use:
        case Use.CELL:
            return b"(?:(" + _SCALAR + b")|null)"
        case Use.DOCUMENT:
            return b"(?:(" + _DOCUMENT + b")|null)"
        case Use.RESCUE:
            return b"(" + _SCALAR + b"|null)"
        case Use.IGNORE:
            return b"(?:" + _SCALAR + b"|null)"


def _decoded(lines: list[bytes], *, has_escapes: bool) -> list[bytes]:
    """The lines with the escapes of JSON as those of CSV."""
    if not has_escapes:
        return lines
    return [_ESCAPES.sub(_character, line) if b"\\" in line else line for line in lines]


def _character(escape: re.Match[bytes]) -> bytes:
    found = escape[0]
    if (plain := _PLAIN.get(found)) is not None:
        return plain
    codes = [int(code, 16) for code in found.split(b"\\u")[1:]]
    text = b"".join(code.to_bytes(2) for code in codes).decode("utf-16-be")
    return b'""' if text == '"' else text.encode()


def _bare_document(raw: bytes) -> bytes:
    """A value of a document column as the slow path writes it, empty where it is null."""
    if b"\\" not in raw and b" " not in raw and b"\t" not in raw:
        return b"" if raw == b'""' else raw
    text = raw.decode()
    try:
        value, end = read_value(text)
    except (NotJsonError, DuplicateKeyError, NestedTooDeepError) as error:
        raise OtherShapeError from error
    if end != len(text) or has_half_pair(text, value):
        raise OtherShapeError
    return (json_cell(value) or "").encode()


def _bare_object(members: list[bytes]) -> bytes:
    """The rescued members as the slow path writes them, empty if there are none."""
    text = b"{" + b",".join(members) + b"}" if members else b""
    return spelled(read_value(text.decode())[0]).encode() if b"\\" in text else text


def _csv_text(text: bytes) -> bytes:
    return b'"' + text.replace(b'"', b'""') + b'"' if text else b""


def _field(value: Any, text: str | None) -> bytes:
    if text is None:
        return b""
    return (
        text.encode()
        if type(value) is Number or type(value) is bool
        else b'"' + text.replace('"', '""').encode() + b'"'
    )


def _collect(record: dict[str, Any], members: Members, found: dict[Leaf, Any]) -> None:
    for key, value in record.items():
        member = members.get(key)
        if member is None:
            raise OtherShapeError
        if isinstance(member, Leaf):
            if member.use is not Use.DOCUMENT and type(value) in {dict, list}:
                raise OtherShapeError
            found[member] = value
        elif type(value) is dict:
            _collect(value, member, found)
        elif value is not None:
            raise OtherShapeError
