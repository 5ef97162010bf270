"""Finds a key that identifies rows, or says that there is no credible one.

What belongs here: which columns can be a key. What does not: their types (`profile`).

A wrong key makes rows disappear: a later file replaces them. So a column must be called like one that identifies rows,
or be the first one of the table, and several columns need one that is called so or have all combinations. Money,
measures, descriptions and single times are never a key, however unique they are in a sample.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

from include.contracts.expressions import quoted
from include.ingestion.drafting.name_words import MEASURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from include.ingestion.drafting.profile import ColumnProfile

_KEY_CANDIDATES = 8
_LONGEST_KEY = 64
_LEAST_GRID = 4  # rows
_KEY_NAME = re.compile(
    r"(^|_)(id|ids|key|code|no|nr|num|number|nummer|uuid|guid|sku|ean|gtin|isbn|reference|ref|serial|artikelnummer|"
    r"\w+nummer|\w+nr|numero|kod|codigo)$"
)
# Words of names and descriptions, and of accounts, which several rows may be about.
_TEXT = re.compile(
    r"(^|_)(name|title|description|desc|comment|comments|note|notes|remark|remarks|text|message|body|subject|summary|"
    r"address|street|city|iban|bic|email|mail|phone|url|status|type|kategorie|category|bezeichnung|beschreibung|"
    r"bemerkung|buchungstext|verwendungszweck|zweck|empfaenger|auftraggeber|strasse|ort|stadt|adresse|titel|nom|libelle|"
    r"nombre|descripcion|opis|nazwa)(_[a-z]{1,4})?$|(name|text|zweck)$"
)
# Codes of banks and of texts: several rows have the same.
_NO_KEY_CODE = re.compile(
    r"((^|_)(bic|swift|iban|name|text|purpose|zweck|verwendungszweck|buchungstext|comment|description|note|title|email|"
    r"currency|waehrung)(_\w+)?_|(^|_)(bic|swift|iban|name|text|purpose))(code|kod|codigo)$"
)


@dataclass(frozen=True)
class Key:
    """The columns of the key, in their order; none if every row is to be appended. `reason` is the evidence."""

    columns: tuple[str, ...]
    reason: str


def propose_key(connection: duckdb.DuckDBPyConnection, columns: Sequence[ColumnProfile]) -> Key:
    """The key of the table `sample`: one column, else two or three, all of them credible and unique together."""
    rows = columns[0].rows if columns else 0
    record_key = next((one for one in columns if one.column.source.is_key), None)
    if record_key is not None and record_key.distinct == rows:
        return Key((record_key.name,), f"the {rows:,} keys of the records are different")
    able = [one for one in columns if may_be_key(one)]
    able.sort(key=lambda one: not is_named_as_key(one))
    singles = [one for one in able if is_named_as_key(one) or (one.column.source.is_first and not one.type.is_temporal)]
    for one in singles:
        if one.distinct == rows:
            return Key((one.name,), f"{rows:,} different values in {rows:,} rows; is it unique for ever?")
    for size in (2, 3):
        for group in combinations(able[:_KEY_CANDIDATES], size):
            if _is_credible(group, rows) and _distinct(connection, group) == rows:
                chosen = {one.name for one in group}
                reason = f"{rows:,} different combinations in {rows:,} rows; are they unique for ever?"
                return Key(tuple(one.name for one in columns if one.name in chosen), reason)
    return Key((), _why_none(singles, rows))


def _why_none(singles: Sequence[ColumnProfile], rows: int) -> str:
    named = [one for one in singles if is_named_as_key(one)]
    if not named:
        return "no column looks like a key, so each row is appended and none is ever replaced"
    best = max(named, key=lambda one: one.distinct)
    found = f"{best.name} has {best.distinct:,} different values in {rows:,} rows"
    return f"no column looks like a key ({found}), so each row is appended and none is ever replaced"


def may_be_key(column: ColumnProfile) -> bool:
    """Whether a column can be part of a key: it is no money, measure, name or description, and has no nulls."""
    if (
        _NO_KEY_CODE.search(column.name)
        or column.has_nulls
        or not (column.type.draft.may_be_key and column.type.may_be_key)
    ):
        return False
    if column.type.has_scale and column.scale > 0:
        return False
    if column.type.is_text and (column.has_blanks or column.longest > _LONGEST_KEY):
        return False
    if is_named_as_key(column):
        return True
    is_first = column.column.source.is_first
    is_named_otherwise = MEASURE.search(column.name) or _TEXT.search(column.name)
    # A number without a key's name is most likely a measure, except in the first column of a table.
    return not is_named_otherwise and (is_first or not column.type.is_number)


def is_named_as_key(column: ColumnProfile) -> bool:
    """Whether its name is one of a column that identifies rows."""
    is_other = _NO_KEY_CODE.search(column.name) or (MEASURE.search(column.name) and column.type.has_scale)
    return _KEY_NAME.search(column.name) is not None and not is_other


def _is_credible(group: Sequence[ColumnProfile], rows: int) -> bool:
    """Whether columns together look like a key: one is called so, or they have all combinations of their values."""
    if any(map(is_named_as_key, group)):
        return True
    is_grid = prod(one.distinct for one in group) == rows and all(1 < one.distinct < rows for one in group)
    return is_grid and rows >= _LEAST_GRID


def _distinct(connection: duckdb.DuckDBPyConnection, group: Sequence[ColumnProfile]) -> int:
    names = ", ".join(quoted(one.name) for one in group)
    row = connection.execute(f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM sample)").fetchone()
    return row[0] if row else 0
