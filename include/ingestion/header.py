"""Maps the columns of a file to the columns of the contract."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from include.contracts.column_names import hashed, matching, table_column
from include.contracts.model import Contract, UnknownColumns
from include.contracts.source_names import SourceNames
from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.contracts.model import Column

_SHOWN = 10


@dataclass(frozen=True)
class ColumnMap:
    """The columns of a file in their order: each is a column of the contract, an unknown one to keep, or ignored.

    `names` gives the contract's name by position, None where the column is unknown. `extra` are the unknown
    columns to keep, by position: under their own names if they become columns, else together in `_rescued`. `placed`
    are columns of the contract that the reader of the file finds inside other columns, not by a name. `remainders` are
    columns of which such columns leave something that is kept in `_rescued`.
    """

    given: tuple[str, ...]
    names: tuple[str | None, ...]
    extra: tuple[tuple[int, str], ...]
    evolves: bool
    placed: tuple[str, ...] = ()
    remainders: tuple[tuple[int, str], ...] = ()

    @property
    def added(self) -> dict[str, str]:
        """The columns that the file adds to the table, with the header of each."""
        return {name: self.given[at] for at, name in self.extra} if self.evolves else {}

    @property
    def present(self) -> set[str]:
        """The contract's columns that the file has."""
        return {name for name in self.names if name is not None}.union(self.placed)


def map_columns(
    given: Sequence[str],
    contract: Contract,
    max_columns: int,
    *,
    records_alone: bool = False,
    placed: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> ColumnMap:
    """Match a file's column names with the contract's, by `SourceNames`; their order does not matter.

    Args:
        given: the names in the file.
        contract: what the file should be.
        max_columns: how many a file may have.
        records_alone: the names come from records that are independent of each other, as messages are. Unknown names
            that differ only in case are then kept as they are, unless they become columns.
        placed: the contract's columns that are found by a path, each with the steps of it; none for the key of a
            record. A name with which a path begins is known.

    Raises:
        FileRefusedError: too many, duplicate or missing columns, or unknown ones where the contract refuses them.
    """
    if len(given) > max_columns:
        raise FileRefusedError.for_code(Code.TOO_MANY_COLUMNS, columns=len(given), limit=max_columns)
    wanted = SourceNames.of(contract.columns, placed)
    names = tuple(map(wanted.column_of, given))
    evolves = contract.unknown_columns is UnknownColumns.EVOLVE
    known = [(name, own) for name, own in zip(names, given, strict=True) if name is not None]
    _refuse_duplicates([key for key, _ in known], [own for _, own in known])
    begun = {name for name, steps in placed.items() if records_alone or not steps or steps[0] in given}
    missing = [_called(c) for c in contract.source_columns if c.required and c.name not in begun.union(names)]
    if missing:
        raise FileRefusedError.for_code(Code.MISSING_COLUMNS, missing=_list(missing), given=_list(list(given)))
    entered = {steps[0] for steps in placed.values() if steps}
    unknown = [(at, name) for at, name in enumerate(given) if names[at] is None and name not in entered]
    own_names = [name for _, name in unknown]
    _refuse_duplicates(
        own_names if records_alone and not evolves else [matching(name) for name in own_names], own_names
    )
    refuse_unknown(own_names, contract)
    keep = contract.unknown_columns in {UnknownColumns.RESCUE, UnknownColumns.EVOLVE}
    extra = tuple((at, added_column(name, contract) if evolves else name) for at, name in unknown) if keep else ()
    return ColumnMap(tuple(given), names, extra, evolves, tuple(placed))


def _called(column: Column) -> str:
    return column.name if column.path is None else f"{column.name} (at {column.path})"


def added_column(header: str, contract: Contract) -> str:
    """The name of the table's column for an unknown header: never the name of a column of the contract."""
    name = table_column(header)
    return hashed(name, matching(header)) if name in contract.by_name else name


def unmatched(
    given: Iterable[str], contract: Contract, placed: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> dict[str, Column]:
    """The contract's columns that none of the names matches, without those of `placed`.

    Each is given by a name that files may give it.
    """
    names = SourceNames.of(contract.columns, placed)
    found = set(map(names.column_of, given)).union(placed)
    return {names.header_of(column): column for column in contract.source_columns if column.name not in found}


def count_known(given: Iterable[str], contract: Contract) -> int:
    """How many of the contract's columns a header names."""
    return len(set(map(SourceNames.of(contract.columns).column_of, given)) - {None})


def refuse_nul(given: Sequence[str]) -> None:
    """Raise if a column's name holds a NUL character: PostgreSQL's names and keys of documents cannot have one."""
    if broken := [name for name in given if "\0" in name]:
        raise FileRefusedError.for_code(Code.UNREADABLE_FILE, "nul in header", names=_list(broken))


def _refuse_duplicates(keys: Sequence[str], given: Sequence[str]) -> None:
    """Raise if two names have the same key. `given` are the names as the file has them."""
    count = Counter(keys)
    duplicates = [name for key, name in zip(keys, given, strict=True) if count[key] > 1]
    if not duplicates:
        return
    if alike := sorted(set(duplicates)) if len(set(duplicates)) > len({key for key in keys if count[key] > 1}) else []:
        raise FileRefusedError.for_code(Code.DUPLICATE_COLUMNS, "alike", names=_list(alike))
    raise FileRefusedError.for_code(Code.DUPLICATE_COLUMNS, "equal", names=_list(sorted(set(duplicates))))


def refuse_unknown(unknown: Sequence[str], contract: Contract) -> None:
    """Raise if there are unknown columns and the contract refuses them."""
    if unknown and contract.unknown_columns is UnknownColumns.REJECT:
        raise FileRefusedError.for_code(Code.UNKNOWN_COLUMNS, unknown=_list(list(unknown)))


def _list(names: list[str]) -> str:
    shown = ", ".join(name[:60] or "(without a name)" for name in names[:_SHOWN])
    return (shown or "none") + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
