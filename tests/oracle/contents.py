"""From the bytes of a file to its text: compression and encoding.

What belongs here: bytes to text. What does not: formats (`readers`).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from functools import cache

import zstandard

from include.errors import Code
from tests.oracle.csv_records import BROKEN_BYTE
from tests.oracle.verdict import FileRefused


def expanded(body: bytes) -> bytes:
    """The bytes of a file without compression.

    Raises:
        FileRefused: they are cut off or damaged.
    """
    try:
        if body.startswith(b"\x1f\x8b"):
            return gzip.decompress(body)
        if body.startswith(b"\x28\xb5\x2f\xfd"):
            return _unzstd(body)
        if body.startswith(b"BZh") and body[4:10] == b"1AY&SY":
            return bz2.decompress(body)
        if body.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(body)
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise FileRefused(Code.TRUNCATED_FILE) from error
    return body


def _unzstd(body: bytes) -> bytes:
    content = b""
    while body:
        frame = zstandard.ZstdDecompressor().decompressobj()
        content += frame.decompress(body)
        if not frame.eof:
            raise EOFError
        body = frame.unused_data
    return content


def decoded(content: bytes, declared: str | None = None) -> str:
    """Decode text by its mark, else by the declared encoding. Bytes that the encoding lacks become lone surrogates.

    Raises:
        FileRefused: the text is not UTF-8, and neither a byte order mark nor the contract says what it is; or it is
            UTF-8, and the contract declares an encoding with one byte for a character.
    """
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return content.decode("utf-32", "replace")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if declared is not None and not content.startswith(b"\xef\xbb\xbf"):
        if _has_letters_of_one_byte(declared) and _is_utf_8_beyond_ascii(content):
            raise FileRefused(Code.ENCODING_DIFFERS)
        try:
            return content.decode(declared, "surrogateescape").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise FileRefused(Code.BAD_ENCODING) from error  # UTF-16 that ends inside a character
    if declared is None and len(content) > 3 and len(content) % 2 == 0:
        evens, odds = content[::2], content[1::2]
        for zeros, others in ((odds, evens), (evens, odds)):
            if zeros.count(0) > 0.7 * len(zeros) and others.count(0) == 0:
                raise FileRefused(Code.UNDECLARED_ENCODING)
    text = content.decode("utf-8", "surrogateescape")
    is_utf8 = any(ord(sign) > 127 and not BROKEN_BYTE.match(sign) for sign in text)
    if declared is None and BROKEN_BYTE.search(text) and not is_utf8:
        raise FileRefused(Code.UNDECLARED_ENCODING)
    return text.removeprefix("\ufeff")


@cache
def _has_letters_of_one_byte(encoding: str) -> bool:
    """Whether an encoding has ASCII, and each other byte is a character by itself, if it is one."""
    if _decoded(bytes(range(128)), encoding) != bytes(range(128)).decode("ascii"):
        return False
    others = range(128, 256)
    pairs = [_decoded(bytes([first, second]), encoding) for first in others for second in (0x40, 0xA1)]
    return any(_decoded(bytes([byte]), encoding) for byte in others) and not any(
        len(pair or "  ") == 1 for pair in pairs
    )


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_utf_8_beyond_ascii(content: bytes) -> bool:
    return not content.isascii() and _decoded(content, "utf-8") is not None
