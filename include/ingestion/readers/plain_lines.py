"""Makes plain UTF-8 of a text: re-encoded, without a byte order mark, and without the lines around its records.

What belongs here: bytes to bytes, before anything is parsed. What does not: detecting an encoding (`encoding`,
`detect`), expanding and writing a file (`fetch`).

Lines before the records become empty lines, so that the line numbers stay those of the file. A byte that the encoding
lacks becomes three bytes that are not UTF-8 (`text_lines` reads them): only its own line is refused.
"""

from __future__ import annotations

import codecs
from typing import IO, TYPE_CHECKING

from include.contracts.text_encodings import keeps_ascii

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_TAIL_BYTES = 1024**2
_BLANKS = b" \t"
_WIDE = ("utf-16", "utf-32")


def unmarked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks without the byte order mark, which some readers do not remove."""
    for at, chunk in enumerate(chunks):
        yield chunk.removeprefix(codecs.BOM_UTF8) if at == 0 else chunk


def recoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The chunks as UTF-8.

    Raises:
        UnicodeDecodeError: the text cannot be in UTF-16 or UTF-32. Half of a surrogate pair, as in a text that was cut,
            becomes three bytes that are not UTF-8.
    """
    errors = "surrogatepass" if encoding.startswith(_WIDE) else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    as_is = keeps_ascii(encoding)
    for chunk in chunks:
        yield chunk if as_is and chunk.isascii() else decoder.decode(chunk).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def with_empty_lines(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The chunks with the first `count` lines empty. A line ends with CR, LF, or both."""
    remaining, after_return = count, False
    for chunk in chunks:
        if not remaining:
            yield chunk
            continue
        ends, at = bytearray(), 0
        while at < len(chunk):
            if after_return and chunk[at : at + 1] == b"\n":
                ends += b"\n"
                at, after_return = at + 1, False
                continue
            after_return = False
            if not remaining:
                break
            end = _next_end(chunk, at)
            if end < 0:
                at = len(chunk)
                break
            ends += chunk[end : end + 1]
            after_return = chunk[end : end + 1] == b"\r"
            at, remaining = end + 1, remaining - 1
        yield bytes(ends) + chunk[at:]


def _next_end(chunk: bytes, at: int) -> int:
    """The first CR or LF from a position on; -1 without one."""
    feed = chunk.find(b"\n", at)
    back = chunk.find(b"\r", at, feed if feed >= 0 else len(chunk))
    return back if back >= 0 else feed


def end_of_records(path: Path, footer_lines: int, skipped: int) -> int:
    """The size of a text without its last lines. Empty lines behind the last line with text are not counted.

    Args:
        path: plain UTF-8 text.
        footer_lines: how many lines to leave out, at least 1.
        skipped: the first lines of the text are empty, and not among them.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = _start_of_records(stream, skipped)
        end = _last_text(_backwards(stream, first, size))
        if end is None:
            return first
        left = footer_lines
        after = b""
        for at, piece in _backwards(stream, first, end):
            position = len(piece)
            while left:
                feed = piece.rfind(b"\n", 0, position)
                back = piece.rfind(b"\r", feed + 1, position)
                found = back if back >= 0 else feed
                if found < 0:
                    break
                is_pair = found == back and (piece[found + 1 : found + 2] or after) == b"\n"
                if not is_pair:
                    left -= 1
                if not left:
                    return at + found + 1
                position = found
            after = piece[:1]
    return first


def _start_of_records(stream: IO[bytes], skipped: int) -> int:
    """The position after the first lines of a text, which are empty."""
    at, start = 0, stream.read(2 * skipped)
    for _ in range(skipped):
        at += 2 if start.startswith(b"\r\n", at) else 1
    return min(at, len(start))


def _backwards(stream: IO[bytes], first: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The content between two positions in pieces, the last piece first, each with its position."""
    while end > first:
        at = max(first, end - _TAIL_BYTES)
        stream.seek(at)
        yield at, stream.read(end - at)
        end = at


def _last_text(pieces: Iterable[tuple[int, bytes]]) -> int | None:
    """The position after the last line with text, without its end; None if no line has any."""
    for at, piece in pieces:
        kept = piece.rstrip(b"\r\n" + _BLANKS)
        if kept:
            return at + len(kept)
    return None
