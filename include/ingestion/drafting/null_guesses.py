"""Words that mean that there is no value: those that keep a column from being one of numbers, dates or flags.

What belongs here: which words a draft states as nullValues. What does not: reading them (`csv_fields`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.expressions import literal
from include.ingestion.drafting.number_guesses import values
from include.ingestion.drafting.structure import Guess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

# Words that mean nothing else, in a column of text either.
_ALWAYS = ("NULL", "\\N", "#N/A", "(null)")
WORDS = (
    *_ALWAYS, "null", "N/A", "n/a", "NA", "n.a.", "-", "--", "---", "None", "none", "nan", "NaN", "NAN", "?", "k.A.",
    "nil", ".",
)  # fmt: skip


def detect_nulls(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    is_text: Callable[[str, Sequence[str]], bool],
) -> Guess | None:
    """The option nullValues; None if there are no such words.

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
    chosen: list[str] = []
    for name in names:
        words = [word for word in WORDS if name in counts.get(word, {})]
        if words and not is_text(name, words) and is_text(name, ()):
            chosen += words
    chosen += [word for word in _ALWAYS if word in counts]
    chosen = [word for word in WORDS if word in chosen]
    if not chosen:
        return None
    shown = [
        f"{word!r} is {count:,} of {totals[name]:,} values of {name}"
        for word in chosen
        for name, count in counts[word].items()
    ]
    more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
    return Guess(chosen, f"{', '.join(shown[:4])}{more}")
