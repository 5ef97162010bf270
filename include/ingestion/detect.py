"""What a file is, by its content: format, compression, encoding. The name is a hint for people, not for us."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.fetch import DAMAGES, damaged, guess_8_bit_encoding, open_expanded
from include.ingestion.records import FileFormat, FileRefusedError, Layout

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 256 * 1024
_LOOKED_AT = 4096
_PARQUET = b"PAR1"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word document",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1a\x1b")
# An array of records, before which something else may stand by mistake; not a header as in "[id],name".
_ARRAY = re.compile(r'\[\s*((null|true|false|-?[0-9][0-9.eE+-]*|"([^"\\]|\\.)*")\s*,\s*)*([{\[\]]|\Z)')
_REMEDY = "Send CSV, JSON, NDJSON or Parquet, plain or compressed by gzip or zstd."


def detect(path: Path, max_expanded_bytes: int) -> Layout:
    """Look at the content.

    Raises:
        FileRefusedError: empty, cut off, or nothing that can be read.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
    if start.startswith(_PARQUET) and not _is_text(_head(path, "none")):
        return _parquet(path)
    compression = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), "none")
    head = _head(path, compression)
    # Its mark begins like that of UTF-16, whose text has no NUL character there.
    if head.startswith(_UTF_32) and len(head) > 4:
        raise FileRefusedError(Code.UNKNOWN_FORMAT, "The text is in UTF-32.", "Write the file as UTF-8.")
    marked = next((mark for mark, _ in _BOMS if head.startswith(mark)), b"")
    if not head[len(marked) :].strip(b" \t\r\n\0"):
        raise FileRefusedError(Code.EMPTY_FILE, "The file is empty.", "Send it again with its header and rows.")
    for magic, name in _FOREIGN.items():
        # A header may begin with such letters, as in ORCID.
        if head.startswith(magic) and not (magic.isalnum() and _is_text(head)):
            raise FileRefusedError(Code.UNKNOWN_FORMAT, f"The content is {name}.", _REMEDY)
    if head.startswith(_PARQUET) and not _is_text(head):
        raise FileRefusedError(
            Code.UNKNOWN_FORMAT, f"The content is Parquet inside {compression}.", "Send the Parquet file as it is."
        )
    encoding = _encoding(path, head, compression, max_expanded_bytes)
    text = head.decode(encoding, errors="replace").lstrip("\ufeff").lstrip()
    return Layout(_text_format(text), compression, encoding)


def _parquet(path: Path) -> Layout:
    with path.open("rb") as stream:
        stream.seek(-min(4, path.stat().st_size), 2)
        if stream.read(4) != _PARQUET or path.stat().st_size < 12:
            raise FileRefusedError(
                Code.TRUNCATED_FILE, "The Parquet file has no end: it was cut off.", "Upload the whole file again."
            )
    return Layout(FileFormat.PARQUET)


def _head(path: Path, compression: str) -> bytes:
    try:
        with open_expanded(path, compression) as stream:
            return stream.read(HEAD_BYTES)
    except DAMAGES as error:
        raise damaged(compression, error) from error


def _encoding(path: Path, head: bytes, compression: str, max_expanded_bytes: int) -> str:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    nuls_even, nuls_odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half and nuls_odd > half * 0.4 and nuls_even < half * 0.05:
        return "utf-16-le"
    if half and nuls_even > half * 0.4 and nuls_odd < half * 0.05:
        return "utf-16-be"
    # Of random bytes a tenth are such controls.
    if _controls(head) > len(head[:_LOOKED_AT]) * 0.05:
        raise FileRefusedError(Code.UNKNOWN_FORMAT, "The content is binary, of no format known here.", _REMEDY)
    return guess_8_bit_encoding(path, compression, max_expanded_bytes)


def _controls(head: bytes) -> int:
    return sum(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in head[:_LOOKED_AT])


def _is_text(head: bytes) -> bool:
    return len(head) > len(_PARQUET) and _controls(head) == 0


def _text_format(text: str) -> FileFormat:
    if text.startswith("["):
        return FileFormat.JSON if _ARRAY.match(text) else FileFormat.CSV
    if not text.startswith("{"):
        return FileFormat.CSV
    first_line = text.split("\n", maxsplit=1)[0].rstrip()
    try:
        json.loads(first_line)
    except ValueError:
        # A record cut or broken inside its line is a bad line; an object over several lines is a document.
        return (
            FileFormat.NDJSON
            if len(first_line) > 1
            and first_line[1:].lstrip().startswith('"')
            and (first_line.endswith("}") or "\n{" in text)
            else FileFormat.JSON
        )
    except RecursionError:
        return FileFormat.NDJSON
    return FileFormat.NDJSON
