"""Rows of a file as messages, and the commands' error messages. No broker is needed."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from include.cli.streams import app
from include.contracts.model import Column, ColumnType
from include.contracts.reader import read_contract
from include.errors import Code, PermanentError
from include.settings import CONTRACTS_DIR
from include.streams.produce import _rows

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.TEXT),
    Column("n", ColumnType.INTEGER),
    Column("amount", ColumnType.NUMBER),
    Column("f", ColumnType.FLOAT),
    Column("yes", ColumnType.BOOLEAN),
    Column("day", ColumnType.DATE),
    Column("more", ColumnType.JSON),
)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return replace(read_contract(CONTRACTS_DIR / "sales.yaml"), columns=COLUMNS, key=("id",), row_rules=())


def read(path: Path, contract: Contract | None) -> list[tuple[bytes | None, bytes]]:
    with _rows(path, contract) as chunks:
        return [pair for keys, values in chunks for pair in zip(keys, values, strict=True)]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    return path


def one(tmp_path: Path, text: str, contract: Contract | None) -> str:
    ((_, value),) = read(written(tmp_path, text), contract)
    return value.decode()


def test_folder_named_as_a_partition_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "id=9"
    folder.mkdir()

    assert one(folder, "id,n\n1,2\n", None) == '{"id": "1", "n": "2"}'


def test_values_have_the_contracts_types(tmp_path: Path, contract: Contract) -> None:
    text = 'id,n,amount,f,yes,day,more\n007,12,1.50,1e-3,True,2026-01-31,"{""a"": [1]}"\n'
    assert one(tmp_path, text, contract) == (
        '{"id": "007", "n": 12, "amount": 1.50, "f": 1e-3, "yes": true, "day": "2026-01-31", "more": {"a": [1]}}'
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [("n", "1,5"), ("n", "007"), ("amount", "NaN"), ("amount", "+1"), ("f", ".5"), ("yes", "yes"), ("more", "{a")],
)
def test_value_of_another_type_stays_text_for_the_consumer_to_refuse(
    tmp_path: Path, contract: Contract, column: str, value: str
) -> None:
    assert json.loads(one(tmp_path, f'id,{column}\n1,"{value}"\n', contract)) == {"id": "1", column: value}


def test_empty_is_null_for_every_type(tmp_path: Path, contract: Contract) -> None:
    ((key, value),) = read(written(tmp_path, 'id,n,amount,f,yes,day,more\n"",,,,,,\n'), contract)
    assert json.loads(value) == dict.fromkeys(("id", "n", "amount", "f", "yes", "day", "more"))
    assert not key


def test_numbers_lose_no_digit(tmp_path: Path, contract: Contract) -> None:
    digits = "12345678901234567890.123456789012345678"
    assert f'"amount": {digits}' in one(tmp_path, f"id,amount\n1,{digits}\n", contract)


def test_text_is_escaped(tmp_path: Path, contract: Contract) -> None:
    text = 'a "quote", ü,\n\\ and a line'
    quoted = text.replace('"', '""')
    assert json.loads(one(tmp_path, f'id,"a ""name"""\n1,"{quoted}"\n', contract)) == {"id": "1", 'a "name"': text}


@pytest.mark.parametrize(
    ("key", "expected"),
    [(("id",), b"a"), (("id", "n"), b'["a","1"]'), (("id", "absent"), None)],
    ids=["one", "two", "a column is missing"],
)
def test_key_is_the_contracts(tmp_path: Path, contract: Contract, key: tuple[str, ...], expected: bytes | None) -> None:
    ((found, _),) = read(written(tmp_path, "id,n\na,1\n"), replace(contract, key=key))
    assert found == expected


def test_without_a_contract_all_values_are_text_and_there_is_no_key(tmp_path: Path) -> None:
    ((key, value),) = read(written(tmp_path, "id,n\na,1\n"), None)
    assert (key, value) == (None, b'{"id": "a", "n": "1"}')


def test_rows_come_in_order_in_chunks_also_compressed(tmp_path: Path, contract: Contract) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(("id,n\n" + "".join(f"{n},{n}\n" for n in range(12_345))).encode()))
    assert [key for key, _ in read(path, contract)] == [str(n).encode() for n in range(12_345)]


@pytest.mark.parametrize(
    ("content", "match"),
    [(None, "no such file"), (b"id,n\n" + b"1,2\n" * 9000 + b"1,2,3\n", "Line"), (b"\xff\xfe\x00id\n1\n", "cannot be")],
    ids=["missing", "too many fields in a late row", "not UTF-8"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, contract: Contract, content, match: str) -> None:
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PermanentError, match=match) as caught:
        read(path, contract)
    assert caught.value.code is Code.UNREADABLE_FILE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["produce", "--rows", "1"], "give --topic"),
        (["produce", "--topic", "sales"], "one of --file and --rows"),
        (["produce", "--topic", "sales", "--rows", "1", "--file", "x"], "one of --file and --rows"),
        (
            ["produce", "--topic", "absent", "--rows", "1"],
            "one of: activity, commits, crypto_candles, crypto_prices, github_events",
        ),
        (["produce", "--topic", "x", "--dataset", "absent", "--file", "x"], "no contract for 'absent'"),
        (["produce", "--topic", "sales", "--file", "absent.csv"], "no such file"),
        (["produce", "--topic", "sales", "--rows", "1", "--avro"], "SCHEMA_REGISTRY_URL is not set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_command_refuses_in_one_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == (2 if "give --topic, and one of" in result.output else 1)
    assert result.output.startswith("error: ")
    assert message in result.output
    assert "Traceback" not in result.output
