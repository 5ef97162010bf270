"""Ranges of keys: together they hold every row once, and they are in order."""

from __future__ import annotations

import duckdb
import pytest

from include.contracts.reader import read_contract
from include.ingestion.key_order import MOST_PARTS, key_ranges
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

KEYS = {
    "sales": "(SELECT 'S' || hash(i)::VARCHAR || '''' AS sale_id FROM range(20000) AS r (i))",
    "inventory": "(SELECT (i % 3)::VARCHAR AS warehouse_code, hash(i)::VARCHAR AS sku FROM range(20000) AS r (i))",
}


@pytest.mark.parametrize("dataset", KEYS)
@pytest.mark.parametrize("parts", [1, 2, 5, MOST_PARTS])
def test_ranges_hold_every_row_once_and_in_order(dataset: str, parts: int) -> None:
    contract = read_contract(CONTRACTS_DIR / f"{dataset}.yaml")
    names = ", ".join(contract.key)
    with duckdb.connect() as connection:
        ranges = key_ranges(connection, contract, KEYS[dataset], parts)
        found = [
            connection.execute(f"SELECT {names} FROM {KEYS[dataset]} WHERE {within} ORDER BY {names}").fetchall()
            for within in ranges
        ]
        whole = connection.execute(f"SELECT {names} FROM {KEYS[dataset]} ORDER BY {names}").fetchall()
    assert len(found) == parts
    assert [row for part in found for row in part] == whole
    assert max(map(len, found)) < 2 * len(whole) / parts


def test_too_many_parts_are_left_to_postgresql() -> None:
    contract = read_contract(CONTRACTS_DIR / "sales.yaml")
    with duckdb.connect() as connection:
        assert key_ranges(connection, contract, KEYS["sales"], MOST_PARTS + 1) == []


def test_file_of_which_no_row_is_loaded_is_one_part() -> None:
    contract = read_contract(CONTRACTS_DIR / "sales.yaml")
    with duckdb.connect() as connection:
        assert key_ranges(connection, contract, f"(SELECT * FROM {KEYS['sales']} WHERE false)", 3) == ["true"]
