"""Opens the ZIP file that a workbook is: bounded, with its checksums verified, and its XML without entities.

What belongs here: parts of the file by name. What does not: what they mean (`sheet_xml`, `sheet_binary`).
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from xml.parsers import expat

from include.errors import Code, reason_of
from include.ingestion.expansion import too_large
from include.ingestion.readers.sheet_scan import MOST_BYTES, unreadable
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CHUNK_BYTES = 1024**2
_MOST_PARTS = 10_000
_IS_ENCRYPTED = 1
_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@contextmanager
def open_parts(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a workbook's ZIP file; errors of reading it become refusals.

    Raises:
        FileRefusedError: it is broken, encrypted, or its parts together are too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(part.flag_bits & _IS_ENCRYPTED for part in archive.infolist()):
                raise FileRefusedError.for_code(Code.UNSUPPORTED_WORKBOOK, "encrypted")
            yield archive
    except _ERRORS as error:
        raise unreadable(reason_of(error)) from error


def verify(archive: zipfile.ZipFile, limit: int) -> None:
    """Check sizes and checksums of all parts: other readers trust the sizes.

    Args:
        archive: the workbook.
        limit: bytes that all parts may have together.

    Raises:
        FileRefusedError: it is too large, or has a part twice.
        zipfile.BadZipFile: a part is damaged, or larger than the archive says.
    """
    parts = archive.infolist()
    if len(parts) > _MOST_PARTS:
        raise unreadable(f"it has {len(parts):,} parts")
    limit = min(limit, MOST_BYTES)
    if sum(part.file_size for part in parts) > limit:
        raise too_large(limit)
    if len({part.filename for part in parts}) < len(parts):
        raise unreadable("one of its parts is there twice")
    for part in parts:
        with archive.open(part) as stream:
            while stream.read(_CHUNK_BYTES):
                pass


class Parser(NamedTuple):
    """A parser of XML, and its handlers: names of elements come without their prefix."""

    expat: Any

    def parse(self, stream: IO[bytes]) -> None:
        """Parse a part.

        Raises:
            FileRefusedError: it is no XML, or it declares a document type, which may define entities.
        """
        try:
            self.expat.ParseFile(stream)
        except expat.ExpatError as error:
            raise unreadable(f"its XML is broken: {error}") from error


def parser(start: Callable[[str, dict[str, str]], None], end: Callable[[str], None] | None = None) -> Parser:
    """A parser that calls `start` with each element's name and attributes, and `end` with its name."""
    made = expat.ParserCreate()
    made.buffer_text = True
    names = _LocalNames()
    made.StartElementHandler = lambda name, attributes: start(names[name], attributes)
    if end is not None:
        made.EndElementHandler = lambda name: end(names[name])
    made.StartDoctypeDeclHandler = _refuse_doctype
    return Parser(made)


class _LocalNames(dict[str, str]):
    def __missing__(self, name: str) -> str:
        local = self[name] = name.rpartition(":")[2]
        return local


def _refuse_doctype(*_: object) -> None:
    raise unreadable("its XML declares a document type")


def relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """The parts that a part refers to: type (its last word) and path by the id; of the archive for an empty part."""
    folder, name = posixpath.split(part)
    source = posixpath.join(folder, "_rels", f"{name}.rels")
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = (kind, target.lstrip("/"))

    if source in archive.namelist():
        with archive.open(source) as stream:
            parser(start).parse(stream)
    return found


def first_of(archive: zipfile.ZipFile, part: str, kind: str) -> str | None:
    """The first part of a type that a part refers to, if the archive has it."""
    targets = [target for found, target in relations(archive, part).values() if found == kind]
    return next((target for target in targets if target in archive.namelist()), None)
