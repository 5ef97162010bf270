"""The header that each added column of a dataset came from, as stored in `ops.dataset_column`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.column_names import matching
from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.stores.warehouse import Connection

_REMEMBER = """
INSERT INTO ops.dataset_column (dataset, column_name, source_name)
SELECT %s, * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING
"""
_REMEMBERED = """
SELECT column_name, source_name FROM ops.dataset_column
WHERE dataset = %s AND (column_name = ANY(%s) OR source_name = ANY(%s))
"""


def remember_headers(connection: Connection, dataset: str, headers: Mapping[str, str]) -> None:
    """Store the header of each column that a file adds. `headers` maps column to header.

    Raises:
        FileRefusedError: a column belongs to another header, or a header to another column.
    """
    if not headers:
        return
    by_column = _storable(headers)
    connection.execute(_REMEMBER, [dataset, list(by_column), list(by_column.values())])
    check_headers(connection, dataset, headers)


def check_headers(connection: Connection, dataset: str, headers: Mapping[str, str]) -> None:
    """Compare the headers with those that are stored. `headers` maps column to header.

    Raises:
        FileRefusedError: a column belongs to another header, or a header to another column.
    """
    by_column = _storable(headers)
    values = [dataset, list(by_column), list(by_column.values())]
    for column, source in connection.execute(_REMEMBERED, values).fetchall():
        given = by_column.get(column)
        if given is None or matching(given) != matching(source):
            raise FileRefusedError.for_code(
                Code.DUPLICATE_COLUMNS,
                "added",
                column=column,
                dataset=dataset,
                source=source,
                given=given if given is not None else source,
            )


def _storable(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without NUL, which a key of a JSON object may hold and PostgreSQL's text type cannot store."""
    return {column: header.replace("\0", "\ufffd") for column, header in headers.items()}
