"""The records of an answer, and the line of each: numbers, duplicate members and escapes stay as the API wrote them.

What belongs here: which values are records, errors in answers with a good status, and the members that are put before
a record's own. What does not: requests (`client`), the next page (`pages`), and what a contract says about values
(`include.ingestion`).
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from include.contracts.paths import path_steps
from include.contracts.source_names import SourceNames
from include.errors import visible
from include.ingestion.readers.json_columns import value_at
from include.ingestion.readers.json_values import BLANKS, pass_value, read_value
from include.sources.definition import Zip
from include.sources.rest.answer_text import AnswerText, BadAnswerError, Steps, decoded, elements_at, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from include.contracts.model import Contract
    from include.sources.listing import Element

# Between tokens a tab is a blank. Inside a string it is as invalid as a line end: an invalid record stays invalid.
_LINE_ENDS = str.maketrans("\r\n", "\t\t")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
# An element of a list that has no list or object inside.
_FLAT = re.compile(r'"(?:[^"\\]|\\.)*"|[^,\s\[\]]+')
_ERRORS: tuple[Steps, ...] = (("error",), ("errors",))
_NO_ERROR = {"", "false", "0", '""', "[]", "{}"}
# An answer with these members alone is an error and no record, if the contract has none of them.
_ERROR_WORDS = frozenset({
    "detail", "error", "error_code", "error_message", "errorcode", "errormessage", "errors", "message", "msg", "reason",
})  # fmt: skip
_ERROR_MEMBERS = _ERROR_WORDS | {
    "cod", "code", "description", "details", "documentation_url", "error_description", "ok", "path", "request_id",
    "requestid", "status", "success", "timestamp", "title", "type",
}  # fmt: skip


class AnswerRecords:
    """The records of an answer.

    Args:
        answer: the text, which was made with `record_lists`.
        at: path of the records, or of the arrays that become records.
    """

    def __init__(self, answer: AnswerText, at: str | Zip | None) -> None:
        """Find the records.

        Raises:
            BadAnswerError: there are none at the path, or the arrays have different lengths.
        """
        self.answer = answer
        self._names = [f"{json.dumps(name)}:" for name in at.columns] if isinstance(at, Zip) else None
        self._columns = [_list_at(answer, steps) for steps in record_lists(at)] if isinstance(at, Zip) else []
        if len({len(column) for column in self._columns}) > 1:
            lengths = ", ".join(f"{len(column):,}" for column in self._columns)
            raise BadAnswerError(f"has arrays of different lengths to be zipped: {lengths} elements")
        self.is_whole = at is None and answer.items(()) is None
        self._spots = [] if isinstance(at, Zip) else _records_at(answer, at)

    def __len__(self) -> int:
        return len(self._columns[0]) if self._columns else len(self._spots)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the texts of the records, as they are in the answer; those of arrays are made of their parts."""
        return (self.record(at) for at in range(len(self)))

    def record(self, at: int) -> str:
        """Return the text of one record; a negative number counts from the end."""
        text = self.answer.text
        if self._names is None:
            return text[slice(*self._spots[at])]
        values = [text[slice(*column[at])] for column in self._columns]
        return "{" + ",".join(map("".join, zip(self._names, values, strict=True))) + "}"

    def digest(self) -> bytes:
        """Return a digest of the records, which shows whether a page comes again."""
        found = blake2b(digest_size=16)
        for spots in self._columns or [self._spots]:
            if spots:
                found.update(self.answer.text[spots[0][0] : spots[-1][1]].encode("utf-8", "surrogateescape"))
        return found.digest()

    def marks(self) -> list[str]:
        """Return a short digest of each record, by which it is known when it comes again."""
        return [blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest() for text in self]


def record_lists(at: str | Zip | None) -> list[Steps]:
    """Return the paths of the lists whose elements are records, or parts of records."""
    if isinstance(at, Zip):
        return [path_steps(path) for path in at.zip]
    return [() if at is None else path_steps(at)]


def cursor_of(record: str, steps: Steps) -> Any:
    """Return the value at a path of a record, a number as `Number`; None if there is none."""
    try:
        return value_at(read_value(record)[0], steps)
    except (ValueError, RecursionError):
        return None


