"""The custom property `dialect` and the column's `sourceName`: what they compile to, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contracts.codec import decoded, encoded
from include.contracts.dialect import OPTIONS, Dialect
from include.contracts.model import Contract
from include.contracts.problems import ContractError
from include.contracts.reader import compile_contract
from include.contracts.text_encodings import encoding_named

pytestmark = pytest.mark.unit


def compiled(dialect: Any, *names: Any) -> Contract:
    """A contract with the key `part_id` and the columns `x` and `y`; `names` are source names of x and y."""
    columns = [
        {"name": name, "logicalType": "string", "customProperties": [{"property": "sourceName", "value": given}]}
        if given is not None
        else {"name": name, "logicalType": "string"}
        for name, given in zip(("x", "y"), (*names, None, None), strict=False)
    ]
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "parts", "version": "1.2.0", "status": "active",
        "customProperties": [{"property": "dialect", "value": dialect}],
        "schema": [{
            "name": "parts",
            "properties": [
                {"name": "part_id", "logicalType": "string", "primaryKey": True, "required": True}, *columns,
            ],
        }],
    }  # fmt: skip
    return compile_contract(Path("parts.yaml"), yaml.safe_dump(document).encode())


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ({}, {}),
        ({"encoding": "windows-1252"}, {"encoding": "cp1252"}),
        ({"encoding": "Latin1"}, {"encoding": "iso8859-1"}),
        ({"encoding": "UTF-8-SIG"}, {"encoding": "utf-8"}),
        ({"delimiter": "\t"}, {"delimiter": "\t"}),
        ({"quote": None}, {"quote": ""}),
        ({"quote": ""}, {"quote": ""}),
        ({"quote": "'", "escape": "\\"}, {"quote": "'", "escape": "\\"}),
        ({"header": True}, {}),
        ({"header": False}, {"has_header": False}),
        ({"header": ["Part ID", "X"]}, {"has_header": False, "header": ("Part ID", "X")}),
        ({"skipLines": 4, "footerLines": 2, "comment": "//"}, {"skip_lines": 4, "footer_lines": 2, "comment": "//"}),
        ({"decimal": ",", "thousands": "."}, {"decimal": ",", "thousands": "."}),
        ({"thousands": "\u202f", "trailingMinus": True}, {"thousands": "\u202f", "trailing_minus": True}),
        ({"nullValues": ["NULL", "\\N"]}, {"null_values": ("NULL", "\\N")}),
        ({"trueValues": ["ja"], "falseValues": ["Nein"]}, {"true_values": ("ja",), "false_values": ("Nein",)}),
        ({"member": "2026/*/sales_*.csv"}, {"member": "2026/*/sales_*.csv"}),
        ({"sheet": "Preise 2026"}, {"sheet": "Preise 2026"}),
        (
            {"recordPath": "data.0.rows", "keyColumn": "part_id"},
            {"record_path": "data.0.rows", "key_column": "part_id"},
        ),
    ],
)
def test_an_option_is_compiled_and_kept_by_the_cache(dialect: dict[str, Any], expected: dict[str, Any]) -> None:
    contract = compiled(dialect)
    assert contract.dialect == Dialect(**expected)
    assert set(contract.dialect.options) == set(dialect) - {
        name for name, value in dialect.items() if value is True and name == "header"
    }
    assert decoded(encoded(contract), contract.path) == contract
    assert all(column.true_words == contract.dialect.true_values for column in contract.columns)


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ({"delimeter": ";"}, "delimeter"),
        ({"encoding": "utf-7"}, "encoding"),
        ({"encoding": "unicode_escape"}, "encoding"),
        ({"encoding": "idna"}, "encoding"),
        ({"encoding": "rot13"}, "encoding"),
        ({"encoding": "utf-16"}, "encoding"),
        ({"encoding": "iso2022_jp"}, "encoding"),
        ({"encoding": "no such"}, "encoding"),
        ({"encoding": 8}, "encoding"),
        ({"delimiter": ""}, "delimiter"),
        ({"member": ""}, "member"),
        ({"member": "[a.csv"}, "member"),
        ({"member": 7}, "member"),
        ({"sheet": ""}, "sheet"),
        ({"sheet": 1}, "sheet"),
        ({"sheet": "x" * 256}, "sheet"),
        ({"delimiter": "||"}, "delimiter"),
        ({"delimiter": "\n"}, "delimiter"),
        ({"delimiter": "a"}, "delimiter"),
        ({"delimiter": '"'}, "quote"),
        ({"quote": "'", "escape": "'"}, "escape"),
        ({"escape": '"'}, "escape"),
        ({"comment": ";x", "delimiter": ";"}, "comment"),
        ({"comment": ""}, "comment"),
        ({"comment": "#\n"}, "comment"),
        ({"header": "x"}, "header"),
        ({"header": []}, "header"),
        ({"header": ["part_id", "x", "x"]}, "header"),
        ({"header": ["x", "y"]}, "header"),
        ({"header": ["part_id", "a\0"]}, "header"),
        ({"skipLines": -1}, "skipLines"),
        ({"skipLines": True}, "skipLines"),
        ({"footerLines": 10_001}, "footerLines"),
        ({"decimal": ";"}, "decimal"),
        ({"thousands": "."}, "thousands"),
        ({"decimal": ",", "thousands": ","}, "thousands"),
        ({"thousands": "x"}, "thousands"),
        ({"trailingMinus": "yes"}, "trailingMinus"),
        ({"nullValues": "NULL"}, "nullValues"),
        ({"nullValues": [""]}, "nullValues"),
        ({"trueValues": ["N"]}, "trueValues"),
        ({"trueValues": ["ja"], "falseValues": ["JA"]}, "trueValues"),
        ({"falseValues": [" nein"]}, "falseValues"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(dialect: dict[str, Any], path: str) -> None:
    with pytest.raises(ContractError) as caught:
        compiled(dialect)
    assert all(problem.path.startswith("customProperties") for problem in caught.value.problems)
    assert any(problem.path.endswith(f"dialect.{path}") or problem.path.endswith(f"value.{path}")
               for problem in caught.value.problems)  # fmt: skip


def test_every_option_has_a_description_and_a_row_in_the_reference() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dialect.md").read_text()
    assert all(schema["description"] for schema in OPTIONS.values())
    assert [name for name in OPTIONS if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize(
    "name", ["cp1252", "ISO-8859-15", "koi8-r", "gb18030", "Shift_JIS", "utf-16-le", "big5", "cp037"]
)
def test_an_encoding_keeps_every_character(name: str) -> None:
    encoding = encoding_named(name)
    assert encoding is not None
    text = "id;name\r\n1;Ab"
    assert text.encode(encoding).decode(encoding) == text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["% Rabatt"], (("% Rabatt",), ())),
        ([["Größe (m)", "Länge"], "Preis"], (("Größe (m)", "Länge"), ("Preis",))),
        (["y", "x"], (("y",), ("x",))),
    ],
)
def test_source_names_are_texts_or_lists(names: list[Any], expected: tuple[tuple[str, ...], ...]) -> None:
    assert tuple(column.source_names for column in compiled({}, *names).columns[1:]) == expected


@pytest.mark.parametrize("names", [[""], [" "], [7], [[]], [["a", ""]], ["a\0"], ["a", "a"], ["y"], [["n"] * 101]])
def test_source_names_that_cannot_be_used_are_refused(names: list[Any]) -> None:
    with pytest.raises(ContractError):
        compiled({}, *names)


def test_a_list_of_columns_may_use_source_names() -> None:
    assert compiled({"header": ["Teil", "part id"]}, "Teil").dialect.header == ("Teil", "part id")
