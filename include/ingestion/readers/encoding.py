"""The encoding of a text: UTF-8, or what its byte order mark or the contract declares. None is guessed.

What belongs here: refusing a text that is not in the encoding that holds for it, with position and advice. What does
not: re-encoding (`fetch`), single broken bytes in a UTF-8 text (`csv_text`, `json_text`).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from itertools import chain
from typing import TYPE_CHECKING

from include.errors import Code, visible
from include.ingestion.readers.likely_encodings import LIKELY, ranked
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# UTF-32's little-endian mark begins like that of UTF-16, whose text has no NUL character there.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A character of UTF-8 in several bytes (The Unicode Standard, table 3-7).
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_BETWEEN_WORDS = re.compile(rb"[\s,;|\"]")
_NOTHING_PENDING = (b"", 0)  # the state of a decoder at the end of a character
_SAMPLE_BYTES = 64 * 1024
_HEADER_BYTES = 4096
# Encodings that only a mark declares: the codec, and which bytes of four are NUL in western text.
_WIDE = {
    "UTF-16 (little-endian)": ("utf-16-le", (0, 1, 0, 1)),
    "UTF-16 (big-endian)": ("utf-16-be", (1, 0, 1, 0)),
    "UTF-32 (little-endian)": ("utf-32-le", (0, 1, 1, 1)),
    "UTF-32 (big-endian)": ("utf-32-be", (1, 1, 1, 0)),
}
_SHOWN_CHARACTERS = 12
_SHOWN_ENCODINGS = 5


class UndeclaredEncodingError(FileRefusedError):
    """A text that is not UTF-8. `likely` are its likely encodings, the likeliest first, each with a word in it."""

    likely: tuple[tuple[str, str], ...] = ()


def marked_encoding(head: bytes) -> tuple[bytes, str] | None:
    """The byte order mark that a text begins with, and the encoding that it declares."""
    return next(((mark, name) for mark, name in MARKS if head.startswith(mark)), None)


def refuse_utf_16_without_mark(head: bytes, begins_as_text: Callable[[str], bool]) -> None:
    """Raise if content is a text in UTF-16 or UTF-32.

    It is one if, decoded so, it begins as a file of the contract does; or if every other byte is NUL, as in western
    text in UTF-16, or three of four, as in UTF-32.

    Args:
        head: the beginning of the content.
        begins_as_text: whether a text begins as a file of the contract does.
    """
    nuls = [head[at::4].count(0) / max(1, len(head) // 4) for at in range(4)]
    usual, none = 0.4, 0.05
    for name, (codec, shape) in _WIDE.items():
        is_western = len(head) > 1 and all(
            share > usual if nul else share < none for share, nul in zip(nuls, shape, strict=True)
        )
        if is_western or begins_as_text(head[:_HEADER_BYTES].decode(codec, "replace").lstrip()):
            position = max(head.find(0), 0)
            refusal = UndeclaredEncodingError.for_code(
                Code.UNDECLARED_ENCODING,
                "no mark",
                position=position + 1,
                byte=head[position],
                encoding=name,
                declaration=_declaration(codec),
            )
            refusal.likely = ((codec, head[:_HEADER_BYTES].decode(codec, "replace").strip()[:_SHOWN_CHARACTERS]),)
            raise refusal


def refuse_other_than_utf_8(expanded: Callable[[], Iterable[bytes]]) -> None:
    """Raise if a text has bytes outside ASCII and no multi-byte character of UTF-8 among them.

    With at least one such character the text is UTF-8, and only its broken lines are refused. `expanded` gives the text
    in chunks, from the beginning at each call; only one chunk is held.
    """
    at = _first_byte_without_utf_8(expanded())
    if at is None:
        return
    line, before, sample = _locate(iter(expanded()), at)
    likely = _likely(sample, before)
    shown = ", ".join(f"{name} ('{visible(text)}')" for name, text in likely)
    refusal = UndeclaredEncodingError.for_code(
        Code.UNDECLARED_ENCODING,
        byte=sample[before],
        line=line,
        position=at + 1,
        likely=f" Likely encodings: {shown}." if shown else "",
        declaration=_declaration(likely[0][0] if likely else "NAME"),
    )
    refusal.likely = tuple(likely)
    raise refusal


def other_than_utf_8(expanded: Callable[[], Iterable[bytes]], declared: str) -> Iterator[bytes]:
    """The chunks of a text in a declared encoding; raises after the last one if the text is UTF-8.

    It is UTF-8 if every byte outside ASCII belongs to a character of it, and there is at least one. After the first
    byte that does not, nothing is compared any more. `expanded` gives the text in chunks, from the beginning at each
    call.

    Args:
        expanded: the text as it is in the file.
        declared: an encoding that has one byte for a character, and those of ASCII.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    first: int | None = None
    offset, is_utf_8 = 0, True
    for chunk in expanded():
        if is_utf_8 and not (chunk.isascii() and decoder.getstate() == _NOTHING_PENDING):
            if first is None and (match := _NOT_ASCII.search(chunk)):
                first = offset + match.start()
            is_utf_8 = _continues(decoder, chunk)
        offset += len(chunk)
        yield chunk
    if first is None or not is_utf_8 or not _continues(decoder, b"", final=True):
        return
    line, before, sample = _locate(iter(expanded()), first)
    word = _word(sample, before)
    raise FileRefusedError.for_code(
        Code.ENCODING_DIFFERS,
        byte=sample[before],
        line=line,
        position=first + 1,
        word=visible(word.decode("utf-8", "replace")[:_SHOWN_CHARACTERS]),
        encoding=declared,
        declared=visible(word.decode(declared, "replace")[:_SHOWN_CHARACTERS]),
        declaration=_declaration("utf-8"),
    )


