"""Detects format, compression and encoding of a file by its content. The file's name is not used."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.compression import DAMAGES, compression_of, damaged, expanded, open_expanded
from include.ingestion.expansion import allowed_bytes, bounded
from include.ingestion.readers.archive import is_tar
from include.ingestion.readers.binary_formats import NAMES, PARQUET, binary_format
from include.ingestion.readers.encoding import marked_encoding, refuse_other_than_utf_8, refuse_utf_16_without_mark
from include.ingestion.readers.markup import refuse_markup
from include.ingestion.readers.text_format import LINE_END, begins_as_text, text_format
from include.ingestion.records import FileRefusedError, Layout

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from include.settings import IngestSettings

HEAD_BYTES = 256 * 1024
_LOOKED_AT = 4096
_FOREIGN = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1a\x1b")
# A tenth of random bytes are such control characters.
_BINARY_SHARE = 0.05
# In a small file a single cell may exceed that share: up to so many control characters do not make a file binary.
_FEW_CONTROLS = 8
# Bytes of a character in UTF-16 and UTF-32, at most.
_WIDEST = 4


def detect(path: Path, contract: Contract, settings: IngestSettings) -> Layout:
    """Detect the layout of a file.

    The contract's column names distinguish a header from a bad line, and text with control characters from a binary
    file.

    Raises:
        FileRefusedError: the file is empty, cut off, or of a format that cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
    # A header of CSV may begin with such letters, as in ORCID.
    if not (_is_word(start) and _is_text(_head(path, "none"), contract)) and (found := binary_format(path, start)):
        return Layout(found)
    compression = compression_of(start)
    head = _head(path, compression)
    mark, declared = marked_encoding(head) or (b"", contract.dialect.encoding)
    if not head[len(mark) :].strip(b" \t\r\n\0"):
        raise FileRefusedError.for_code(Code.EMPTY_FILE)
    for magic, name in (_FOREIGN | NAMES).items():
        if head.startswith(magic) and not (magic.isalnum() and _is_text(head, contract)):
            if magic in NAMES:
                raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "compressed", format=name, compression=compression)
            raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, format=name)
    if is_tar(head):
        raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "archive", format="a TAR archive")
    refuse_markup(_text(head, declared or "utf-8"), contract)
    if declared is None or not mark:
        _refuse_binary(head, contract)
    if declared is None:
        # `plain_text` reports damaged data.
        with suppress(*DAMAGES):
            most = allowed_bytes(path.stat().st_size, settings)
            refuse_other_than_utf_8(lambda: bounded(expanded(path, compression), most))
    encoding = declared or "utf-8"
    text, is_whole = _text(head, encoding), len(head) < HEAD_BYTES
    if not (is_whole or text.lstrip().startswith("[") or LINE_END.search(text)):
        # Read enough to have the whole first line and the lines after it, unless it is longer than a row may be.
        most = (HEAD_BYTES + settings.max_row_bytes) * (1 if encoding == "utf-8" else _WIDEST)
        head = _head(path, compression, most)
        text, is_whole = _text(head, encoding), len(head) < most
    return Layout(text_format(text, contract, is_whole=is_whole), compression, encoding)


def _is_word(start: bytes) -> bool:
    """Whether a file begins with the letters of a binary format."""
    return any(magic.isalnum() and start.startswith(magic) for magic in NAMES)


def _head(path: Path, compression: str, most: int = HEAD_BYTES) -> bytes:
    try:
        with open_expanded(path, compression) as stream:
            return stream.read(most)
    except DAMAGES as error:
        raise damaged(compression, error) from error


def _text(head: bytes, encoding: str) -> str:
    return head.decode(encoding, errors="replace").lstrip("\ufeff")


def _refuse_binary(head: bytes, contract: Contract) -> None:
    """Raise if the content is binary, or text in UTF-16 or UTF-32 that neither a mark nor the contract declares."""
    declared = contract.dialect.encoding
    if begins_as_text(_text(head[:_LOOKED_AT], declared or "utf-8"), contract):
        return
    if declared is None:
        refuse_utf_16_without_mark(head, lambda text: begins_as_text(text, contract))
    else:
        head = _text(head[:_LOOKED_AT], declared).encode("utf-8")
    sample = head[:_LOOKED_AT]
    controls = _controls(sample)
    is_text = controls <= min(_FEW_CONTROLS, len(sample) // 2) and _is_utf_8(sample)
    if controls > len(sample) * _BINARY_SHARE and not is_text:
        raise FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "binary")


def _controls(head: bytes) -> int:
    return sum(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in head[:_LOOKED_AT])


def _is_utf_8(sample: bytes) -> bool:
    """Whether a sample, whose last character may be cut, is UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _is_text(head: bytes, contract: Contract) -> bool:
    return len(head) > len(PARQUET) and (
        _controls(head) == 0 or begins_as_text(_text(head[:_LOOKED_AT], contract.dialect.encoding or "utf-8"), contract)
    )
