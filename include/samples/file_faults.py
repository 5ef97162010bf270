"""Faults of a whole sample file: columns that are missing, added or reordered, a cut end, the bytes of a picture.

What belongs here: each fault as a function. What does not: faults of one row (`row_faults`), writing (`writer`).
"""

from __future__ import annotations

import random
import struct
import zlib
from typing import TYPE_CHECKING

from include.samples.badness import BadKind, SampleError
from include.samples.records import FileColumn

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

MANY_COLUMNS = 1_000


def columns_with_faults(contract: Contract, kinds: set[BadKind]) -> tuple[list[FileColumn], tuple[str, ...]]:
    """Return the columns of the file in their order, and the names of those that are missing or extra.

    Args:
        contract: the dataset's contract.
        kinds: the faults of the file; those that do not concern columns are ignored.

    Raises:
        SampleError: a column should be missing, but none is required.
    """
    columns = [FileColumn(column.name, column) for column in contract.source_columns]
    named: list[str] = []
    if BadKind.MISSING_COLUMN in kinds:
        needed = [c.name for c in contract.source_columns if c.required and c.name not in contract.key]
        needed += [column.name for column in contract.key_columns]
        if not needed:
            message = f"{contract.dataset} has no required column that could be missing"
            raise SampleError(message)
        name = needed[0]
        columns = [column for column in columns if column.name != name]
        named.append(name)
    if BadKind.EXTRA_COLUMN in kinds:
        columns.append(FileColumn("extra_number", None))
        named.append("extra_number")
    if BadKind.MANY_COLUMNS in kinds:
        extra = [f"extra_{number:04}" for number in range(1, MANY_COLUMNS - len(columns) + 1)]
        columns += [FileColumn(name, None) for name in extra]
        named += extra
    if BadKind.REORDERED_COLUMNS in kinds:
        columns.reverse()
    return columns, tuple(named)


def truncate(path: Path) -> None:
    """Cut off the last quarter, inside a line."""
    content_size = path.stat().st_size
    with path.open("r+b") as stream:
        size = content_size * 3 // 4
        stream.seek(max(size - 1, 0))
        if stream.read(1) == b"\n":
            size -= 2
        stream.truncate(max(size, 0))


def png(seed: int) -> bytes:
    """A valid grey picture of 32 by 32 dots."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)
    dots = random.Random(seed).randbytes(33 * 32)  # noqa: S311 - made-up data
    rows = b"".join(b"\0" + dots[at : at + 32] for at in range(0, 33 * 32, 33))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
