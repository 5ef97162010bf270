"""The encodings that a contract may declare.

What belongs here: which of Python's codecs they are. What does not: decoding (`include.ingestion.readers.plain_lines`).

No two of an encoding's characters become one when they are decoded. Left out: codecs that are not character encodings
(unicode_escape, idna), those whose bytes mean something else after an escape sequence (utf_7, hz, iso2022_*), and those
in which Python gives several characters the same code (cp875, cp1006).
"""

from __future__ import annotations

import codecs

# Without the order of bytes, UTF-16 and UTF-32 have a byte order mark, and need no declaration.
_UNICODE = ("utf_8", "utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be")
# With one byte for a character, of which ASCII's are the same.
_SINGLE_BYTE = (
    "ascii", "cp437", "cp720", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860", "cp861",
    "cp862", "cp863", "cp865", "cp866", "cp869", "cp874", "cp1125", "cp1250", "cp1251", "cp1252", "cp1253",
    "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "hp_roman8", "iso8859_1", "iso8859_2", "iso8859_3", "iso8859_4",
    "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "iso8859_9", "iso8859_10", "iso8859_11", "iso8859_13",
    "iso8859_14", "iso8859_15", "iso8859_16", "koi8_r", "koi8_t", "koi8_u", "kz1048", "mac_croatian", "mac_cyrillic",
    "mac_greek", "mac_iceland", "mac_latin2", "mac_roman", "mac_romanian", "mac_turkish", "ptcp154", "tis_620",
)  # fmt: skip
_EBCDIC = ("cp037", "cp273", "cp424", "cp500", "cp1026", "cp1140")
_MULTI_BYTE = ("big5", "big5hkscs", "cp932", "cp949", "cp950", "euc_jis_2004", "euc_jisx0213", "euc_jp", "euc_kr",
               "gb18030", "gb2312", "gbk", "johab", "shift_jis", "shift_jis_2004", "shift_jisx0213")  # fmt: skip


def _canonical(name: str) -> str:
    return codecs.lookup(name).name


_ALLOWED = {_canonical(name): name for name in (*_UNICODE, *_SINGLE_BYTE, *_EBCDIC, *_MULTI_BYTE)}
_LIKE_ASCII = {_canonical(name) for name in _SINGLE_BYTE}
_SHOWN = ("utf-8", "cp1252", "cp1250", "cp1251", "iso8859-15", "cp437", "utf-16-le", "gb18030", "cp932")


def encoding_named(name: str) -> str | None:
    """The canonical name of an encoding that a contract may declare, by one of its names; None for any other."""
    try:
        found = _canonical(name.strip())
    except (LookupError, ValueError):
        return None
    found = "utf-8" if found == "utf-8-sig" else found
    return found if found in _ALLOWED else None


def keeps_ascii(encoding: str) -> bool:
    """Whether each byte is a character of its own, and those of ASCII are the same; by the canonical name."""
    return encoding in _LIKE_ASCII


def has_own_letters(encoding: str) -> bool:
    """Whether an encoding keeps ASCII and has other characters of one byte; by the canonical name."""
    return keeps_ascii(encoding) and encoding != "ascii"


def shown_encodings() -> str:
    """Some of the encodings, for messages."""
    return ", ".join(_SHOWN)
