"""Values that the slow path reads exactly, and that DuckDB's own JSON reader would not."""

from decimal import Decimal

import pytest

from include.contracts.model import Column, ColumnType

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["weight", "größe", 'a"b'], ids=["plain", "umlaut", "quote"])
def test_a_long_number_in_json_keeps_all_its_digits(stages, contract_of, name: str) -> None:
    """A double would round it. The names differ in how they are quoted in JSON and in SQL."""
    contract = contract_of(Column("id", ColumnType.INTEGER), Column(name, ColumnType.NUMBER, precision=30, scale=2))
    key = name.replace('"', '\\"')
    content = f'{{"id": 1, "other": 1.5, "{key}": 12345678901234567.89}}\n'.encode()
    assert stages.rows(contract, content, slow=True)[0][name] == Decimal("12345678901234567.89")
