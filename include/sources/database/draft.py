"""Drafts the contract of a table from the database's catalogue, with every guess marked REVIEW.

What belongs here: the YAML. What does not: reading the catalogue (`postgres`, `mysql`). No row is read: a contract of
examples would hold personal data.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from include.contracts.model import APPEND_KEY
from include.contracts.source_names import exact
from include.contracts.types import TYPES, ColumnType
from include.ingestion.drafting.contract_text import opening_lines
from include.ingestion.drafting.names import unique_names
from include.sources.database.columns import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.sources.database.columns import TableColumn

_NEWEST = re.compile(r"(updat|modif|chang|version|edited|geaendert|aenderung)", re.IGNORECASE)
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def table_contract(dataset: str, relation: str, columns: Sequence[TableColumn]) -> str:
    """The YAML of a contract for the rows of a table.

    Args:
        dataset: its name.
        relation: the table with its schema, as comments name it.
        columns: of the table.
    """
    names = dict(zip((column.name for column in columns), unique_names(column.name for column in columns), strict=True))
    keys = key_of(columns)
    lines = [
        f"# Drafted from the table {_comment(relation)}: {len(columns)} columns. No row was read.",
        *opening_lines(dataset),
        *_key_lines(keys, columns, names),
        f"      filePatterns: [{_text(f'{dataset}*.parquet')}]",
        "      unknownColumns: rescue  # or reject, ignore, evolve",
        "      errorBudget: {rows: 0, share: 0}  # one bad row quarantines its file; 0.01 allows one in 100",
        "schema:",
        f"  - name: {dataset}",
        "    physicalType: table",
        f"    description: {_text(f'TODO one row of {relation} is ...')}  # REVIEW",
        "    properties:",
    ]
    for column in columns:
        lines += _property(column, names[column.name], len(keys), relation)
    return "\n".join(lines) + "\n"


def newest_column(columns: Sequence[TableColumn]) -> TableColumn | None:
    """The column that looks like the time of a row's last change; None without one, or without a primary key."""
    moments = [one for one in columns if one.cursor in {"instant", "time"} and _NEWEST.search(one.name)]
    return min(moments, key=lambda column: column.nullable) if moments and key_of(columns) else None


def _key_lines(keys: Sequence[TableColumn], columns: Sequence[TableColumn], names: dict[str, str]) -> list[str]:
    if not keys:
        return [
            f"      key: [{', '.join(APPEND_KEY)}]  # REVIEW the table has no primary key: rows are appended,",
            "      # all of them again whenever the table has changed: those of the newest _file_id are the table;",
            "      # or mark what identifies a row with primaryKey: true and required: true, and remove the line key",
        ]
    newest = newest_column(columns)
    lines = ["      # REVIEW mode: snapshot  (deletes rows that a full read lacks; not with incremental)"]
    if newest is not None:
        return [f"      newestBy: {names[newest.name]}  # REVIEW of rows with one key the latest value wins", *lines]
    return ["      # REVIEW newestBy: updated_at  (which column says that a row is newer?)", *lines]


def _property(column: TableColumn, name: str, keys: int, relation: str) -> list[str]:
    kind = _type_of(column)
    physical, note = kind.physical[0], ""
    if kind.has_scale:
        found = _DECIMAL.fullmatch(column.declared)
        assert found is not None  # noqa: S101 - only decimals have a scale
        physical = f"{physical}({found[1]},{found[2]})"
        note = "" if column.exact is not None else "  # REVIEW is that wide enough? others are refused"
    about = column.comment or f"TODO{'' if name == column.name else f' (in the table: {column.name})'}"
    lines = [
        f"      - name: {name}",
        f"        description: {_text(about)}" + ("" if column.comment else "  # REVIEW"),
        f"        logicalType: {kind.logical[0]}  # REVIEW {_comment(column.type_name)} in {_comment(relation)}",
        f"        physicalType: {physical}{note}",
    ]
    if column.key_position:
        lines.append("        primaryKey: true  # REVIEW the table's primary key")
        if keys > 1:
            lines.append(f"        primaryKeyPosition: {column.key_position}")
    if not column.nullable or column.key_position:
        lines.append("        required: true  # REVIEW NOT NULL in the table")
    if not exact(column.name) or name != column.name:
        lines += ["        customProperties:", f"          - {{property: sourceName, value: {_text(column.name)}}}"]
    return lines


def _type_of(column: TableColumn) -> ColumnType:
    found = (kind for kind in TYPES.values() if kind.draft and re.fullmatch(kind.draft.declared, column.declared))
    return next(found, ColumnType.TEXT)


def _text(value: str) -> str:
    """A YAML text, quoted as in JSON: safe for any content."""
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _comment(value: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
