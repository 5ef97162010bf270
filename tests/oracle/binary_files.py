"""Reads workbooks of .xlsx, Avro, ORC and Arrow files for the oracle, each in the plainest way.

What belongs here: the formats that the case generator writes. What does not: damage, which `readers` refuses.
"""

from __future__ import annotations

import io
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import fastavro
import pyarrow as pa
from pyarrow import orc

from tests.oracle.documents import Number

if TYPE_CHECKING:
    from collections.abc import Iterator

ARROW_FILE, ARROW_STREAM, AVRO, ORC, ZIP = b"ARROW1\0\0", b"\xff\xff\xff\xff", b"Obj\x01", b"ORC", b"PK\x03\x04"
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DATE_STYLE = "1"
_DAY_0 = date(1899, 12, 30)


def columns(content: bytes) -> pa.Table | None:
    """The table of an ORC or Arrow file; None if it is neither.

    Raises:
        pa.ArrowException, OSError: it cannot be read.
    """
    if content.startswith(ORC) and b"\0" in content:
        return orc.ORCFile(io.BytesIO(content)).read()
    if content.startswith(ARROW_FILE):
        return pa.ipc.open_file(content).read_all()
    return pa.ipc.open_stream(content).read_all() if content.startswith(ARROW_STREAM) else None


def is_cut(content: bytes) -> bool:
    """Whether an ORC or Arrow file lacks its end."""
    if content.startswith(ARROW_FILE):
        return not content.endswith(b"ARROW1")
    return content.startswith(ORC) and content[-4:-1] != ORC


def avro_records(content: bytes) -> list[dict[str, Any]]:
    """The records of an Avro file.

    Raises:
        EOFError: it is cut off.
    """
    try:
        return list(fastavro.reader(io.BytesIO(content)))  # type: ignore[arg-type]
    except ValueError as error:
        if isinstance(error.__context__, EOFError):  # inside the header
            raise error.__context__ from None
        raise


def sheet_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first sheet that are not empty: the number in Excel, and the texts of the cells.

    Raises:
        zipfile.BadZipFile: it is cut off.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    rows = {
        int(row.attrib["r"]): {_at(cell.attrib["r"]): _text(cell) for cell in row} for row in root.iter(f"{_SHEET}row")
    }
    width = max((at + 1 for cells in rows.values() for at in cells), default=0)
    for number, cells in rows.items():
        if any(cells.values()):
            yield number, [cells.get(at, "") for at in range(width)]


def _at(reference: str) -> int:
    letters = [ord(letter) - ord("A") + 1 for letter in reference if letter.isalpha()]
    return int(sum(value * 26**power for power, value in enumerate(reversed(letters)))) - 1


def _text(cell: ET.Element) -> str:
    value = cell.findtext(f"{_SHEET}v")
    if value is None:
        return "".join(cell.itertext())
    if cell.attrib.get("s") == _DATE_STYLE:
        return (_DAY_0 + timedelta(days=int(value))).isoformat()
    return Number(format(Decimal(value).normalize(), "f"))
