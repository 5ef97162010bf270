"""Parquet, ORC, Arrow, Avro and Excel files for a contract.

What belongs here: from rows to these formats. What does not: the rows, and the text formats (`file_cases`).
"""

from __future__ import annotations

import io
import re
from datetime import date
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from dialect_cases import SHEETS, TableWriter
from hypothesis import strategies as st
from json_cases import path_steps
from pyarrow import orc

from include.contracts.model import Column, ColumnType
from tests.oracle.values import BadCell, judged
from tests.workbook_files import sheet_xml
from tests.workbook_files import xlsx as workbook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dialect_cases import Cells

    from include.contracts.model import Contract

_ARROW = {
    ColumnType.INTEGER: pa.int64(), ColumnType.FLOAT: pa.float64(), ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(), ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
}  # fmt: skip


def _placed(
    draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]
) -> dict[str, pa.Array]:
    """The columns of a columnar file; those with a path are inside of structures, unless it has an index of a list."""
    arrays: list[tuple[list[str], pa.Array]] = []
    for name, shown in header.items():
        steps = path_steps(draw, contract, name)
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


def parquet(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    """A Parquet file."""
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


def columns(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes | None:
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


def avro(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes | None:
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
_WHOLE = "-?[1-9][0-9]{0,13}"


def xlsx(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes | None:
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
    return _workbook(draw, contract, lines)


def _workbook(draw: Callable[..., Any], contract: Contract, lines: list[list[str | None]]) -> bytes:
    """A workbook with the lines in one sheet, sometimes beside others, of which some are hidden."""
    wanted = contract.dialect.sheet or "Sheet1"
    name = draw(st.sampled_from([wanted, wanted, wanted.upper(), "Other"]))
    sheets = {name: lines}
    if draw(st.booleans()):
        for other in draw(st.lists(st.sampled_from([*SHEETS, "Notes"]), min_size=1, max_size=2, unique=True)):
            if other.casefold() != name.casefold():
                sheets[other] = draw(st.sampled_from([lines, lines[:2], [["x"]], []]))
    names = draw(st.permutations(list(sheets)))
    hidden = [one for one in names if len(names) > 1 and draw(st.sampled_from([one != name, one != name, True, False]))]
    return workbook({one: sheet_xml(sheets[one]) for one in names}, hidden=hidden)


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
    if _is_since_1970(column) and re.fullmatch(_WHOLE, text):
        return f"<c {{r}}><v>{text}</v></c>"
    if column.type is ColumnType.DATE and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and text >= _FIRST_DAY:
        try:
            return f'<c {{r}} s="1"><v>{(date.fromisoformat(text) - date(1899, 12, 30)).days}</v></c>'
        except ValueError:
            pass
    return _text_cell(text)


def _is_since_1970(column: Column) -> bool:
    return any(form.startswith("epoch-") for form in column.formats)


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
    if _is_since_1970(column) and all(re.fullmatch(_WHOLE, text or "1") for text in texts):
        return pa.array([int(text) if text else None for text in texts], pa.int64())
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
