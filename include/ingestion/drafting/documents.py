"""Finds where the records of a JSON text are, and which columns they have, nested ones included.

What belongs here: record path, keys of records, paths of columns. What does not: reading JSON (`json_outline`, and the
readers that load).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from include.contracts.column_names import matching
from include.contracts.paths import is_path
from include.contracts.source_names import exact
from include.errors import Code
from include.ingestion.drafting.envelopes import WRAPPERS, has_id_beside, is_envelope, not_read
from include.ingestion.drafting.json_outline import outline
from include.ingestion.drafting.structure import Guess, SourceColumn, Structure, none_readable, text_contract
from include.ingestion.readers.json_records import json_records
from include.ingestion.readers.json_values import Number, text_cell
from include.ingestion.records import FileFormat, FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.ingestion.readers.json_text import JsonRecord
    from include.ingestion.records import Layout, SpooledFile

_LEVELS = 4  # in which records are looked for
_MOST_MEMBERS = 60  # of a nested object that becomes columns
_LEAST_SHARE = 0.25  # of the records that have a member of it, on average: else its keys are data
_MOST_COLUMNS = 400


def detect_records(text: SpooledFile, layout: Layout, kind: FileFormat, max_row_bytes: int) -> Structure:
    """Where the records and their columns are.

    Args:
        text: plain UTF-8 text.
        layout: of the file.
        kind: JSON or NDJSON, as the text is read.
        max_row_bytes: a longer record is refused when the file is loaded.

    Raises:
        FileRefusedError: the text is no JSON, or no record of it can be read.
    """
    found = Structure(layout)
    seen = outline(text.path)
    if isinstance(seen.value, dict) and not seen.more and layout.format in {FileFormat.JSON, FileFormat.NDJSON}:
        found = _with_location(found, seen.value)
    dialect = found.dialect
    contract = text_contract(replace(found, columns=_key_columns(found)))
    read_as = FileFormat.JSON if dialect.has_documents else kind
    records = json_records(text, read_as, contract, max_row_bytes)
    root, keys = _Node(), _Keys()
    refused, first = 0, None
    for record in records:
        if record.members is not None:
            root.add(record.members)
            keys.add(record)
        else:
            refused, first = refused + 1, first or record
    if first is not None and not root.count:
        raise none_readable(refused, first.line, first.message, first.code)
    if not root.count:
        raise FileRefusedError.for_code(Code.NO_ROWS)
    if dialect.key_column is not None:
        found = _with_key(found, keys)
    return replace(found, columns=(*_key_columns(found), *_columns(root, keys.repeated if keys.is_used else "")))


def _with_location(found: Structure, document: dict[str, Any]) -> Structure:
    """The location of the records of a file that is one object.

    Raises:
        FileRefusedError: it is an export without records.
    """
    path, records = _list_path(document)
    if path:
        what = f"'{path}' holds a list of objects, {len(records):,} in the part that was looked at"
        what += not_read(document, path)
        return found.with_guesses(recordPath=Guess(path, what))
    if any(document[name] == [] and is_envelope(document, name) for name in document if name.lower() in WRAPPERS):
        raise FileRefusedError.for_code(Code.NO_ROWS)
    for path, keyed in _objects(document):
        if _is_keyed(keyed) and not (path and has_id_beside(document, path)):
            keys = ", ".join(map(repr, list(keyed)[:3]))
            what = f"the members {keys} are objects with the same members: each is a record with its key"
            found = found.with_guesses(keyColumn=Guess("id", what))
            if path:
                what = f"'{path}' holds the records by their keys{not_read(document, path)}"
                found = found.with_guesses(recordPath=Guess(path, what))
            return found
    return found


def _objects(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects near the top with their paths, the top first."""
    level = [("", value)]
    for _ in range(_LEVELS):
        yield from level
        level = [
            (f"{path}.{key}" if path else key, inner)
            for path, members in level
            for key, inner in members.items()
            if isinstance(inner, dict) and is_path(key) and "." not in key
        ]


