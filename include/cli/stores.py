"""The warehouse as a command reads it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from include.cli.platform_access import use_platform
from include.command_errors import explained
from include.settings import store_settings
from include.stores.sql_text import statement
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.stores.warehouse import Connection


def query(name: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
    """The rows of sql/statements/<name>.sql, in a session that may only read.

    Raises:
        SystemExit: the warehouse does not answer or refuses.
    """
    with reading() as connection:
        return connection.cursor(row_factory=dict_row).execute(statement(name), values).fetchall()


@contextmanager
def reading() -> Iterator[Connection]:
    """A session that may only read.

    Raises:
        SystemExit: the warehouse does not answer or refuses.
    """
    use_platform()
    with explained(), connect(store_settings().warehouse()) as connection, warehouse_errors():
        connection.execute(b"SET default_transaction_read_only = on")
        yield connection
