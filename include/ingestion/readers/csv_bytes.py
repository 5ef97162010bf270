"""Searches the bytes of a CSV file, a chunk at a time, for what Arrow would read in another way than the slow path.

What belongs here: quotes, escapes and comments in a whole file, without splitting it into records. What does not:
records (`csv_text`), Arrow (`arrow_csv`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from include.ingestion.records import FallBackToSlowPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from include.ingestion.readers.csv_fields import CsvSyntax

_CHUNK_BYTES = 4 * 1024**2
_MASK = ord("x")


def has(path: Path, sign: str) -> bool:
    """Whether an ASCII character occurs in the file."""
    return any(sign.encode() in chunk for chunk in _chunks(path))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def has_stray_quotes(path: Path, syntax: CsvSyntax) -> bool:
    """Whether a quote is neither at the start nor at the end of a field, or a quoted field is not closed."""
    quote = ord(syntax.quote)
    edges = np.frombuffer(f"{syntax.delimiter}\r\n{syntax.quote}".encode(), np.uint8)
    # Even quotes open and follow an edge; odd ones close and precede an edge. Of two quotes, one closes and one opens.
    quotes = 0
    before = b"\n"
    escapes = _Escapes(syntax.escape)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            # Each quote is checked with both its neighbours, so the last byte is checked with the next chunk.
            whole = escapes.masked(chunk) if syntax.escape else chunk
            data = np.frombuffer(before + whole + (b"" if len(chunk) == _CHUNK_BYTES else b"\n"), np.uint8)
            at = np.flatnonzero(data[1:-1] == quote) + 1
            opening, closing = at[quotes % 2 :: 2], at[1 - quotes % 2 :: 2]
            quotes += len(at)
            if not np.all(np.isin(data[opening - 1], edges)) or not np.all(np.isin(data[closing + 1], edges)):
                return True
            before = data[-2:].tobytes()
    return quotes % 2 == 1


class _Escapes:
    """Finds the characters after an escape, from one chunk to the next."""

    def __init__(self, escape: str) -> None:
        self._escape = ord(escape) if escape else -1
        self._is_open = False  # the last chunk ended with an escape, which holds for the next chunk's first byte

    def escaped(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The positions of the characters after an escape; the last escape of the chunk may have none yet."""
        first = 1 if self._is_open else 0
        at = np.flatnonzero(data[first:] == self._escape) + first
        # In a run of escapes every second one is itself escaped.
        starts = np.flatnonzero(np.diff(at, prepend=-2) > 1)
        inside = np.arange(len(at)) - np.repeat(starts, np.diff(starts, append=len(at)))
        after = at[inside % 2 == 0] + 1
        found = np.concatenate([np.arange(first), after[after < len(data)]])
        self._is_open = bool(len(after)) and int(after[-1]) == len(data)
        return found.astype(np.int64)

    @property
    def is_open(self) -> bool:
        """Whether the last byte was an escape with nothing after it so far."""
        return self._is_open

    def masked(self, chunk: bytes) -> bytes:
        """The chunk in which the characters after an escape are letters."""
        data = np.frombuffer(chunk, np.uint8).copy()
        data[self.escaped(data)] = _MASK
        return data.tobytes()


def has_odd_escapes(path: Path, syntax: CsvSyntax) -> bool:
    """Whether an escape is before a carriage return, which may be half of a line end, or at the end of the file."""
    escapes = _Escapes(syntax.escape)
    for chunk in _chunks(path):
        data = np.frombuffer(chunk, np.uint8)
        if np.any(data[escapes.escaped(data)] == ord("\r")):
            return True
    return escapes.is_open


def escapes_only_nulls(path: Path, syntax: CsvSyntax) -> bool:
    r"""Whether each escape of the file begins a cell that is null, as in `\N`, and the file has no quotes."""
    nulls = [null.encode() for null in syntax.nulls if null.count(syntax.escape) == 1 and null[0] == syntax.escape]
    if not nulls or (syntax.quote and has(path, syntax.quote)):
        return False
    edges = np.frombuffer(f"{syntax.delimiter}\r\n".encode(), np.uint8)
    longest = max(map(len, nulls))
    kept = b"\n"  # the end of the chunk before, whose cells may go on
    with path.open("rb") as stream:
        while True:
            chunk = stream.read(_CHUNK_BYTES)
            content = kept + chunk + (b"" if chunk else b"\n" * (longest + 1))
            data = np.frombuffer(content, np.uint8)
            at = np.flatnonzero(data[1 : len(data) - longest] == ord(syntax.escape)) + 1
            good = np.zeros(len(at), bool)
            for null in nulls:
                fits = np.isin(data[at - 1], edges) & np.isin(data[at + len(null)], edges)
                for offset, byte in enumerate(null):
                    fits &= data[at + offset] == byte
                good |= fits
            if not good.all():
                return False
            if not chunk:
                return True
            kept = content[max(0, len(data) - longest - 1) :]


def without_comments(path: Path, syntax: CsvSyntax) -> Path:
    """A copy of the file in which comments are empty lines; the file itself if it has none.

    A line that begins with the comment's sign and with an even number of quotes before it is a comment. That holds
    where each quote opens or closes a field, which `has_stray_quotes` checks of the copy.

    Raises:
        FallBackToSlowPath: a line is too long to be searched, or escapes make it uncertain.
    """
    comment = re.compile(rb"(?<![^\r\n])" + re.escape(syntax.comment.encode()) + rb"[^\r\n]*")
    if not any(comment.search(piece) for piece in _whole_lines(path)):
        return path
    if syntax.escape and has(path, syntax.escape):
        raise FallBackToSlowPath
    target, quote, quotes = path.with_name("without_comments"), syntax.quote.encode(), 0
    with target.open("wb") as copy:
        for piece in _whole_lines(path):
            at = 0
            for match in comment.finditer(piece):
                quotes += piece.count(quote, at, match.start()) if quote else 0
                copy.write(piece[at : match.start()])
                at = match.start() if quotes % 2 else match.end()
            quotes += piece.count(quote, at) if quote else 0
            copy.write(piece[at:])
    return target


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The file in pieces that end where a line does.

    Raises:
        FallBackToSlowPath: a line is too long.
    """
    open_line = b""
    for chunk in _chunks(path):
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not end and len(open_line) > _CHUNK_BYTES:
            raise FallBackToSlowPath
        if end:
            yield open_line + chunk[:end]
        open_line = chunk[end:] if end else open_line + chunk
    yield open_line
