"""A reader of a scripted API: definition, contract, position and sink of a test, without real waits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from include.contracts.model import Column, ColumnType, Contract
from include.sources.definition import RestSource
from include.sources.elements import elements
from include.sources.listing import Listing, Position, Traffic
from include.sources.rest.auth import ApiConnection
from include.sources.rest.client import RestClient
from include.sources.rest.reading import RestReader

if TYPE_CHECKING:
    from tests.scripted_api import ScriptedApi

# The clock of this machine is half an hour behind the API's, 2026-12-01 10:00:00.
NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC).timestamp()
ORDERS = Contract(
    "shop_orders", "1", "", (Column("id", ColumnType.INTEGER, required=True),), ("id",), None, Path("shop_orders.yaml")
)


def make_source(**keys: Any) -> RestSource:
    """A definition with these keys of the file; `request` are those of its only request."""
    request = {"path": "/orders", **keys.pop("request", {})}
    values = {
        "name": "shop_orders", "kind": "rest", "connection": "source_shop", "schedule": None, "dataset": "shop_orders",
        "requests": [request], **keys,
    }  # fmt: skip
    return RestSource.model_validate(values)


@dataclass
class Sunk:
    """A sink that keeps what it gets."""

    lines: list[bytes] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    def keep(self, answer: bytes, page: int) -> None:
        self.answers.append((page, answer))

    def take(self, record: bytes) -> None:
        self.lines.append(record)

    @property
    def ids(self) -> list[Any]:
        return [json.loads(line)["id"] for line in self.lines]


class Shop:
    """Runs of a source against the scripted API. Each gives its listing; `sunk` and `traffic` are those of the last."""

    def __init__(self, api: ScriptedApi) -> None:
        self.api = api
        self.slept: list[float] = []
        self.sunk, self.traffic = Sunk(), Traffic()
        self.contract = ORDERS
        self.login, self.password, self.path = "", "", ""

    def read(
        self, source: RestSource, position: Position | None = None, sink: Sunk | None = None, full_run: str = ""
    ) -> Listing:
        """Read the first element."""
        self.sunk, self.traffic = sink or Sunk(), Traffic()
        connection = ApiConnection(self.api.url + self.path, self.login, SecretStr(self.password))
        with RestClient(source, connection, self.traffic, self.slept.append, self.clock) as client:
            reader = RestReader(client, self.contract)
            return reader.read(elements(source)[0], position or Position(), self.sunk, full_run)

    def clock(self) -> float:
        return NOW + sum(self.slept)
