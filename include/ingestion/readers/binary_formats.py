"""Detects the binary formats by their first bytes, and by what is inside of the containers of workbooks.

What belongs here: which format a binary file has. What does not: text (`text_format`), compression (`compression`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pyarrow as pa

from include.errors import Code
from include.ingestion.readers import arrow_file, avro_file
from include.ingestion.readers.archive import archive_format
from include.ingestion.readers.sheet_binary import refuse_other_ole
from include.ingestion.readers.workbook import zip_workbook
from include.ingestion.records import FileFormat, FileRefusedError

if TYPE_CHECKING:
    from pathlib import Path

ZIP, OLE, PARQUET, ORC = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1", b"ORC"
_FEATHER_1 = b"FEA1"
# Formats that are read as they are, and not inside of a compressed file: they compress their content themselves.
NAMES = {
    PARQUET: "Parquet",
    ORC: "ORC",
    avro_file.MAGIC: "Avro",
    arrow_file.MAGIC: "Arrow",
    _FEATHER_1: "Feather 1",
    ZIP: "ZIP or Excel",
    OLE: "Excel",
}
_LONGEST_SCHEMA = 16 * 1024**2


def binary_format(path: Path, start: bytes) -> FileFormat | None:
    """The format of a file that begins with `start`; None if it is none of those that are read.

    Raises:
        FileRefusedError: it is cut off or broken, or of a kind that is not read, such as a Word document.
    """
    if start.startswith(PARQUET):
        _check_parquet(path)
        return FileFormat.PARQUET
    if start.startswith(ORC):
        return FileFormat.ORC
    if start.startswith(avro_file.MAGIC):
        return FileFormat.AVRO
    if start.startswith(_FEATHER_1):
        raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "feather 1")
    if start.startswith(arrow_file.MAGIC) or _is_arrow_stream(path, start):
        return FileFormat.ARROW
    if start.startswith(ZIP):
        found = zip_workbook(path)
        if found is None and archive_format(path) is not None:
            raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "archive", format="a ZIP archive")
        if found is None:
            raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, format="a ZIP archive that is no workbook")
        return found
    if start.startswith(OLE):
        refuse_other_ole(path)
        return FileFormat.XLS
    return None


def _check_parquet(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(-min(4, size), 2)
        if stream.read(4) != PARQUET or size < 12:
            raise FileRefusedError.for_code(Code.TRUNCATED_FILE, "columnar", format="Parquet")


def _is_arrow_stream(path: Path, start: bytes) -> bool:
    """Whether a file begins with the message of a schema, as a stream of Arrow does."""
    if not start.startswith(arrow_file.CONTINUATION) or len(start) < 8:
        return False
    if not 0 < struct.unpack_from("<i", start, 4)[0] <= _LONGEST_SCHEMA:
        return False
    try:
        with pa.OSFile(str(path)) as source:
            pa.ipc.read_schema(source)
    except (pa.ArrowException, OSError, ValueError):
        return False
    return True