def _list_path(document: dict[str, Any]) -> tuple[str, list[Any]]:
    """The path of the list that holds the records, and the list; empty without one.

    Of several lists it is the longest, of equally long ones that with a usual name, then the one nearest to the top.
    """
    found: list[tuple[int, bool, int, str, list[Any]]] = []
    for path, members in _objects(document):
        for key, value in members.items():
            inner = f"{path}.{key}" if path else key
            is_list = isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
            if is_list and is_path(key) and "." not in key and is_envelope(document, inner):
                found.append((len(value), key.lower() in WRAPPERS, -inner.count("."), inner, value))
    found = [one for one in found if one[0] > 1 or one[1] or len(found) == 1]
    if not found or any(_is_keyed(members) for _, members in _objects(document)):
        return "", []
    best = max(found, key=lambda one: one[:3])
    return best[3], best[4]


def _is_keyed(members: dict[str, Any]) -> bool:
    """Whether the members of an object are records: several objects that share most of their own members."""
    records = list(members.values())
    if len(records) < 2 or not all(isinstance(one, dict) and one for one in records):
        return False
    complete = records[:-1] if len(records) > 2 else records  # the last one may be cut
    every = set().union(*complete)
    shared = sum(len(one) for one in complete) / (len(every) * len(complete))
    return shared > 0.6 and not any(key in one for one in complete for key in members)


@dataclass
class _Keys:
    """The keys of records, and the member `id` of those that repeat it."""

    repeated: str = ""
    is_used: bool = True
    seen: int = 0

    def add(self, record: JsonRecord) -> None:
        """Look at one record."""
        self.seen += 1
        if record.key is None or not self.is_used:
            self.is_used = False
            return
        same = [name for name in record.members or () if matching(name) == "id"]
        value = text_cell((record.members or {})[same[0]]) if same else None
        self.repeated = same[0] if same else self.repeated
        if same and value not in {None, record.key}:
            self.is_used = False


def _with_key(found: Structure, keys: _Keys) -> Structure:
    """The name of the key's column: `id`, or `record_key` where the records have another member of that name."""
    guess = found.guesses["keyColumn"]
    name = "id" if keys.is_used else "record_key"
    return found.with_guesses(keyColumn=replace(guess, value=name))


def _key_columns(found: Structure) -> tuple[SourceColumn, ...]:
    guess = found.guesses.get("keyColumn")
    if guess is None:
        return ()
    return (SourceColumn(header=str(guess.value), kinds=frozenset({"text"}), is_key=True),)


@dataclass
class _Node:
    """A member of records: how often it has a value, of which kinds, and its own members."""

    count: int = 0
    kinds: set[str] = field(default_factory=set)
    members: dict[str, _Node] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        """Count a value."""
        if value is None:
            return
        self.count += 1
        kind = type(value)
        if kind is dict:
            self.kinds.add("object")
            if len(self.members) <= _MOST_COLUMNS:
                for key, member in value.items():
                    (self.members.get(key) or self.members.setdefault(key, _Node())).add(member)
        else:
            self.kinds.add(
                "nested" if kind is list else "number" if kind is Number else "truth" if kind is bool else "text"
            )

    @property
    def becomes_columns(self) -> bool:
        """Whether it is an object with members of its own in each record, all of which a path can name."""
        if self.kinds != {"object"} or not 0 < len(self.members) <= _MOST_MEMBERS:
            return False
        share = sum(one.count for one in self.members.values()) / (self.count * len(self.members))
        return share >= _LEAST_SHARE and all("." not in name and is_path(name) for name in self.members)


def _columns(root: _Node, repeated: str) -> list[SourceColumn]:
    """The columns of records; the member that repeats the record's key is none."""
    found: list[SourceColumn] = []
    for name, node in root.members.items():
        if name == repeated or not exact(name):
            continue
        if node.becomes_columns and "." not in name and is_path(name):
            found += _inner(name, node)
        else:
            found.append(SourceColumn(header=name, kinds=_kinds(node)))
    return found


def _inner(path: str, node: _Node) -> Iterable[SourceColumn]:
    for name, member in node.members.items():
        inner = f"{path}.{name}"
        if member.becomes_columns and is_path(inner):
            yield from _inner(inner, member)
        elif is_path(inner):
            yield SourceColumn(path=inner, kinds=_kinds(member))


def _kinds(node: _Node) -> frozenset[str]:
    return frozenset("nested" if kind == "object" else kind for kind in node.kinds)
