"""Files of every format for a contract, one to three into one table; and messages.

What belongs here: strategies for the bytes of a file. What does not: the expected results (the oracle).
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from cell_cases import cells
from contract_cases import contracts, row_options
from dialect_cases import TableWriter, encoded
from hypothesis import strategies as st
from pyarrow import orc

from include.contracts.model import Column, ColumnType, Contract
from tests.oracle.values import BadCell, judged
from tests.workbook_files import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Cells = dict[str, str | None]
_UNKNOWN = ("Till No.", "extra", "odd one", "größe", "Цена", "価格", "2024", "x" * 70)
_ARROW = {
    ColumnType.INTEGER: pa.int64(), ColumnType.FLOAT: pa.float64(), ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(), ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file to drop: its name and bytes."""

    name: str
    body: bytes


@dataclass(frozen=True)
class Case:
    """A contract and its files, which are loaded one after the other."""

    contract: Contract
    files: tuple[File, ...]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For Hypothesis: it would print the columns' types with all their functions. The test describes the case."""
        printer.text("a case")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A contract with one to four files; a later one may repeat an earlier one."""
    contract = draw(row_options(draw(contracts())))
    few = {column.name: draw(st.lists(cells(column, odd=5), min_size=1, max_size=3)) for column in _keys(contract)}
    files: list[File] = []
    for at in range(draw(st.sampled_from([1, 2, 3, 4] if contract.is_snapshot else [1, 1, 2, 3, 4]))):
        again = files and draw(st.integers(0, 9)) == 0
        body = draw(st.sampled_from(files)).body if again else draw(_bodies(contract, few))
        files.append(File(f"{at}.dat", body))
    return Case(contract, tuple(files))


def _keys(contract: Contract) -> list[Column]:
    return list(contract.key_columns)


@st.composite
def rows(draw: st.DrawFn, contract: Contract, few: dict[str, list[str]], odd: int) -> list[Cells]:
    """Up to eight records whose keys have few values, so that records share keys."""
    strategies = {
        column.name: st.sampled_from(few[column.name])
        if column.name in few and draw(st.integers(0, 5))
        else cells(column, odd=odd)
        for column in contract.source_columns
    }
    return draw(st.lists(st.fixed_dictionaries(strategies), min_size=1, max_size=8))


@st.composite
def _bodies(draw: st.DrawFn, contract: Contract, few: dict[str, list[str]]) -> bytes:
    found = draw(rows(contract, few, draw(st.sampled_from([0, 5, 30]))))
    names = [column.name for column in contract.source_columns]
    gone = draw(st.sampled_from([None] * 5 + names))
    names = draw(st.permutations([name for name in names if name != gone]))
    unknown = draw(st.lists(st.sampled_from(_UNKNOWN), max_size=2, unique=True)) if draw(st.integers(0, 3)) == 0 else []
    for row in found:
        row.update({name: draw(st.sampled_from(["7", "x", "", 'say "ü"', "1.50"])) for name in unknown})
    spelled = draw(st.sampled_from([str, str, str.upper, lambda name: name.replace("_", " ").title()]))
    header = {**{name: spelled(name) for name in names}, **{name: name for name in unknown}}
    for column in contract.source_columns:
        if column.name in header and column.source_names and draw(st.booleans()):
            header[column.name] = draw(st.sampled_from(column.source_names))
    writer = draw(st.sampled_from([_csv, _csv, _json, _ndjson, _parquet, _columns, _avro, _xlsx]))
    body = writer(draw, contract, header, found) or _parquet(draw, contract, header, found)
    return _fault(draw, body) if draw(st.integers(0, 19)) == 0 else body


def _fault(draw: Callable[..., Any], body: bytes) -> bytes:
    """A file that is empty, cut off or of another format."""
    kinds = [b"", b" \n\n", b"\x89PNG\r\n\x1a\n" + bytes(64)]
    if body.startswith((b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"ORC", b"ARROW1", b"Obj", b"PK")):
        kinds.append(body[: len(body) // 2])
    if b"\n" in body and body.isascii():
        kinds.append(body[: body.index(b"\n") + 1])
    return draw(st.sampled_from(kinds))


def _csv(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    writer = TableWriter(draw, contract, len(header))
    delimiter, names = writer.delimiter, writer.names(header)
    head = delimiter.join(writer.field(header.get(name, name)) for name in names)
    lines = [head] if contract.dialect.has_header else []
    again = draw(st.integers(0, len(found) * 9))  # sometimes the header is repeated before that row
    for at, row in enumerate(found, 1):
        lines += [draw(st.sampled_from(["", "", "\ufeff"])) + head] if at == again else []
        line = delimiter.join(writer.cell(name, row[name]) for name in names)
        fault = draw(st.integers(0, 39))
        lines.append(
            line + delimiter + "more" if fault == 0
            else line.rpartition(delimiter)[0] if fault == 1 and '"' not in line
            else 'x"y"' + delimiter + line if fault == 2
            else '"never closed' if fault == 3
            else "" if fault == 4
            else line
        )  # fmt: skip
    text = writer.text(lines)
    return _packed(draw, _encoded(draw, text, contract))


def _encoded(draw: Callable[..., Any], text: str, contract: Contract) -> bytes:
    if contract.dialect.encoding is not None:
        return encoded(draw, text, contract.dialect.encoding)
    encodings = ["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1251"]
    encoding = draw(st.sampled_from(encodings))
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _packed(draw: Callable[..., Any], body: bytes) -> bytes:
    presses = [None, None, None, None, None, gzip.compress, zstandard.compress, bz2.compress, lzma.compress]
    pack = draw(st.sampled_from(presses))
    return pack(body) if pack else body


def _object(draw: Callable[..., Any], contract: Contract, header: dict[str, str], row: Cells) -> str:
    """A record as JSON: numbers, booleans and documents as such or as text; empty cells as null, text or left out."""
    parts: list[tuple[str, Node]] = []
    for name, shown in header.items():
        text, steps = row[name], _steps(draw, contract, name)
        if not text and draw(st.booleans()):
            if draw(st.booleans()) and len(parts) > 0:
                continue
            _put(parts, steps or [shown], "null")
            continue
        bare = _is_json(text) and draw(st.booleans())
        _put(parts, steps or [shown], str(text) if bare else json.dumps(text, ensure_ascii=draw(st.booleans())))
    if parts and draw(st.integers(0, 59)) == 0:
        parts.append(draw(st.sampled_from(parts)))
    escaped = draw(st.integers(0, 9)) == 0
    return _text_of(parts, escaped=escaped)


# A value as it is written, or the members of an object or a list of elements with their keys.
Node = str | list[tuple[str, "Node"]]


def _steps(draw: Callable[..., Any], contract: Contract, name: str) -> list[str]:
    """The steps of a column's path; sometimes none, so that its name is the key."""
    column = contract.by_name.get(name)
    is_at_path = column is not None and column.path and draw(st.integers(0, 19))
    return list(column.steps) if column is not None and is_at_path else []


