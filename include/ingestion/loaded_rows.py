"""Validated rows as they are loaded, cleaned and with their derived columns, as a relation of the engine.

What belongs here: calculating a derived column and converting it to its column's type. What does not: refusing the
rows for which that fails (`underivable`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.contracts.types import ColumnType
from include.ingestion.readers.parquet_text import MOST_DIGITS, WRITTEN_IN_FULL
from include.ingestion.rules import cleaned, reading_checks, typed, value_checks

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from include.contracts.model import Column, Contract

_FLOATS = {"FLOAT", "DOUBLE"}
# Decimal types within a type. The names of its members are in quotes where they could look like a type.
_DECIMALS = re.compile(r'"(?:[^"]|"")*"|DECIMAL\((\d+),(\d+)\)')


def parquet_rows(path: Path) -> str:
    """A relation of a Parquet file's own columns.

    By default DuckDB reads a folder named `region=eu` above the file as a column, which hides the file's own.
    """
    return f"read_parquet({literal(str(path))}, hive_partitioning = false)"


@dataclass(frozen=True)
class Derivation:
    """A derived column and the DuckDB type of its expression. `is_document`: it gives JSON made of JSON columns.

    A relation has two columns for it: `raw` with the result of the expression, and one with the column's own name and
    the type in which the column is loaded.
    """

    column: Column
    expression_type: str
    is_document: bool = False

    @property
    def source_type(self) -> str:
        """The DuckDB type of `raw`."""
        return "VARCHAR" if self.is_document else self.expression_type

    @property
    def raw(self) -> str:
        """The quoted name of the column with the result of the expression. No file has a column of this name."""
        return quoted(f"derived: {self.column.name}")

    @property
    def value(self) -> str:
        """The raw value in the column's type; null where it cannot be converted."""
        column, raw = self.column, self.raw
        if column.type.is_text:
            return f"{raw}::VARCHAR"
        if column.type.is_document and self.source_type != "VARCHAR":
            return _json_text(raw, self.source_type)
        if self._is_read:
            return typed(column, self._text)
        if column.type.is_double and self._name == "DECIMAL":
            return f"TRY_CAST({self._text} AS DOUBLE)"  # DuckDB's own cast is not exact to the last digit
        return raw if self.source_type == column.carried_type else f"TRY_CAST({raw} AS {column.carried_type})"

    @property
    def broken(self) -> str | None:
        """A condition: the value differs from the raw value, or the column may not have it. None if it never holds."""
        column, value = self.column, quoted(self.column.name)
        conditions = []
        if self._is_read:
            conditions += [check.broken for check in reading_checks(column, self._text, value)]
        elif self.source_type != column.carried_type and not (column.type.is_text or column.type.is_document):
            conditions.append(f"{self._back(value)} IS DISTINCT FROM {self.raw}")
        if column.type.misfit:
            conditions.append(column.type.misfit(value))
        conditions += [check.broken for check in value_checks(column, value)]
        if column.required:
            conditions.append(f"{value} IS NULL")
        return " OR ".join(f"coalesce({condition}, false)" for condition in conditions) or None

    @property
    def _name(self) -> str:
        return self.source_type.partition("(")[0]

    @property
    def _text(self) -> str:
        return self.raw if self.source_type == "VARCHAR" else f"{self.raw}::VARCHAR"

    @property
    def _is_read(self) -> bool:
        """Whether the value is read from a text, as a cell of a file is.

        A double is the number of its shortest text: 0.1 becomes 0.10 in numeric(10,2), and 0.1 + 0.2 fits no scale.
        """
        kind = self.column.type
        if kind.canonical or (kind.has_scale and self._name in _FLOATS):
            return True
        return self.source_type == "VARCHAR" and not kind.is_text

    def _back(self, value: str) -> str:
        """The value converted back to the type of the expression."""
        if self.column.type.is_double and (found := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", self.source_type)):
            number = replace(self.column, type=ColumnType.NUMBER, precision=int(found[1]), scale=int(found[2]))
            return typed(number, f"{value}::VARCHAR")
        return f"TRY_CAST({value} AS {self.source_type})"


def derivations(contract: Contract, connection: duckdb.DuckDBPyConnection) -> list[Derivation]:
    """The contract's derived columns, with the types that their expressions have over validated rows."""
    derived = [column for column in contract.columns if column.derived]
    if not derived:
        return []
    row = ", ".join(f"CAST(NULL AS {c.carried_type}) AS {quoted(c.name)}" for c in contract.source_columns)
    values = ", ".join(f"({column.derived})" for column in derived)
    types = [str(found[1]) for found in connection.execute(f"DESCRIBE SELECT {values} FROM (SELECT {row})").fetchall()]
    has_documents = any(column.type.is_document for column in contract.source_columns)
    found = []
    for column, kind in zip(derived, types, strict=True):
        is_document = has_documents and ("JSON" in kind or (column.type.is_document and kind == "VARCHAR"))
        # DuckDB gives a null without a type the type INTEGER in the next relation.
        found.append(Derivation(column, "INTEGER" if kind == '"NULL"' else kind, is_document))
    return found


def as_loaded(contract: Contract, relation: str, connection: duckdb.DuckDBPyConnection) -> str:
    """A relation of validated rows with cleaned texts and derived columns, as they are loaded."""
    found = derivations(contract, connection)
    rows = with_raw(contract, relation, found)
    if not found:
        return rows
    raws = ", ".join(derivation.raw for derivation in found)
    return f"(SELECT * EXCLUDE ({raws}) FROM {with_values(rows, found)})"


def with_values(rows: str, found: list[Derivation]) -> str:
    """The rows of `with_raw` with their derived columns beside the raw ones."""
    values = ", ".join(f"{derivation.value} AS {quoted(derivation.column.name)}" for derivation in found)
    return f"(SELECT *, {values} FROM {rows})"


def with_raw(contract: Contract, relation: str, found: list[Derivation], *, as_lists: bool = False) -> str:
    """Validated rows with cleaned texts and the raw values of derived columns, with JSON's numbers as they were sent.

    Expressions see the numbers inside JSON columns as texts, so that no digit is lost. Where the result is JSON again,
    these texts have a mark, and are turned back into numbers.

    Args:
        contract: of the rows.
        relation: validated rows.
        found: the contract's derived columns.
        as_lists: each raw value as a list of this one value, which is null where it cannot be calculated.
    """
    rows = cleaned(relation, contract.source_columns)
    respelled = [
        f"{column.type.canonical(quoted(column.name))} AS {quoted(column.name)}"
        for column in contract.source_columns
        if column.type.canonical
    ]
    if respelled:
        rows = f"(SELECT * REPLACE ({', '.join(respelled)}) FROM {rows})"
    documents = [quoted(column.name) for column in contract.source_columns if column.type.is_document]
    if not found or not documents:
        made = [_calculated(derivation, "", as_lists=as_lists) for derivation in found]
        return f"(SELECT *, {', '.join(made)} FROM {rows})" if made else rows
    kept = {name: quoted(f"as sent: {name}") for name in documents}
    rows = f"(SELECT *, {', '.join(f'{name} AS {sent}' for name, sent in kept.items())} FROM {rows})"
    for is_document, mark in ((False, ""), (True, token_hex(8))):
        made = [_calculated(one, mark, as_lists=as_lists) for one in found if one.is_document is is_document]
        if made:
            texts = ", ".join(f"numbers_as_text({sent}, {literal(mark)}) AS {name}" for name, sent in kept.items())
            rows = f"(SELECT *, {', '.join(made)} FROM (SELECT * REPLACE ({texts}) FROM {rows}))"
    back = ", ".join(f"{sent} AS {name}" for name, sent in kept.items())
    return f"(SELECT * EXCLUDE ({', '.join(kept.values())}) REPLACE ({back}) FROM {rows})"


def _calculated(derivation: Derivation, mark: str, *, as_lists: bool) -> str:
    expression = f"({derivation.column.derived})"
    if mark:
        # A list of JSON values must become JSON before it becomes text. JSON and text are used as they are.
        is_text = derivation.expression_type in {"JSON", "VARCHAR"}
        text = f"{expression}::VARCHAR" if is_text else _json_text(expression, derivation.expression_type)
        marked = literal(f'"{mark}([^"]*)"')
        expression = rf"replace(regexp_replace({text}, {marked}, '\1', 'g'), {literal(mark)}, '')"
    return f"{f'TRY([{expression}])' if as_lists else expression} AS {derivation.raw}"


def _json_text(value: str, kind: str) -> str:
    """A value as JSON with all digits of its decimals: see `parquet_text` for how DuckDB writes short decimals."""

    def wider(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        precision, scale = int(found[1]), int(found[2])
        return f"DECIMAL({min(max(precision, scale + 1, WRITTEN_IN_FULL), MOST_DIGITS)},{scale})"

    exact = _DECIMALS.sub(wider, kind)
    return f"to_json({value if exact == kind else f'({value})::{exact}'})::VARCHAR"
