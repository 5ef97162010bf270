"""A dataset's Avro schema is derived from its contract, and rows fit it exactly or are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from include.contracts.model import Column, ColumnType, Contract
from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR
from include.streams.avro_schema import RowValueError, avro_schema, schema_text, to_avro

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

SALES = read_contract(CONTRACTS_DIR / "sales.yaml")
INVENTORY = read_contract(CONTRACTS_DIR / "inventory.yaml")


def contract_of(*columns: Column) -> Contract:
    return Contract("things", "1.0.0", "", columns, ("id",), None, Path("things.yaml"))


def field_types(contract: Contract) -> dict[str, Any]:
    return {field["name"]: field["type"] for field in avro_schema(contract)["fields"]}


def test_record_is_named_after_the_dataset_and_documented() -> None:
    schema = avro_schema(SALES)
    assert (schema["type"], schema["name"], schema["namespace"]) == ("record", "sales", "filegate.sales")
    assert schema["doc"] == SALES.description
    assert schema["fields"][0] == {
        "name": "sale_id", "doc": "The till's number of the sale. Never reused.", "type": "string"
    }  # fmt: skip
    assert avro_schema(contract_of(Column("id", ColumnType.TEXT)))["fields"] == [
        {"name": "id", "type": ["null", "string"], "default": None}
    ]


def test_each_type_of_the_sales_contract() -> None:
    types = field_types(SALES)
    assert list(types) == [column.name for column in SALES.columns]
    assert types["sale_date"] == {"type": "int", "logicalType": "date"}
    assert types["quantity"] == "long"
    assert types["total_amount"] == {"type": "bytes", "logicalType": "decimal", "precision": 14, "scale": 2}
    assert types["region"] == ["null", "string"]
    assert types["updated_at"] == {"type": "long", "logicalType": "timestamp-micros"}


def test_each_type_of_the_inventory_contract_without_derived_columns() -> None:
    types = field_types(INVENTORY)
    assert "available" not in types
    assert types["unit_weight_kg"] == ["null", "double"]
    assert types["is_active"] == "boolean"
    assert types["last_moved_at"] == {"type": "long", "logicalType": "local-timestamp-micros"}
    assert types["supplier_id"] == ["null", {"type": "string", "logicalType": "uuid"}]
    assert types["attributes"] == ["null", {"type": "string", "logicalType": "json"}]


@pytest.mark.parametrize("contract", [SALES, INVENTORY], ids=lambda contract: contract.dataset)
def test_schema_is_avro_and_always_the_same(contract: Contract) -> None:
    again = read_contract(contract.path)
    assert schema_text(avro_schema(again)) == schema_text(avro_schema(contract))
    assert parse_schema(avro_schema(contract))


# Rows

Kind = ColumnType
VALUES = [
    pytest.param(Kind.TEXT, " as is ", " as is ", id="text"),
    pytest.param(Kind.TEXT, 7, "7", id="number as text"),
    pytest.param(Kind.INTEGER, "-42", -42, id="integer"),
    pytest.param(Kind.INTEGER, str(2**63 - 1), 2**63 - 1, id="largest integer"),
    pytest.param(Kind.NUMBER, "19.9", Decimal("19.90"), id="decimal"),
    pytest.param(Kind.NUMBER, "1.500", Decimal("1.50"), id="decimal with zeros behind"),
    pytest.param(Kind.NUMBER, 0.1, Decimal("0.10"), id="decimal from float"),
    pytest.param(Kind.NUMBER, "-99999999.99", Decimal("-99999999.99"), id="smallest decimal"),
    pytest.param(Kind.NUMBER, "2E+3", Decimal("2000.00"), id="decimal with exponent"),
    pytest.param(Kind.NUMBER, "0.000", Decimal("0.00"), id="decimal zero"),
    pytest.param(Kind.FLOAT, "4.25", 4.25, id="float"),
    pytest.param(Kind.BOOLEAN, "Yes", True, id="yes"),
    pytest.param(Kind.BOOLEAN, "0", False, id="zero is false"),
    pytest.param(Kind.BOOLEAN, True, True, id="true"),
    pytest.param(Kind.DATE, "2026-01-31", date(2026, 1, 31), id="date"),
    pytest.param(Kind.DATE, "31.01.2026", date(2026, 1, 31), id="date in the contract's format"),
    pytest.param(Kind.DATE, date(1969, 12, 31), date(1969, 12, 31), id="date before 1970"),
    pytest.param(
        Kind.TIMESTAMP,
        "2026-01-31T06:12:00.000001",
        datetime.fromisoformat("2026-01-31T06:12:00.000001"),
        id="timestamp",
    ),
    pytest.param(
        Kind.TIMESTAMPTZ, "2026-01-31T19:25:43+01:00", datetime(2026, 1, 31, 18, 25, 43, tzinfo=UTC), id="timestamptz"
    ),
    pytest.param(
        Kind.TIMESTAMPTZ, "1769862615.25", datetime(2026, 1, 31, 12, 30, 15, 250_000, tzinfo=UTC), id="epoch seconds"
    ),
    pytest.param(Kind.TIMESTAMP, -1, datetime.fromisoformat("1969-12-31T23:59:59"), id="epoch seconds without a zone"),
    pytest.param(Kind.TIMESTAMPTZ, "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC), id="earliest timestamptz"),
    pytest.param(
        Kind.UUID, "6F1C2A34-9D1E-4C55-8A86-0C1F6F0B7E21", UUID("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"), id="uuid"
    ),
    pytest.param(Kind.JSON, '{"a": 1.10}', '{"a": 1.10}', id="json text as is"),
    pytest.param(Kind.JSON, {"a": ["ü"]}, '{"a": ["ü"]}', id="json value"),
    pytest.param(Kind.TEXT, "", None, id="empty text is no value"),
    pytest.param(Kind.DATE, None, None, id="none"),
]


@pytest.mark.parametrize(("kind", "given", "read"), VALUES)
def test_value_is_the_same_after_avro(kind: ColumnType, given: Any, read: Any) -> None:
    contract = contract_of(Column("v", kind, precision=10, scale=2, formats=("%d.%m.%Y", "epoch-seconds")))
    schema = parse_schema(avro_schema(contract))
    stream = BytesIO()
    schemaless_writer(stream, schema, to_avro({"v": given}, contract))
    stream.seek(0)
    assert schemaless_reader(stream, schema, None) == {"v": read}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        pytest.param(Kind.INTEGER, "1.5", id="integer with decimals"),
        pytest.param(Kind.INTEGER, 1.5, id="float for integer"),
        pytest.param(Kind.INTEGER, str(2**63), id="integer too large"),
        pytest.param(Kind.NUMBER, "1.505", id="too many decimals"),
        pytest.param(Kind.NUMBER, "100000000", id="too many digits"),
        pytest.param(Kind.NUMBER, "NaN", id="nan"),
        pytest.param(Kind.NUMBER, "cheap", id="no number"),
        pytest.param(Kind.FLOAT, "heavy", id="no float"),
        pytest.param(Kind.BOOLEAN, "perhaps", id="no boolean"),
        pytest.param(Kind.DATE, "2026-02-30", id="no date"),
        pytest.param(Kind.DATE, "2026-01-31T06:12:00", id="date with a time of day"),
        pytest.param(Kind.TIMESTAMP, "2026-01-31T06:12:00Z", id="timestamp with zone"),
        pytest.param(Kind.TIMESTAMPTZ, "2026-01-31T06:12:00", id="timestamptz without zone"),
        pytest.param(Kind.UUID, "6f1c", id="no uuid"),
        pytest.param(Kind.JSON, "{broken", id="no json"),
    ],
)
def test_value_that_the_schema_cannot_hold_is_named(kind: ColumnType, given: Any) -> None:
    contract = contract_of(Column("v", kind, precision=10, scale=2))
    with pytest.raises(RowValueError, match=f"^v: '?{str(given)[:4]}.* is no {kind}$"):
        to_avro({"v": given}, contract)


@pytest.mark.parametrize(
    ("make_row", "message"),
    [
        pytest.param(lambda row: row | {"sale_id": ""}, "sale_id is required and empty", id="required and empty"),
        pytest.param(lambda row: row | {"colour": "red"}, "sales has no column colour", id="unknown column"),
        pytest.param(lambda row: {}, "sale_id is required and empty", id="no value at all"),
    ],
)
def test_row_that_does_not_fit_is_refused(make_row: Callable[[dict], dict], message: str) -> None:
    row = {column.name: column.examples[0] if column.examples else "x" for column in SALES.columns}
    assert to_avro(row, SALES)["quantity"] == 2
    with pytest.raises(RowValueError, match=message):
        to_avro(make_row(row), SALES)


# Columns of other scripts


def test_columns_of_other_scripts_are_named_by_a_hash_with_their_name_in_doc() -> None:
    contract = contract_of(
        Column("id", ColumnType.TEXT, required=True),
        Column("цена", ColumnType.INTEGER, description="Net price."),
        Column("価格", ColumnType.INTEGER),
    )
    schema = avro_schema(contract)
    assert [(field["name"], field.get("doc")) for field in schema["fields"]] == [
        ("id", None), ("column_ba272c37", "цена: Net price."), ("column_855e4ca0", "価格"),
    ]  # fmt: skip
    assert parse_schema(schema)
    assert to_avro({"id": "a", "цена": "7", "価格": None}, contract) == {
        "id": "a", "column_ba272c37": 7, "column_855e4ca0": None,
    }  # fmt: skip