def _put(parts: list[tuple[str, Node]], steps: list[str], token: str) -> None:
    """Add a value at its steps, unless another value is on the way."""
    step, *further = steps
    if not further:
        parts.append((step, token))
        return
    inner = next((node for key, node in parts if key == step), None)
    if inner is None:
        inner = []
        parts.append((step, inner))
    if not isinstance(inner, str):
        _put(inner, further, token)


def _text_of(parts: list[tuple[str, Node]], *, escaped: bool = False) -> str:
    """An object, or a list if all its keys are digits; `escaped` writes the first letter of a key as an escape."""
    shown = [(key, node if isinstance(node, str) else _text_of(node)) for key, node in parts]
    if parts and all(key.isdecimal() and len(key) < 3 for key, _ in parts):
        found = dict(shown)
        return "[" + ", ".join(found.get(str(at), "null") for at in range(max(map(int, found)) + 1)) + "]"
    keys = [
        f'"\\u{ord(key[0]):04x}{key[1:]}"' if escaped and key else json.dumps(key, ensure_ascii=False)
        for key, _ in shown
    ]
    return "{" + ", ".join(f"{key}: {text}" for key, (_, text) in zip(keys, shown, strict=True)) + "}"


def _is_json(text: str | None) -> bool:
    try:
        json.loads(text or "", parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return re.search(r"[\r\n]", text or "") is None


def _json(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    records = [_object(draw, contract, header, row) for row in found]
    if draw(st.integers(0, 9)) == 0:
        records.insert(draw(st.integers(0, len(records))), draw(st.sampled_from(["7", '"x"', "[1]", "null"])))
    between = draw(st.sampled_from([",", ",\n", ", ", "\n,\r\n"]))
    key = contract.dialect.key_column
    if key is None or draw(st.integers(0, 9)) == 0:
        text = "[" + draw(st.sampled_from(["", "\n", " "])) + between.join(records) + "]"
    else:
        keys = [row.get(key) or draw(st.sampled_from(["", "k", "é"])) for row in found]
        keys += ["more"] * (len(records) - len(keys))
        text = "{" + between.join(f"{json.dumps(one)}: {text}" for one, text in zip(keys, records, strict=True)) + "}"
    return _packed(draw, _encoded(draw, _wrapped(draw, contract, text), contract))


def _wrapped(draw: Callable[..., Any], contract: Contract, text: str) -> str:
    """The records inside a document at the contract's record path, sometimes elsewhere, or in two documents."""
    steps = list(contract.dialect.record_steps)
    if not steps or draw(st.integers(0, 14)) == 0:
        return text
    before = draw(
        st.sampled_from(["", '"n": 1, ', '"n":\n{"data": [{}, "]"]},\n', '"rows": [], ', '"e": "\\u00e9\\"", '])
    )
    after = draw(st.sampled_from(["", "", ', "next": null', ',\n"more": [{"data": [{}]}]', ', "x": NaN', ", "]))
    for step in reversed(steps):
        text = f'[7, {text}, "x"]' if step == "1" else f'{{{before}"{step}": {text}{after}}}'
        before, after = draw(st.sampled_from([(before, after), ("", "")]))
    twice = draw(st.sampled_from(["", "", "", "", "\n", " x", "]"]))
    return text + twice + (text if twice == "\n" else "")


def _ndjson(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    if contract.dialect.has_documents and draw(st.integers(0, 3)):
        return _json(draw, contract, header, found)
    records = [_object(draw, contract, header, row) for row in found]
    for at in range(1, len(records)):
        fault = draw(st.integers(0, 29))
        if fault < 4:
            records[at] = ["{", "17", "", records[at][:-2]][fault]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join(records) + (end if draw(st.booleans()) else "")
    if draw(st.integers(0, 9)) == 0:
        text = text.replace("}" + end + "{", draw(st.sampled_from(["}{", "} {"])))
    return _packed(draw, _encoded(draw, text, contract))


def _placed(
    draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]
) -> dict[str, pa.Array]:
    """The columns of a columnar file; those with a path are inside of structures, unless it has an index of a list."""
    arrays: list[tuple[list[str], pa.Array]] = []
    for name, shown in header.items():
        steps = _steps(draw, contract, name)
        array = _array(draw, contract.by_name.get(name), [row[name] for row in found])
        arrays.append(([shown] if any(map(str.isdecimal, steps)) else steps or [shown], array))
    return _nested(arrays)


def _nested(arrays: list[tuple[list[str], pa.Array]]) -> dict[str, pa.Array]:
    groups: dict[str, list[tuple[list[str], pa.Array]]] = {}
    for (first, *further), array in arrays:
        groups.setdefault(first, []).append((further, array))
    nested = {}
    for key, inner in groups.items():
        whole = next((array for further, array in inner if not further), None)
        if whole is None:
            members = _nested(inner)
            whole = pa.StructArray.from_arrays(list(members.values()), names=list(members))
        nested[key] = whole  # another value may be on the way
    return nested


def _parquet(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    arrays = _placed(draw, contract, header, found)
    sink = io.BytesIO()
    pq.write_table(
        pa.table(arrays),
        sink,
        compression=draw(st.sampled_from(["none", "snappy", "zstd"])),
        use_deprecated_int96_timestamps=draw(st.booleans()),
        write_page_checksum=draw(st.booleans()),
        **_encodings(draw, arrays),
    )
    return sink.getvalue()


def _columns(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes | None:
    """An ORC file, or a file or stream of Arrow; None if ORC cannot hold the columns."""
    columns, sink = pa.table(_placed(draw, contract, header, found)), io.BytesIO()
    new = draw(st.sampled_from([None, pa.ipc.new_file, pa.ipc.new_stream]))
    if new is not None:
        options = pa.ipc.IpcWriteOptions(compression=draw(st.sampled_from([None, "lz4", "zstd"])))
        with new(sink, columns.schema, options=options) as writer:
            writer.write_table(columns, max_chunksize=draw(st.sampled_from([1, 3, 100])))
        return sink.getvalue()
    try:
        orc.write_table(columns, sink, compression=draw(st.sampled_from(["uncompressed", "zlib", "zstd"])))
        orc.ORCFile(io.BytesIO(sink.getvalue())).read()  # ORC's timestamps are not read beyond nanoseconds
    except (pa.ArrowException, OSError):
        return None
    return sink.getvalue()


def _avro(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes | None:
    """An Avro file of texts and whole numbers; None if it cannot hold the names."""
    if any(not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", shown) for shown in header.values()):
        return None
    whole = [
        name
        for name in header
        if all(re.fullmatch("-?[1-9][0-9]{0,17}", row[name] or "1") for row in found) and draw(st.booleans())
    ]
    fields = [
        {"name": shown, "type": ["null", "long" if name in whole else "string"]} for name, shown in header.items()
    ]
    records = [
        {shown: int(text) if (text := row[name]) and name in whole else text or None for name, shown in header.items()}
        for row in found
    ]
    sink = io.BytesIO()
    codec = draw(st.sampled_from(["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]))
    try:
        fastavro.writer(sink, {"type": "record", "name": "row", "fields": fields}, records, codec=codec)
    except UnicodeEncodeError:
        return None
    return sink.getvalue()


_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|_x|{r}")
_FIRST_DAY = "1900-03-01"


def _xlsx(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes | None:
    """A workbook; None if XML cannot hold a text."""
    texts = [*header.values(), *(row[name] or "" for row in found for name in header)]
    if any(map(_NOT_IN_XML.search, texts)):
        return None
    writer = TableWriter(draw, contract, len(header))
    lines = [[_text_cell(shown) for shown in header.values()]]
    for row in found:
        lines.append([_xlsx_cell(draw, writer, contract.by_name.get(name), row[name]) for name in header])
        if draw(st.integers(0, 9)) == 0:
            lines.append([])
    return table(lines)


def _xlsx_cell(draw: Callable[..., Any], writer: TableWriter, column: Column | None, text: str | None) -> str | None:
    """The text as such, as a number or date where the cell then shows the same, or as the dialect writes it."""
    if not text:
        nulls = writer.contract.dialect.null_values
        return _text_cell(draw(st.sampled_from(nulls))) if nulls and draw(st.booleans()) else None
    if column is None or draw(st.booleans()):
        return _text_cell(writer.number(text) if draw(st.booleans()) else text)
    numbers = {ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.FLOAT}
    if column.type in numbers and re.fullmatch(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{0,5}[1-9])?", text) and text != "-0":
        return f"<c {{r}}><v>{text}</v></c>"
    if column.type is ColumnType.DATE and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and text >= _FIRST_DAY:
        try:
            return f'<c {{r}} s="1"><v>{(date.fromisoformat(text) - date(1899, 12, 30)).days}</v></c>'
        except ValueError:
            pass
    return _text_cell(text)


def _text_cell(text: str) -> str:
    return f'<c {{r}} t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _encodings(draw: Callable[..., Any], arrays: dict[str, pa.Array]) -> dict[str, Any]:
    """Dictionaries, as is usual, or one of the DELTA encodings for texts."""
    if draw(st.integers(0, 2)):
        return {}
    encoding = draw(st.sampled_from(["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"]))
    texts = [name for name, array in arrays.items() if pa.types.is_string(array.type) or pa.types.is_binary(array.type)]
    return {"use_dictionary": False, "column_encoding": dict.fromkeys(texts, encoding)}


def _array(draw: Callable[..., Any], column: Column | None, texts: Sequence[str | None]) -> pa.Array:
    """The values in the column's own type if all are of it, or as text."""
    as_text = pa.array(texts, pa.string())
    if column is None or column.type in {ColumnType.TEXT, ColumnType.JSON, ColumnType.UUID} or draw(st.booleans()):
        forms = (as_text, as_text, as_text.dictionary_encode(), as_text.cast(pa.binary()), _with_bad_bytes(as_text))
        return draw(st.sampled_from(forms))
    free = Column("free", column.type, precision=column.precision, scale=column.scale, formats=column.formats)
    values: list[Any] = []
    for text in texts:
        try:
            values.append(judged(free, text))
        except BadCell:
            return as_text
    if column.type is ColumnType.NUMBER:
        return pa.array(values, pa.decimal128(column.precision, column.scale))
    return _of_other_width(draw, pa.array(values, _ARROW[column.type]))


def _with_bad_bytes(texts: pa.Array) -> pa.Array:
    """The same values as bytes; the last one is not UTF-8."""
    return pa.array([*(text.encode() if text else text for text in texts.to_pylist()[:-1]), b"\xff"], pa.binary())


def _of_other_width(draw: Callable[..., Any], array: pa.Array) -> pa.Array:
    """The values in another type of Arrow that holds each of them, where there is one."""
    narrower = {pa.float64(): pa.float32(), pa.timestamp("us"): pa.timestamp("ns"), pa.int64(): pa.int16()}
    kind = narrower.get(array.type)
    if kind is None or draw(st.booleans()):
        return array
    try:
        narrow = array.cast(kind)
        return narrow if pa.types.is_floating(kind) or narrow.cast(array.type) == array else array
    except pa.ArrowInvalid:
        return array


@dataclass(frozen=True)
class MessageCase:
    """A contract and messages."""

    contract: Contract
    values: tuple[bytes, ...]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As for `Case`: printing all functions of the columns' types takes hours."""
        printer.text("a case")


@st.composite
def message_cases(draw: st.DrawFn) -> MessageCase:
    """A contract and JSON messages for it, some of them broken."""
    contract = draw(contracts())
    few = {column.name: draw(st.lists(cells(column, odd=5), min_size=1, max_size=3)) for column in _keys(contract)}
    header = {column.name: column.name for column in contract.source_columns}
    found = draw(rows(contract, few, draw(st.sampled_from([0, 5, 30]))))
    values = [_object(draw, contract, header, row).encode() for row in found]
    broken = draw(st.lists(st.sampled_from([b"{", b"7", b"[]", b"x", b"\xff{}"]), max_size=1))
    return MessageCase(contract, (*values, *broken))