def _continues(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _declaration(encoding: str) -> str:
    """The line of a contract that declares an encoding."""
    return f"- {{property: dialect, value: {{encoding: {encoding}}}}}"


def _first_byte_without_utf_8(chunks: Iterable[bytes]) -> int | None:
    first: int | None = None
    offset, tail = 0, b""
    for chunk in chunks:
        data = tail + chunk if tail else chunk
        if not data.isascii():
            if _MULTIBYTE.search(data):
                return None
            if first is None and (match := _NOT_ASCII.search(data)):
                first = offset - len(tail) + match.start()
        tail = b"" if data[-3:].isascii() else data[-3:]
        offset += len(chunk)
    return first


def _locate(chunks: Iterator[bytes], at: int) -> tuple[int, int, bytes]:
    """The line of a byte, the number of bytes before it in a sample of the text around it, and the sample."""
    line, offset, previous = 1, 0, b""
    for chunk in chunks:
        if offset + len(chunk) > at:
            break
        line += _line_ends(chunk) - (previous.endswith(b"\r") and chunk.startswith(b"\n"))
        offset, previous = offset + len(chunk), chunk[-256:]
    inside = at - offset
    line += _line_ends(chunk[:inside]) - (previous.endswith(b"\r") and chunk.startswith(b"\n") and inside > 0)
    if len(chunk) - inside < _SAMPLE_BYTES:
        chunk = b"".join(chain([chunk], (next(chunks, b""),)))
    before = (previous + chunk[:inside])[-256:]
    before = before[max(before.rfind(b"\n"), before.rfind(b"\r")) + 1 :]
    return line, len(before), before + chunk[inside : inside + _SAMPLE_BYTES]


def _line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _likely(sample: bytes, before: int) -> list[tuple[str, str]]:
    """The likely encodings of the sample, the likeliest first, each with a word of the text in it."""
    found = ranked(sample)
    word = _word(sample, before)
    readings: dict[str, str] = {}
    for name in [*found, *LIKELY]:
        text = word.decode(name, "replace")[:_SHOWN_CHARACTERS]
        if len(readings) < _SHOWN_ENCODINGS and "\ufffd" not in text and text.isprintable():
            # Of encodings that give the same text, the likeliest one is named.
            readings[text] = next(
                known for known in [*found, *LIKELY] if word.decode(known, "replace")[:_SHOWN_CHARACTERS] == text
            )
    return [(name, text) for text, name in sorted(readings.items(), key=_scripts)]


def _word(sample: bytes, before: int) -> bytes:
    """The word of a sample that has the byte at a position."""
    start, end = _BETWEEN_WORDS.split(sample[:before])[-1], _BETWEEN_WORDS.split(sample[before:])[0]
    return start[-_SHOWN_CHARACTERS // 2 :] + end


def _scripts(reading: tuple[str, str]) -> int:
    """The number of scripts in a word's letters: in the right encoding there is seldom more than one."""
    return len({unicodedata.name(sign, "").partition(" ")[0] for sign in reading[0] if sign.isalpha()})
