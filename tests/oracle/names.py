"""Names of columns, by the rules of docs/values.md, implemented a second time.

What belongs here: when two headers name the same column, and the name of a column of the table. What does not: values.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from include.contracts.model import Column

_DASHES = "-\u00ad\u058a\u05be\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_RESERVED = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")


def letters(header: str) -> str:
    """The normalised form for comparing headers: words in lower case, as NFC, with one underscore between them."""
    text = unicodedata.normalize("NFC", header.strip("\ufeff")).lower()
    words = "".join(" " if sign in _DASHES or sign == "_" or sign.isspace() else sign for sign in text).split()
    return unicodedata.normalize("NFC", "_".join(words))


def column_named(header: str, columns: Iterable[Column]) -> Column | None:
    """The contract's column that a header names: by the exact words of a source name, else by its own name."""
    words = unicodedata.normalize("NFC", header.strip("\ufeff").strip())
    sent = list(columns)
    for one in sent:
        if words in [unicodedata.normalize("NFC", alias.strip("\ufeff").strip()) for alias in one.source_names]:
            return one
    return next((one for one in sent if letters(one.name) == letters(header)), None)


def column(header: str, taken: Container[str] = ()) -> str:
    """The name of the table's column for an unknown header; never one of the `taken` names."""
    own = letters(header)
    name = letters("".join(sign if unicodedata.category(sign)[0] in ("L", "M", "N") else " " for sign in own))
    prefixed = name in _RESERVED or not name or not name[0].isalpha()
    name = "_".join(filter(None, ("column", name))) if prefixed else name
    faithful = name in (own, "_".join(filter(None, ("column", own))))
    if faithful and not _reads_as_made(own) and len(name.encode()) <= 63 and name not in taken:
        return name
    digits = hashlib.sha256(own.encode()).hexdigest()[:8]
    while len(name.encode()) > 54:
        name = name[:-1]
    return unicodedata.normalize("NFC", f"{name.rstrip('_')}_{digits}")


def _reads_as_made(own: str) -> bool:
    """Whether a header looks like a name that is generated for another header."""
    *_, last = own.split("_")
    if "_" in own and len(last) == 8 and all(sign in "0123456789abcdef" for sign in last):
        return True
    first, _, remainder = own.partition("_")
    if not own.startswith("column"):
        return False
    remainder = remainder if first == "column" else own[len("column") :]
    return not remainder or not remainder[0].isalpha() or remainder in _RESERVED
