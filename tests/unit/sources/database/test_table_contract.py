"""The contract that is drafted from a table's catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from include.cli.source_draft import TableName, definition_text
from include.cli.sources import source as commands
from include.contracts.model import APPEND_KEY, ColumnType
from include.contracts.reader import compile_contract
from include.contracts.review_marks import marked_lines
from include.sources.database.columns import TableColumn
from include.sources.database.definition import DatabaseSource, Window
from include.sources.database.draft import table_contract
from include.sources.reader import read_source
from tests.unit.sources.source_files import ORDERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

ID = TableColumn("id", "int8", "t.id", declared="BIGINT", nullable=False, key_position=1)
PRICE = TableColumn("Price in €", "numeric", "x", pa.decimal128(12, 2), "DECIMAL(12,2)", comment='With "VAT"')
WIDE = TableColumn("wide", "numeric", "x", declared="DECIMAL(38,10)")
CHANGED = TableColumn("updated_at", "timestamptz", "x", None, "TIMESTAMP WITH TIME ZONE", "instant", nullable=False)
OTHERS = [TableColumn(name, name, "x", declared=name.upper()) for name in ("boolean", "uuid", "date", "varchar")]


def test_draft_is_a_sound_contract(tmp_path: Path) -> None:
    text = table_contract("users", "shop.users", [ID, PRICE, WIDE, CHANGED, *OTHERS])
    contract = compile_contract(tmp_path / "users.yaml", text.encode())
    assert (contract.key, contract.newest_by, contract.is_draft) == (("id",), "updated_at", True)
    found = {column.name: column.type for column in contract.columns}
    assert found == {
        "id": ColumnType.INTEGER, "price_in": ColumnType.NUMBER, "wide": ColumnType.NUMBER,
        "updated_at": ColumnType.TIMESTAMPTZ, "boolean": ColumnType.BOOLEAN, "uuid": ColumnType.UUID,
        "date": ColumnType.DATE, "varchar": ColumnType.TEXT,
    }  # fmt: skip
    price, wide = contract.by_name["price_in"], contract.by_name["wide"]
    assert (price.precision, price.scale, price.source_names, price.description) == (
        12, 2, ("Price in €",), 'With "VAT"',
    )  # fmt: skip
    assert (wide.precision, wide.scale) == (38, 10)
    assert [column.name for column in contract.columns if column.required] == ["id", "updated_at"]
    assert len(marked_lines(text)) > 10


def test_key_of_several_columns_keeps_its_order(tmp_path: Path) -> None:
    pair = [
        TableColumn("b", "int4", "x", declared="INTEGER", key_position=2),
        TableColumn("a", "int4", "x", declared="INTEGER", key_position=1),
    ]
    text = table_contract("pairs", "pairs", pair)
    assert compile_contract(tmp_path / "pairs.yaml", text.encode()).key == ("a", "b")


def test_table_without_a_key_appends(tmp_path: Path) -> None:
    text = table_contract("logs", "logs", [WIDE])
    assert compile_contract(tmp_path / "logs.yaml", text.encode()).key == APPEND_KEY
    assert "# REVIEW the table has no primary key" in text


def test_command_shows_a_sound_definition_of_the_source(tmp_path: Path) -> None:
    text = definition_text("shop_orders", "source_crm", TableName('Old "users"', "shop"), [ID, CHANGED])
    path = tmp_path / "shop_orders.yaml"
    path.write_text(text)
    source = read_source(path, lambda _: ORDERS)
    assert isinstance(source, DatabaseSource)
    assert (source.db_schema, source.table, source.connection) == ("shop", 'Old "users"', "source_crm")
    assert isinstance(source.incremental, Window)
    assert source.incremental.cursor == "updated_at"


@pytest.mark.parametrize("columns", [[CHANGED], [ID]], ids=["no key", "no time of a change"])
def test_definition_reads_the_whole_table_without_key_or_time(columns: list[TableColumn]) -> None:
    assert "incremental" not in definition_text("users", "source_crm", TableName("users"), columns)


def test_command_needs_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SOURCE_NOWHERE", raising=False)
    done = CliRunner().invoke(commands, ["draft", "--connection", "source_nowhere", "--table", "users"])
    assert done.exit_code != 0
    assert "set AIRFLOW_CONN_SOURCE_NOWHERE in the environment or in sources.env, such as postgres://" in done.stderr
    for value in ("{no json: s3cret", "no URL: s3cret"):
        monkeypatch.setenv("AIRFLOW_CONN_SOURCE_NOWHERE", value)
        done = CliRunner().invoke(commands, ["draft", "--connection", "source_nowhere", "--table", "users"])
        assert "AIRFLOW_CONN_SOURCE_NOWHERE is neither a URL nor JSON" in done.stderr
        assert "s3cret" not in done.output
    done = CliRunner().invoke(commands, ["draft", "--connection", "crm", "--table", "users"])
    assert "its name is source_<name>" in done.stderr
