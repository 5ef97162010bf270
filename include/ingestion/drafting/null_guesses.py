"""Words that mean that there is no value: those that keep a column from being one of numbers, dates or flags.

What belongs here: which words a draft states as nullValues. What does not: reading them (`csv_fields`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.contracts.expressions import literal
from include.ingestion.drafting.number_guesses import values
from include.ingestion.drafting.structure import Guess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import duckdb

# Words that mean nothing else, in a column of text either.
_ALWAYS = ("NULL", "\\N", "#N/A", "(null)")
WORDS = (
    *_ALWAYS, "null", "N/A", "n/a", "NA", "n.a.", "-", "--", "---", "None", "none", "nan", "NaN", "NAN", "?", "k.A.",
    "nil", ".",
)  # fmt: skip


@dataclass(frozen=True)
class Nulls:
    """The option nullValues, None without one, and by column why it is text: which values it loses or keeps."""

    guess: Guess | None = None
    notes: dict[str, str] = field(default_factory=dict)


def detect_nulls(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    is_text: Callable[[str, Sequence[str]], bool],
) -> Nulls:
    """The words that mean no value.

    Args:
        connection: with the table `sample`, whose columns are texts.
        names: of its columns.
        is_text: whether a column is one of text, if these words are none of its values.
    """
    counts: dict[str, dict[str, int]] = {}
    totals: dict[str, int] = {}
    for name in names:
        listed = ", ".join(map(literal, WORDS))
        rows = connection.execute(
            f"SELECT v, count(*) FROM ({values(name)}) WHERE v IN ({listed}) GROUP BY v"
        ).fetchall()
        for word, count in rows:
            counts.setdefault(word, {})[name] = count
        row = connection.execute(f"SELECT count(v) FROM ({values(name)})").fetchone()
        totals[name] = row[0] if row else 0
    wanted: dict[str, list[str]] = {}
    for name in names:
        words = [word for word in WORDS if name in counts.get(word, {})]
        if words and not is_text(name, words) and is_text(name, ()):
            wanted[name] = words
    chosen = {word for words in wanted.values() for word in words} | {word for word in _ALWAYS if word in counts}
    codes = {word: _columns_of_codes(connection, counts[word], word) for word in chosen}
    notes = {
        name: f"text because of {word!r}: it is no word of nullValues, as {codes[word][0]} has it among codes like it"
        for name, words in wanted.items()
        for word in words
        if codes[word]
    }
    chosen = {word for word in chosen if not codes[word]}
    if not chosen:
        return Nulls(None, notes)
    found = [
        (name in wanted, f"{word!r} is {count:,} of {totals[name]:,} values of {name}")
        for word in WORDS
        if word in chosen
        for name, count in counts[word].items()
    ]
    shown = [text for _, text in sorted(found, key=lambda one: one[0])]
    for name in names:
        emptied = {word: counts[word][name] for word in WORDS if word in chosen and name in counts[word]}
        if emptied and name not in wanted:
            which = ", ".join(map(repr, emptied))
            count = sum(emptied.values())
            notes[name] = f"{count:,} of {totals[name]:,} values become empty, as nullValues has {which}"
    more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
    return Nulls(Guess([word for word in WORDS if word in chosen], f"{', '.join(shown[:4])}{more}"), notes)


def _columns_of_codes(connection: duckdb.DuckDBPyConnection, names: Iterable[str], word: str) -> list[str]:
    """The columns in which a word of two letters stands among other codes of two letters, as NA (Namibia) among DE."""
    if not re.fullmatch("[A-Z]{2}", word):
        return []
    found = []
    for name in names:
        others = f"FROM ({values(name, [word])}) WHERE v IS NOT NULL"
        row = connection.execute(f"SELECT bool_and(regexp_full_match(v, '[A-Z]{{2}}')) {others}").fetchone()
        if row and row[0]:
            found.append(name)
    return found
