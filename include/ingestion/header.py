"""Which column of a file is which column of the contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.contracts.model import Contract, UnknownColumns
from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 10
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


@dataclass(frozen=True)
class ColumnMap:
    """The columns of a file in their order: each either a contract's column, an unknown one, or left aside.

    `names` gives the contract's name by position, None where the column is unknown. `extra` are the unknown
    columns to keep, by position: under their own names if they become columns, else together in `_rescued`.
    """

    given: tuple[str, ...]
    names: tuple[str | None, ...]
    extra: tuple[tuple[int, str], ...]
    evolves: bool

    @property
    def present(self) -> set[str]:
        """The contract's columns that the file has."""
        return {name for name in self.names if name is not None}


def map_columns(given: Sequence[str], contract: Contract, max_columns: int) -> ColumnMap:
    """Match a file's column names with the contract's: order, case, spaces and dashes do not matter.

    Raises:
        FileRefusedError: too many, doubled or missing columns, or unknown ones where the contract refuses them.
    """
    if len(given) > max_columns:
        raise FileRefusedError(
            Code.TOO_MANY_COLUMNS,
            f"The file has {len(given):,} columns; the limit is {max_columns}.",
            "Send the contract's columns only, or raise INGEST_MAX_COLUMNS.",
        )
    wanted = {normalised(column.name): column.name for column in contract.source_columns}
    names = tuple(wanted.get(normalised(name)) for name in given)
    # An unknown column is kept under its own name, unless it becomes a column of the table.
    evolves = contract.unknown_columns is UnknownColumns.EVOLVE
    keys = [name or (normalised(own) if evolves else own) for name, own in zip(names, given, strict=True)]
    _refuse_doubled([key if name else None for key, name in zip(keys, names, strict=True)], given)
    missing = [c.name for c in contract.source_columns if c.required and c.name not in names]
    if missing:
        raise FileRefusedError(
            Code.MISSING_COLUMNS,
            f"Required columns are missing: {_list(missing)}. The file has: {_list(list(given))}.",
            "Add them, with a header line if there was none.",
        )
    _refuse_doubled(keys, given, become_columns=evolves)
    unknown = [(position, name) for position, name in enumerate(given) if names[position] is None]
    refuse_unknown([name for _, name in unknown], contract)
    keep = contract.unknown_columns in {UnknownColumns.RESCUE, UnknownColumns.EVOLVE}
    extra = tuple((at, normalised(name) if evolves else name) for at, name in unknown) if keep else ()
    return ColumnMap(tuple(given), names, extra, evolves)


def refuse_nul(given: Sequence[str]) -> None:
    """Raise if a column's name holds a NUL character, which no name and no key of a document may have."""
    if broken := [name for name in given if "\0" in name]:
        raise FileRefusedError(
            Code.UNREADABLE_FILE,
            f"The header cannot be read: names of columns hold a NUL character: {_list(broken)}.",
            "Write the header anew.",
        )


def _refuse_doubled(keys: Sequence[str | None], given: Sequence[str], *, become_columns: bool = False) -> None:
    doubled = sorted({name for name, key in zip(given, keys, strict=True) if key is not None and keys.count(key) > 1})
    if become_columns and len(doubled) > len({key for name, key in zip(given, keys, strict=True) if name in doubled}):
        raise FileRefusedError(
            Code.DUPLICATE_COLUMNS,
            f"Columns of the file would become one column of the table: {_list(doubled)}.",
            "Give each a name of its own that differs in ASCII letters or digits, within 63 of them.",
        )
    if doubled:
        raise FileRefusedError(
            Code.DUPLICATE_COLUMNS,
            f"Columns stand twice in the file: {_list(doubled)}.",
            "Give each a name of its own.",
        )


def refuse_unknown(unknown: Sequence[str], contract: Contract) -> None:
    """Raise if there are unknown columns and the contract refuses them."""
    if unknown and contract.unknown_columns is UnknownColumns.REJECT:
        raise FileRefusedError(
            Code.UNKNOWN_COLUMNS,
            f"The contract does not know these columns: {_list(list(unknown))}.",
            "Remove them, or add them to the contract.",
        )


def normalised(name: str) -> str:
    """A column name as it is compared: lower case, words joined by underscores, no name that PostgreSQL keeps."""
    name = re.sub(r"[^0-9a-z]+", "_", name.strip().strip("\ufeff").casefold()).strip("_")
    return f"column_{name}" if not name or name[0].isdigit() or name in _SYSTEM_COLUMNS else name[:63]


def _list(names: list[str]) -> str:
    shown = ", ".join(name[:60] or "(without a name)" for name in names[:_SHOWN])
    return (shown or "none") + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
