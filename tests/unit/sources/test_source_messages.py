"""Keys of messages that are made of records: those that `filegate produce` gives the same rows."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from include.contracts.model import Column, ColumnType
from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR
from include.sources.topic import RecordMessages
from include.streams.produce import _rows

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.TEXT, source_names=("Order No.",)),
    Column("line", ColumnType.INTEGER),
    Column("city", ColumnType.TEXT, path="^.shop.city"),
    Column("extra", ColumnType.JSON),
    Column("day", ColumnType.DATE, derived="DATE '2026-01-01'"),
)


def contract(*key: str) -> Contract:
    shipped = read_contract(CONTRACTS_DIR / "sales.yaml")
    return replace(shipped, columns=COLUMNS, key=key or ("id",), row_rules=(), newest_by=None)


def key_of(record: str, *key: str) -> bytes | None:
    return RecordMessages(contract(*key)).of(record.encode(errors="surrogatepass"))[0]


@pytest.mark.parametrize("text", ["7", "a,b", 'quote "', "Köln 日本", "back\\slash", "/", "tab\t", "\x7f", "\x1f", " "])
@pytest.mark.parametrize("key", [("id",), ("id", "line")])
def test_key_is_that_of_a_produced_row(tmp_path: Path, text: str, key: tuple[str, ...]) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "line"], [text, "12"]])
    with _rows(path, contract(*key)) as chunks:
        [([expected], _)] = list(chunks)
    assert key_of(json.dumps({"id": text, "line": 12}), *key) == expected


@pytest.mark.parametrize(
    ("record", "key", "expected"),
    [
        ('{"id":"a"}', ("id",), b"a"),
        ('{"id":1.50}', ("id",), b"1.50"),
        ('{"id":12345678901234567890}', ("id",), b"12345678901234567890"),
        ('{"id":true}', ("id",), b"true"),
        ('{"id":{"b":1}}', ("id",), b'{"b":1}'),
        ('{"extra":"7"}', ("extra",), b'"7"'),
        ('{"ID":"a"}', ("id",), b"a"),
        ('{"Order No.":"a"}', ("id",), b"a"),
        ('{"^":{"shop":{"city":"Rome"}},"id":"a"}', ("city", "id"), b'["Rome","a"]'),
        ('{"id":"a"}', ("id", "line"), b'["a",null]'),
        ('  {"id":"a"} ', ("id",), b"a"),
        ('{"id":null}', ("id",), None),
        ("{}", ("id",), None),
        ('{"id":"a"}', ("id", "day"), None),
        ('{"id":"a","id":"b"}', ("id",), None),
        ('{"id":"\\ud800"}', ("id",), None),
        ('{"id":"\ud800"}', ("id",), None),
        ('{"id":NaN}', ("id",), None),
        ('{"id":"a"', ("id",), None),
        ('{"id":"a"}}', ("id",), None),
        ('["a"]', ("id",), None),
        ("", ("id",), None),
        ('{"id":' + "[" * 100_000, ("id",), None),
    ],
)
def test_key_of_a_record(record: str, key: tuple[str, ...], expected: bytes | None) -> None:
    assert key_of(record, *key) == expected


@pytest.mark.parametrize("record", [b'{"id" : 1.50, "x":"\\u00e9"}', b"[1]", b"\xff", b'{"a":1,"a":2}'])
def test_value_without_a_registry_is_the_record_as_it_came(record: bytes) -> None:
    assert RecordMessages(contract()).of(record)[1] == record
