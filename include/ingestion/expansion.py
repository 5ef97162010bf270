"""The limit on the bytes that a compressed file or a Parquet file may expand to.

What belongs here: limits that hold before and while a file is expanded. What does not: expanding it (`compression`,
`parquet_file`), and what the values mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.settings import IngestSettings

BATCH_BYTES = 32 * 1024**2
# For batches that become text in the engine, whose memory is bounded.
TEXT_BATCH_BYTES = 8 * 1024**2


def allowed_bytes(size_bytes: int, settings: IngestSettings) -> int:
    """The bytes that a file of this size may expand to."""
    by_ratio = max(settings.expansion_free_bytes, settings.max_expansion_ratio * size_bytes)
    return min(settings.max_expanded_bytes, by_ratio)


def too_large(limit: int) -> FileRefusedError:
    """The error for a file that expands to more than `limit` bytes."""
    return FileRefusedError.for_code(Code.TOO_LARGE, "expanded", limit=limit)


def bounded(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The same chunks; raises once they exceed the limit together."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise too_large(limit)
        yield chunk
