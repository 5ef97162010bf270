"""The reader of a source of each kind, from its definition and its Airflow connection.

DAG files import this module, so each engine is imported when it is opened.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from include.orchestration.stores import api_url
from include.sources.database.definition import DatabaseSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Connection

    from include.contracts.model import Contract
    from include.sources.definition import RestSource
    from include.sources.listing import Element, Listing, Position, Traffic


class Reader(Protocol):
    """Reads an element of a source."""

    def read(self, element: Element, position: Position, sink: Any, full_run: str = "", /) -> Listing:
        """Read from a position on, into the spool of the kind; `full_run` is the id of a run that reads everything."""


@contextmanager
def open_reader(
    source: RestSource | DatabaseSource, contract: Contract, connection: Connection, traffic: Traffic
) -> Iterator[Reader]:
    """The reader of a source.

    Args:
        source: the definition.
        contract: of its dataset.
        connection: address and login.
        traffic: is filled by the reader.

    Raises:
        PermanentError: the connection cannot be used.
    """
    if isinstance(source, DatabaseSource):
        from include.sources.database.connection import DatabaseConnection
        from include.sources.database.reading import DatabaseReader

        given = {
            name: getattr(connection, name) for name in ("conn_type", "host", "port", "login", "password", "schema")
        }
        database = DatabaseConnection.of(source.connection, given | {"extra": connection.extra_dejson})
        yield DatabaseReader(source, database, traffic)
        return
    from include.sources.rest.auth import ApiConnection
    from include.sources.rest.client import RestClient
    from include.sources.rest.reading import RestReader

    api = ApiConnection(api_url(connection), connection.login or "", SecretStr(connection.password or ""))
    with RestClient(source, api, traffic) as client:
        yield RestReader(client, contract)
