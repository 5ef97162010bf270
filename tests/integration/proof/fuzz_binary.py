"""Workbooks, Avro, ORC and Arrow files for the fuzzer, with damage inside of their containers.

What belongs here: from rows to these formats. What does not: values (`fuzz_values`), damage at random (`fuzz_bytes`).
"""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
from fuzz_bytes import mutated
from fuzz_parquet import typed_table
from pyarrow import orc

from tests.binary_workbook_files import Formula, xlsb
from tests.workbook_files import ods, sheet_xml, xlsx, zipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from fuzz_values import Row

_CELLS = (
    '<c {r} t="e"><v>#N/A</v></c>', "<c {r}><f>1+1</f></c>", '<c {r} s="1"><v>60</v></c>', '<c {r} s="1"><v>-1</v></c>',
    '<c {r} t="s"><v>0</v></c>', '<c {r} t="s"><v>99</v></c>', "<c {r}><v>1e308</v></c>", "<c {r}><v>x</v></c>",
    '<c r="XFD9"><v>1</v></c>', '<c {r} t="d"><v>2026-01-01</v></c>', '<c {r} t="str"><v>_x0000_</v></c>', "<c/>",
    '<c {r} s="4"><v>1e9</v></c>', '<c {r} s="9999"><v>1</v></c>',
)  # fmt: skip
_ODS_CELLS = (
    '<table:table-cell table:formula="of:=1"/>', '<table:table-cell table:number-columns-repeated="1000"/>',
    '<table:table-cell office:value-type="float" office:value="x"/>',
    '<table:table-cell office:value-type="date" office:date-value="2026-13-99"/>',
    '<table:table-cell table:number-columns-repeated="16384" office:value-type="float" office:value="1"/>',
    '<table:covered-table-cell/>',
)  # fmt: skip
_XLS = sorted((Path(__file__).parents[2] / "resources" / "workbooks").glob("*.xls"))
_CODECS = ("null", "deflate", "bzip2", "xz", "snappy", "zstandard")


def xlsx_file(rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """A workbook of .xlsx."""
    cells = _table(rows, rng, _CELLS if wrong else ())
    sheets = {"Sheet1": sheet_xml(cells, first_row=rng.choice((1, 1, 3)))}
    if wrong and rng.random() < 0.1:
        sheets["Other"] = sheet_xml([["x"]])
    workbook = rng.choice(("", '<calcPr fullCalcOnLoad="1"/>', '<workbookPr date1904="1"/>'))
    return _damaged(xlsx(sheets, workbook=workbook), rng, wrong=wrong), "xlsx"


def ods_file(rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """A workbook of .ods."""
    return _damaged(ods({"Sheet1": _table(rows, rng, _ODS_CELLS if wrong else ())}), rng, wrong=wrong), "ods"


def xlsb_file(rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """A workbook of .xlsb."""
    odd = ("#N/A", Formula("#REF!"), Formula("x"), Formula(2.5), (60.0, 1), (-1.0, 2), 1e308) if wrong else ()
    return _damaged(xlsb({"Sheet1": _table(rows, rng, odd)}), rng, wrong=wrong), "xlsb"


def xls_file(rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """A workbook of .xls that is kept with the tests, sometimes damaged: no library here writes the format."""
    path = rng.choice(_XLS)
    body = path.read_bytes()
    return mutated(body, rng) if wrong and rng.random() < 0.7 else body, path.name


def _table(rows: list[Row], rng: Random, odd: tuple[Any, ...]) -> list[list[Any]]:
    """Header and rows with the kinds of values that a cell can have."""

    def cell(value: Any) -> Any:
        if odd and rng.random() < 0.03:
            return rng.choice(odd)
        if isinstance(value, date | datetime):
            return value.replace(tzinfo=None) if isinstance(value, datetime) else value
        if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**53):
            return value
        return "".join(sign for sign in str(value) if sign.isprintable() or sign == "\n")

    lines = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    if odd and rng.random() < 0.2:
        lines.insert(rng.randrange(len(lines)), [])
    return lines


def _damaged(body: bytes, rng: Random, *, wrong: bool) -> bytes:
    """The workbook, sometimes with damage inside of one part, whose checksum is right."""
    if not wrong or rng.random() < 0.5:
        return body
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(parts))
    if rng.random() < 0.1:
        del parts[name]
    else:
        parts[name] = mutated(bytes(parts[name]), rng)  # type: ignore[arg-type]
    return zipped(parts)


def avro_file(rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """An Avro container file of texts."""
    names = [name if name.isidentifier() and name.isascii() else f"f{at}" for at, name in enumerate(rows[0])]
    fields = [{"name": name, "type": ["null", "string"]} for name in names]
    records = [
        {name: None if value is None else str(value) for name, value in zip(names, row.values(), strict=True)}
        for row in rows
    ]
    target = io.BytesIO()
    codec = rng.choice(_CODECS)
    fastavro.writer(
        target, {"type": "record", "name": "row", "fields": fields}, records, codec=codec,
        sync_interval=rng.choice((50, 16_000)), sync_marker=rng.randbytes(16),
    )  # fmt: skip
    body = target.getvalue()
    if wrong and rng.random() < 0.3:
        body = body.replace(b'"string"', rng.choice((b'"bytes" ', b'"long"  ', b'"row"   ', b'"double"')), 1)
    return body, f"avro {codec}"


def orc_file(rows: list[Row], rng: Random) -> tuple[bytes, str]:
    """An ORC file."""
    table, target = typed_table(rows, rng), io.BytesIO()
    options = {"compression": rng.choice(("uncompressed", "zlib", "snappy", "zstd", "lz4")), "stripe_size": 64 * 1024}
    try:
        orc.write_table(table, target, **options)
    except (pa.ArrowException, OSError, ValueError):
        target = io.BytesIO()
        orc.write_table(_as_text(table), target, **options)
    return target.getvalue(), f"orc {options['compression']}"


def arrow_file(rows: list[Row], rng: Random) -> tuple[bytes, str]:
    """A file or stream of Arrow."""
    table = typed_table(rows, rng)
    if rng.random() < 0.3:
        kind = rng.choice((pa.dictionary(pa.int8(), pa.string()), pa.string_view()))
        table = pa.table([text.cast(kind) for text in _as_text(table).columns], names=table.column_names)
    target = io.BytesIO()
    new: Callable[..., Any] = rng.choice((pa.ipc.new_file, pa.ipc.new_stream))
    options = pa.ipc.IpcWriteOptions(compression=rng.choice((None, "lz4", "zstd")))
    with new(target, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rng.choice((1, 7, 1000)))
    return target.getvalue(), f"arrow {new.__name__}"


def _as_text(table: pa.Table) -> pa.Table:
    texts = [
        pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        for column in table.columns
    ]
    return pa.table(texts, names=table.column_names)
