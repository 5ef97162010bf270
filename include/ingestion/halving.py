"""Finds by bisection the rows for which a contract's expression raises an error that DuckDB's `TRY` does not catch."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from include.contracts.expressions import VALUE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

Answer = TypeVar("Answer")


def by_halves(
    rows: pa.Table, ask: Callable[[pa.Table], list[Answer]], of_one: Callable[[pa.Table], Answer]
) -> list[Answer]:
    """An answer for each row, in their order.

    Args:
        rows: any number of rows.
        ask: answers for all rows of a table at once, or raises one of `VALUE_ERRORS`.
        of_one: the answer for a single row for which `ask` raises.
    """
    try:
        return ask(rows)
    except VALUE_ERRORS:
        if rows.num_rows <= 1:
            return [of_one(rows)] * rows.num_rows
    half = rows.num_rows // 2
    return by_halves(rows.slice(0, half), ask, of_one) + by_halves(rows.slice(half), ask, of_one)
