"""The online store of features: how Feast keeps an entity's values in PostgreSQL, and a client that reads them.

Feast itself cannot be imported here: it needs another major version of pandas, and 500 MB. So this module reads Feast's
tables with its own SQL. A test compares it with Feast's client.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

PROJECT = "filegate"
SCHEMA = "online"
# Of feature_store.yaml: older values do not count.
TTL = timedelta(days=2)

_CONNECT_SECONDS = 5
_STATE_SECONDS = 10.0
_STRING = 2  # Feast's number of the type
_NOT_SET = "no features are served: set ML_API_ONLINE_STORE to the database `feast` and start this service again"
_DOWN = "the online store of features does not answer: see that PostgreSQL runs, and at the log of this service"
_EMPTY = "the online store is empty: the DAG materialize_features fills it (first `filegate feast setup`)"

Value = str | int | float | bool | None


class OnlineStoreError(Exception):
    """The store cannot be read now. The text says what to do."""


class UnknownViewError(Exception):
    """The online store has no such view. The text names those that it has."""


@dataclass(frozen=True)
class _View:
    key: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class OnlineFeatures:
    """The newest features of an entity.

    Attributes:
        at: T: they know the rows of raw tables before this time.
        values: every feature of the view by name; None where it has no value.
    """

    at: datetime
    values: dict[str, Value]


class OnlineStore:
    """Reads features. For the event loop only; requests take turns on one connection, since each takes a millisecond.

    Args:
        address: as libpq reads it; empty if no features are served.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._views: dict[str, _View] = {}
        self._read_at = float("-inf")

    async def features(self, view: str, entity: str) -> OnlineFeatures | None:
        """The features of an entity, or None if it has none that are new enough.

        Raises:
            UnknownViewError: there is no such view.
            OnlineStoreError: the store does not answer, or is not configured.
        """
        if not self._address:
            raise OnlineStoreError(_NOT_SET)
        async with self._turn:
            try:
                return await self._found(view, entity)
            except psycopg.OperationalError:  # the server may have been started again since the last request
                await self._close()
            except psycopg.Error as error:
                await self._close()
                raise OnlineStoreError(_DOWN) from error
            try:
                return await self._found(view, entity)
            except psycopg.Error as error:
                await self._close()
                raise OnlineStoreError(_DOWN) from error

    async def _found(self, view: str, entity: str) -> OnlineFeatures | None:
        connection = await self._connected()
        known = (await self._known(connection)).get(view)
        if known is None:
            raise UnknownViewError(f"there is no view {view!r} in the online store; it has {', '.join(self._views)}")
        query = sql.SQL("SELECT feature_name, value, event_ts FROM {} WHERE entity_key = %s AND event_ts >= now() - %s")
        table = sql.Identifier(SCHEMA, f"{PROJECT}_{view}")
        cursor = await connection.execute(query.format(table), (entity_key(known.key, entity), TTL))
        rows = await cursor.fetchall()
        if not rows:
            return None
        values = {name: decoded(bytes(value)) for name, value, _ in rows}
        return OnlineFeatures(max(at for _, _, at in rows), {name: values.get(name) for name in known.features})

    async def _known(self, connection: psycopg.AsyncConnection[Any]) -> dict[str, _View]:
        """The views of the store, read every few seconds."""
        if monotonic() >= self._read_at + _STATE_SECONDS:
            try:
                cursor = await connection.execute(
                    "SELECT view, join_key, features FROM online.materialized_view ORDER BY view"
                )
            except psycopg.errors.UndefinedTable as error:
                raise OnlineStoreError(_EMPTY) from error
            self._views = {view: _View(key, tuple(names)) for view, key, names in await cursor.fetchall()}
            self._read_at = monotonic()
        return self._views

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._address, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="ml-api",
                options="-c timezone=UTC",
            )  # fmt: skip
        return self._connection

    async def _close(self) -> None:
        connection, self._connection, self._read_at = self._connection, None, float("-inf")
        if connection is not None:
            await connection.close()


def entity_key(name: str, value: str) -> bytes:
    """An entity with one join key as Feast writes it (version 3): names, then values, each with type and length."""
    key, text = name.encode(), value.encode()
    return b"".join((
        struct.pack("<I", 1), struct.pack("<II", _STRING, len(key)), key, struct.pack("<II", _STRING, len(text)), text,
    ))  # fmt: skip


def decoded(message: bytes) -> Value:
    """A value of Feast, a protobuf message `feast.types.Value` with one field; None if it has none.

    Raises:
        ValueError: a type that no feature has.
    """
    for number, content in _fields(message):
        match number, content:
            case 2, bytes():
                return content.decode()
            case 3 | 4, int():
                return content - (1 << 64) if content >= 1 << 63 else content
            case 5, bytes() if len(content) == 8:
                return float(struct.unpack("<d", content)[0])
            case 6, bytes() if len(content) == 4:
                return float(struct.unpack("<f", content)[0])
            case 7, int():
                return bool(content)
            case _:
                raise ValueError(f"a value of Feast has the unknown field {number}")
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number, and an integer or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}[kind]
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
