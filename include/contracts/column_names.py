"""Names of columns: which column a header stands for, and the name of a column in the table.

What belongs here: names alone. What does not: a file's header as a whole (`include/ingestion/header.py`).

Two headers are the same column if they differ only in case, spaces, dashes and underscores. Every other difference
makes another column: where the name cannot show it, the name gets the header's hash, so headers never share a column.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

MOST_BYTES = 63  # of a name in PostgreSQL
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_SEPARATORS = re.compile(r"[\s_\-\u00ad\u058a\u05be\u2010-\u2015\u2212\ufe58\ufe63\uff0d]+")
_HASHED = re.compile(r"_[0-9a-f]{8}")
_AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def matching(name: str) -> str:
    """A column's name as it is compared: NFC, lower case, words separated by one underscore."""
    lowered = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip("\ufeff")).lower())
    return _SEPARATORS.sub("_", lowered.strip()).strip("_")


def table_column(header: str) -> str:
    """The table's column name for a header: letters and digits of any script, and underscores, at most 63 bytes.

    A header with other characters, or a longer one, gets eight digits of its hash.
    """
    name = matching(header)
    kept = matching("".join(char if _is_word(char) else "_" for char in name))
    if not kept[:1].isalpha() or kept in SYSTEM_COLUMNS:
        kept = f"column_{kept}".rstrip("_")
    is_plain = kept in {name, f"column_{name}".rstrip("_")} and len(kept.encode()) <= MOST_BYTES
    # A plain name that this function would make of another header gets a hash too.
    if is_plain and not _looks_made(name):
        return kept
    return hashed(kept, name)


def hashed(name: str, source: str) -> str:
    """A name with eight digits of the hash of `source`, shortened to fit."""
    digits = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:8]
    room = MOST_BYTES - len(digits) - 1
    shortened = name.encode()[:room].decode(errors="ignore").rstrip("_")
    return unicodedata.normalize("NFC", f"{shortened}_{digits}")


def is_column_name(name: str) -> bool:
    """Whether a contract may give a column this name: lower-case letters of any script, digits and underscores.

    Names that begin with an underscore are the pipeline's; those of `SYSTEM_COLUMNS` exist in every PostgreSQL table.
    """
    return (
        name not in SYSTEM_COLUMNS
        and 0 < len(name.encode(errors="replace")) <= MOST_BYTES
        and name[0].isalpha()
        and all(map(_is_word, name))
        and name == unicodedata.normalize("NFC", name.lower())
    )


def avro_name(name: str) -> str:
    """The name of a column's field in Avro, which allows only ASCII letters, digits and underscores."""
    if _AVRO_NAME.fullmatch(name):
        return name
    ascii_part = re.sub("[^a-z0-9]+", "_", name).strip("_")
    return hashed(ascii_part if ascii_part[:1].isalpha() else f"column_{ascii_part}".rstrip("_"), name)


def _is_word(char: str) -> bool:
    """Whether a character is part of a word: a letter, a mark on one, a digit, or an underscore."""
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def _looks_made(name: str) -> bool:
    """Whether a header looks like a name that this module makes: with a hash at its end, or the prefix."""
    made = name.removeprefix("column").removeprefix("_") if name.startswith("column") else None
    prefixed = made is not None and (not made or not made[0].isalpha() or made in SYSTEM_COLUMNS)
    return bool(_HASHED.fullmatch(name[-9:])) or prefixed
