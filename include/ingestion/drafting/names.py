"""Names of drafted columns: the header's words in lower case, their Latin letters without accents.

What belongs here: the name that a draft proposes for a header or a path. What does not: which column a header stands
for when a file is read (`include.contracts.source_names`).

No table of other scripts is kept here: their letters stay, and PostgreSQL accepts them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from include.contracts.column_names import MOST_BYTES, SYSTEM_COLUMNS, is_column_name, matching, table_column
from include.contracts.source_names import exact

if TYPE_CHECKING:
    from collections.abc import Iterable

# Letters that are not a base letter with an accent, and those of German, whose accents are letters of their own.
_LATIN = str.maketrans({
    "ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "Ae",
    "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th",
    "Þ": "Th", "\u0131": "i", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T",
})  # fmt: skip


def transliterated(text: str) -> str:
    """The text with Latin letters without accents: ä becomes ae, é becomes e. Letters of other scripts stay."""
    plain = unicodedata.normalize("NFC", text).translate(_LATIN)
    return unicodedata.normalize("NFC", "".join(map(_without_accents, plain)))


def _without_accents(letter: str) -> str:
    base = unicodedata.normalize("NFD", letter)
    return base[0] if base[0].isascii() and base[0].isalpha() else letter


def column_name(words: str) -> str:
    """The name of a column for the words of a header. Other characters than letters and digits separate words."""
    plain = transliterated(words)
    kept = matching("".join(one if unicodedata.category(one)[0] in "LMN" else "_" for one in plain))
    if not kept[:1].isalpha() or kept in SYSTEM_COLUMNS:
        kept = f"column_{kept}".rstrip("_")
    return kept if is_column_name(kept) else table_column(words)


def unique_names(words: Iterable[str]) -> list[str]:
    """A name for each header, none of them twice: the second `price` becomes `price_2`."""
    found: list[str] = []
    taken: Counter[str] = Counter()
    for header in words:
        name = base = column_name(header)
        while name in taken:
            taken[base] += 1
            ending = f"_{taken[base]}"
            name = base.encode()[: MOST_BYTES - len(ending)].decode(errors="ignore") + ending
        taken[name] += 1
        found.append(name)
    return found


def needs_source_name(header: str, name: str, headers: Iterable[str]) -> bool:
    """Whether the column is not found by its name alone: the header has other letters, or another one is like it."""
    if not exact(header):
        return False
    return matching(header) != name or sum(matching(other) == name for other in headers) > 1


def dataset_name(file_name: str) -> str:
    """The name of a dataset for a file's name, without endings, dates and counters: `sales_2026-11.csv.gz` is sales.

    Empty if nothing is left that can be one.
    """
    stem = file_name.partition(".")[0]
    words = matching("".join(one if one.isalnum() else "_" for one in transliterated(stem))).split("_")
    kept = [word for word in words if word.isascii() and word.isalnum()]
    while kept and not kept[0][:1].isalpha():
        kept.pop(0)
    while len(kept) > 1 and kept[-1].isdigit():
        kept.pop()
    return "_".join(kept)[:50].rstrip("_")