class RecordLines:
    """Reads records, and makes a line of each: with the members that the contract wants beside the record's own.

    Args:
        contract: of the rows.
        element: whose values become the members `_for_<name>`.
    """

    def __init__(self, contract: Contract, element: Element) -> None:
        placed = {column.name: column.steps for column in contract.source_columns if column.steps}
        self._names, self._first = SourceNames.of(contract.columns, placed), {steps[0] for steps in placed.values()}
        values = {f"_for_{name}": value for name, value in element.values.items()}
        self._fixed = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in values.items() if self._wants(name)]
        self._has_time = self._wants("_collected_at")
        climbing = {steps[1:] for steps in placed.values() if steps[0] == "^" and len(steps) > 1}
        # The value of a shorter path has those of longer ones inside.
        self._above = sorted(
            steps for steps in climbing if not any(steps[:count] in climbing for count in range(1, len(steps)))
        )

    def read(self, body: bytes, content_type: str, at: str | Zip | None, paths: Iterable[Steps] = ()) -> AnswerRecords:
        """Return the records of an answer.

        Args:
            body: of the answer.
            content_type: its header.
            at: path of the records, or of the arrays that become records.
            paths: of other values that will be asked for.

        Raises:
            BadAnswerError: the answer has no records at the path, is an error, or is not JSON.
        """
        answer = AnswerText(decoded(body, content_type), record_lists(at), [*paths, *self._above, *_ERRORS])
        records = AnswerRecords(answer, at)
        if self._is_error(records):
            raise BadAnswerError("is an error")
        return records

    def begin(self, answer: AnswerText, answered_at: datetime) -> str:
        """Return the members that are put before those of each record of an answer."""
        members = list(self._fixed)
        if self._has_time:
            members.append(f'"_collected_at":"{answered_at:%Y-%m-%dT%H:%M:%SZ}"')
        if above := _nested(answer, tree_of(self._above)):
            members.append(f'"^":{above}')
        return ",".join(members)

    def _is_error(self, records: AnswerRecords) -> bool:
        """Whether an answer with a good status has an error instead of records."""
        answer, has_error = records.answer, False
        for steps in _ERRORS:
            raw = answer.raw(steps)
            has_error |= "".join(raw.split()) not in _NO_ERROR and not self._wants(steps[0])
        if not records.is_whole:
            return has_error and not len(records)
        names = {name.lower() for name in answer.members}
        is_error_alone = names <= _ERROR_MEMBERS and not names.isdisjoint(_ERROR_WORDS)
        return has_error or (is_error_alone and not any(map(self._wants, answer.members)))

    def _wants(self, member: str) -> bool:
        return member in self._first or self._names.column_of(member) is not None


def line_of(record: str, members: str) -> bytes:
    """Return a record as a line with these members before its own. A list becomes an object of its indices."""
    if record.startswith("["):
        record = _as_object(record)
    if members and record.startswith("{"):
        is_empty = len(record) < 100 and not record[1:-1].strip(BLANKS)
        record = f"{{{members}{'' if is_empty else ','}{record[1:]}"
    if "\n" in record or "\r" in record:
        record = record.translate(_LINE_ENDS)
    return record.encode("utf-8", "surrogateescape")


def redacted_line(line: bytes, redact: Callable[[bytes], bytes]) -> bytes:
    """Return a line without the secrets in its texts; what is outside of them cannot be replaced and stay JSON."""
    return _STRING.sub(lambda found: redact(found[0]), line)


def _as_object(record: str) -> str:
    if pass_value(record, 0) != len(record):
        return record  # not JSON: refused as it is
    inner = record[1:-1]
    if "[" not in inner and "{" not in inner:
        values = _FLAT.findall(inner)
    else:
        spots, _ = elements_at(record, 0, lambda at: pass_value(record, at) or len(record))
        values = [record[slice(*spot)] for spot in spots]
    return "{" + ",".join([f'"{at}":{value}' for at, value in enumerate(values)]) + "}"


def _list_at(answer: AnswerText, steps: Steps) -> list[tuple[int, int]]:
    items = answer.items(steps)
    if items is None:
        raise BadAnswerError(f"has no array at '{visible('.'.join(steps))}'")
    return items


def _records_at(answer: AnswerText, at: str | None) -> list[tuple[int, int]]:
    [steps] = record_lists(at)
    items, spot = answer.items(steps), answer.spot(steps)
    if items is not None:
        return items
    if spot is None or not answer.text.startswith("{", spot[0]):
        raise BadAnswerError(f"has no records{f' at {visible(at)!r}' if at else ''}")
    return [spot]


def _nested(answer: AnswerText, tree: dict[str, Any], steps: Steps = ()) -> str:
    """Return an object with the raw values of the tree's leaves, as deep as in the answer; empty if there is none."""
    members = []
    for step, inner in tree.items():
        path = (*steps, step)
        value = _nested(answer, inner, path) if inner else answer.raw(path)
        if value:
            members.append(f"{json.dumps(step)}:{value}")
    return "{" + ",".join(members) + "}" if members else ""
