"""Definitions and contracts that tests of sources begin with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from include.contracts.catalog import UnknownDatasetError
from include.contracts.model import Column, ColumnType, Contract
from include.contracts.problems import ContractError, Problem
from include.sources.__main__ import EXAMPLE
from include.sources.reader import SourceError, read_source

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = Contract(
    dataset="shop_orders",
    version="1.0.0",
    description="",
    columns=(Column("order_id", ColumnType.TEXT, required=True), Column("updated_at", ColumnType.TEXT)),
    key=("order_id",),
    newest_by=None,
    path=Path("contracts/shop_orders.yaml"),
    owner="shop-data",
)
TOPIC = replace(ORDERS, topic="shop.orders")
BROKEN = ContractError.of(Path("contracts/broken.yaml"), [Problem("kind", "is missing", "add it")])


def find_contract(dataset: str) -> Contract:
    """The contracts of the tests: `shop_orders`; `broken` cannot be used; there is no other."""
    if dataset == "broken":
        raise BROKEN
    if dataset != ORDERS.dataset:
        raise UnknownDatasetError.of(dataset, [ORDERS.dataset])
    return ORDERS


def document(**changes: Any) -> dict[str, Any]:
    """The example of the page, with other values; a key is removed by the value `...`."""
    content: dict[str, Any] = yaml.safe_load(EXAMPLE) | changes
    return {key: value for key, value in content.items() if value is not ...}


def request(**changes: Any) -> dict[str, Any]:
    """The request of the example, with other values."""
    [only] = document()["requests"]
    return {key: value for key, value in (only | changes).items() if value is not ...}


def written(folder: Path, content: dict[str, Any] | str, name: str = "shop_orders.yaml") -> Path:
    """Write a definition into a folder."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def read(folder: Path, contract: Contract = ORDERS, **changes: Any) -> Any:
    """Read the example with other values, and a contract."""
    return read_source(written(folder, document(**changes)), lambda _: contract)


def problems(folder: Path, contract: Contract = ORDERS, **changes: Any) -> list[tuple[str, str, str]]:
    """Place, what and remedy of each problem of the example with other values."""
    return problems_of(lambda: read(folder, contract, **changes))


def problems_of(reading: Callable[[], object]) -> list[tuple[str, str, str]]:
    """Place, what and remedy of each problem; none if the definition is sound."""
    try:
        reading()
    except SourceError as error:
        return [(one.path, one.what, one.remedy) for one in error.problems]
    return []
