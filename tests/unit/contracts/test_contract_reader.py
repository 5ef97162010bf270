"""Contracts that the reader accepts, and its messages about broken ones."""

import pickle
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from include.contracts.describe import describe
from include.contracts.model import ColumnType, Contract, ErrorBudget, OnDuplicate, Severity, UnknownColumns
from include.contracts.problems import ContractError
from include.contracts.reader import compile_contract, read_contract
from include.contracts.types import TYPES as COLUMN_TYPES
from include.errors import Code, PermanentError
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

SOUND = """
apiVersion: v3.1.0
kind: DataContract
id: parts
version: 1.2.0
description: {purpose: Parts in stock.}
team: {name: stores}
slaProperties: [{property: freshness, value: 2, unit: d}]
customProperties:
  - property: ingestion
    value: {newestBy: seen_at, filePatterns: ["parts*.csv"], unknownColumns: evolve, errorBudget: {rows: 5, share: 0.1}}
schema:
  - name: parts
    properties:
      - {name: part_id, logicalType: string, primaryKey: true, required: true}
      - name: weight
        logicalType: number
        physicalType: numeric(10,3)
        logicalTypeOptions: {minimum: 0, maximum: 10}
      - {name: price, logicalType: number, physicalType: double precision}
      - {name: pieces, logicalType: integer}
      - {name: made_on, logicalType: date}
      - {name: colour, logicalType: string}
      - {name: seen_at, logicalType: timestamp, physicalType: timestamptz, required: true}
      - {name: details, logicalType: object}
    quality:
      - name: light
        description: Light.
        type: custom
        engine: rowRule
        implementation: {expression: weight < 9 OR pieces = 1, column: weight}
"""
PART_ID, WEIGHT, PRICE, PIECES, MADE_ON, COLOUR, SEEN_AT, DETAILS = range(8)


def sound() -> dict:
    return yaml.safe_load(SOUND)


def column(document: dict, index: int) -> dict:
    return document["schema"][0]["properties"][index]


def written(tmp_path: Path, document: dict | str, name: str = "parts.yaml") -> Path:
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


def refusal(path: Path) -> ContractError:
    with pytest.raises(ContractError) as caught:
        read_contract(path)
    return caught.value


@pytest.mark.parametrize("name", ["sales", "inventory"])
def test_shipped_contract_is_the_same_from_the_child_and_from_this_process(name: str) -> None:
    path = CONTRACTS_DIR / f"{name}.yaml"
    assert read_contract(path) == compile_contract(path, path.read_bytes())


def test_sales_has_the_required_key_types_and_budget() -> None:
    sales = read_contract(CONTRACTS_DIR / "sales.yaml")
    assert sales.key == ("sale_id",)
    assert sales.newest_by == "updated_at"
    assert sales.budget == ErrorBudget()
    assert sales.unknown_columns is UnknownColumns.RESCUE
    assert len(sales.by_name["category"].allowed) == 8
    assert not sales.by_name["region"].required
    assert {name: c.postgres_type for name, c in sales.by_name.items()} == {
        "sale_id": "text",
        "sale_date": "date",
        "customer_id": "text",
        "customer_name": "text",
        "product": "text",
        "category": "text",
        "quantity": "bigint",
        "unit_price": "numeric(12,2)",
        "total_amount": "numeric(14,2)",
        "region": "text",
        "updated_at": "timestamptz",
    }


def test_inventory_has_other_types_a_composite_key_and_a_derived_column() -> None:
    inventory = read_contract(CONTRACTS_DIR / "inventory.yaml")
    assert inventory.key == ("warehouse_code", "sku")
    absent = {ColumnType.NUMBER, ColumnType.TIMESTAMPTZ}
    assert {c.type for c in inventory.columns} == set(COLUMN_TYPES.values()) - absent
    assert inventory.by_name["available"].derived == "on_hand - coalesce(reserved, 0)"
    assert "available" not in {c.name for c in inventory.source_columns}
    assert inventory.by_name["last_counted_on"].formats == ("%d.%m.%Y",)
    assert inventory.budget == ErrorBudget(share=0.01)


def test_a_sound_contract_is_compiled_completely(tmp_path: Path) -> None:
    contract = read_contract(written(tmp_path, SOUND))
    assert (contract.dataset, contract.version, contract.owner) == ("parts", "1.2.0", "stores")
    assert contract.freshness_hours == 48
    assert contract.unknown_columns is UnknownColumns.EVOLVE
    assert contract.budget == ErrorBudget(5, 0.1)
    assert contract.file_patterns == ("parts*.csv",)
    assert (contract.by_name["weight"].minimum, contract.by_name["weight"].maximum) == ("0", "10")
    assert contract.row_rules[0].column == "weight"
    assert isinstance(hash(contract), int)


def changed(*steps: tuple) -> dict:
    """The sound document with values set at (index of a property or a name at the top, key, value)."""
    document = sound()
    for where, key, value in steps:
        target = column(document, where) if isinstance(where, int) else document
        for part in [] if isinstance(where, int) or where == "" else where.split("."):
            target = target[int(part)] if part.isdigit() else target[part]
        target[key] = value
    return document


def rule(expression: str) -> tuple:
    return ("schema.0.quality.0", "implementation", {"expression": expression, "column": "weight"})


def gx(kind: str, **more: object) -> tuple:
    check = {"type": "custom", "engine": "greatExpectations", "implementation": {"type": kind, "kwargs": {}}}
    return (PIECES, "quality", [check | more])


def ingestion(**options: object) -> tuple:
    return ("customProperties.0", "value", options)


def custom(index: int, name: str, value: object) -> tuple:
    return (index, "customProperties", [{"property": name, "value": value}])


P = "schema[0].properties"
Q = "schema[0].quality[0]"
I = "customProperties[0].value"  # noqa: E741
BROKEN = {
    # typos at any level
    "typo at the top": ([("", "verion", "1")], "verion", "write 'version'"),
    "typo in a property": ([(WEIGHT, "requird", True)], f"{P}[1].requird", "write 'required'"),
    "typo in options": (
        [(COLOUR, "logicalTypeOptions", {"maxLenght": 3})],
        f"{P}[5].logicalTypeOptions.maxLenght",
        "maxLength",
    ),
    "typo in ingestion": ([ingestion(newestby="seen_at")], f"{I}.newestby", "write 'newestBy'"),
    "budget in other words": ([ingestion(errorBudget="unlimited")], f"{I}.errorBudget", "or none for no limit"),
    "no budget": ([ingestion(errorBudget=None)], f"{I}.errorBudget", "or none for no limit"),
    "unknown status": ([("", "status", "drafft")], "status", "write 'draft'"),
    "retired": ([("", "status", "retired")], "status", "remove the contract"),
    "typo in the budget": ([ingestion(errorBudget={"row": 1})], f"{I}.errorBudget.row", "write 'rows'"),
    "typo in a custom property": (
        [custom(COLOUR, "cleanning", ["trim"])],
        f"{P}[5].customProperties[0].property",
        "'cleaning'",
    ),
    "typo in a rule": (
        [("schema.0.quality.0", "implementation", {"expression": "true", "colum": "weight"})],
        f"{Q}.implementation.colum",
        "write 'column'",
    ),
    # shape
    "version missing": ([("", "version", None)], "version", "string"),
    "old version of the standard": ([("", "apiVersion", "v2.2.0")], "apiVersion", "v3.1.0"),
    "two datasets": ([("", "schema", [{"name": "a"}, {"name": "b"}])], "schema", "exactly one"),
    "no columns": ([("schema.0", "properties", [])], "schema[0].properties", "key column"),
    "required is text": ([(WEIGHT, "required", "yes")], f"{P}[1].required", "boolean"),
    # names
    "other than the file": ([("schema.0", "name", "pieces")], "schema[0].name", "rename the file to pieces.yaml"),
    "dataset in capitals": ([("schema.0", "name", "Parts")], "schema[0].name", "lower-case"),
    "column in capitals": ([(COLOUR, "name", "Colour")], f"{P}[5].name", "lower-case"),
    "column of the platform": ([(COLOUR, "name", "_file_id")], f"{P}[5].name", "lower-case"),
    "column twice": ([(COLOUR, "name", "weight")], f"{P}[5].name", "rename"),
    "column twice but for underscores": ([(COLOUR, "name", "seen__at")], f"{P}[6].name", "rename"),
    "another physical name": ([(COLOUR, "physicalName", "color")], f"{P}[5].physicalName", "rename the property"),
    # types
    "no type": ([(COLOUR, "logicalType", None)], f"{P}[5].logicalType", "string"),
    "type that cannot be loaded": ([(COLOUR, "logicalType", "time")], f"{P}[5].logicalType", "timestamp"),
    "number without precision": ([(WEIGHT, "physicalType", "numeric")], f"{P}[1].physicalType", "numeric(12,2)"),
    "number without physical type": ([(WEIGHT, "physicalType", None)], f"{P}[1].physicalType", "string"),
    "precision 39": ([(WEIGHT, "physicalType", "numeric(39,2)")], f"{P}[1].physicalType", "1 to 38"),
    "scale above precision": ([(WEIGHT, "physicalType", "numeric(4,5)")], f"{P}[1].physicalType", "scale"),
    "physical type of another": ([(PIECES, "physicalType", "text")], f"{P}[3].physicalType", "bigint"),
    "zone contradicted": (
        [(SEEN_AT, "logicalTypeOptions", {"timezone": False})],
        f"{P}[6].logicalTypeOptions.timezone",
        "timestamptz",
    ),
    # key and newest
    "no key": ([(PART_ID, "primaryKey", False)], "schema[0].properties", "primaryKey: true"),
    "key not required": ([(PART_ID, "required", False)], f"{P}[0]", "required: true"),
    "key of JSON": ([(DETAILS, "primaryKey", True), (DETAILS, "required", True)], f"{P}[7].primaryKey", "key of text"),
    "position of the key given twice": (
        [(PART_ID, "primaryKeyPosition", 1), (SEEN_AT, "primaryKey", True), (SEEN_AT, "primaryKeyPosition", 1)],
        "schema[0].properties",
        "1, 2, 3",
    ),
    "newest by nothing": ([ingestion(newestBy="sent_at")], f"{I}.newestBy", "name a column"),
    "newest by text": ([ingestion(newestBy="part_id")], f"{I}.newestBy", "date, time or number"),
    "newest may be null": ([ingestion(newestBy="made_on")], f"{I}.newestBy", "required"),
    # bounds, patterns, lists
    "minimum above maximum": (
        [(WEIGHT, "logicalTypeOptions", {"minimum": 9, "maximum": 1})],
        f"{P}[1].logicalTypeOptions",
        "exchange",
    ),
    "open interval without values": (
        [(WEIGHT, "logicalTypeOptions", {"exclusiveMinimum": 1, "maximum": 1})],
        f"{P}[1].logicalTypeOptions",
        "exchange",
    ),
    "both minimums": (
        [(WEIGHT, "logicalTypeOptions", {"minimum": 1, "exclusiveMinimum": 1})],
        f"{P}[1].logicalTypeOptions.exclusiveMinimum",
        "one of the two",
    ),
    "bound of another type": (
        [(MADE_ON, "logicalTypeOptions", {"minimum": "31.01.2026"})],
        f"{P}[4].logicalTypeOptions.minimum",
        "2026-01-31",
    ),
    "bound without its zone": (
        [(SEEN_AT, "logicalTypeOptions", {"minimum": "2026-01-31T00:00:00"})],
        f"{P}[6].logicalTypeOptions.minimum",
        "with a zone",
    ),
    "bound that the type cannot hold": (
        [(WEIGHT, "logicalTypeOptions", {"maximum": 10**9})],
        f"{P}[1].logicalTypeOptions.maximum",
        "numeric(10,3)",
    ),
    "half a piece": ([(PIECES, "logicalTypeOptions", {"minimum": 0.5})], f"{P}[3].logicalTypeOptions.minimum", "whole"),
    "pattern that is none": (
        [(COLOUR, "logicalTypeOptions", {"pattern": "("})],
        f"{P}[5].logicalTypeOptions.pattern",
        "correct the regular expression",
    ),
    "pattern only Python takes": (
        [(COLOUR, "logicalTypeOptions", {"pattern": "(?=red).*"})],
        f"{P}[5].logicalTypeOptions.pattern",
        "RE2",
    ),
    "lengths exchanged": (
        [(COLOUR, "logicalTypeOptions", {"minLength": 5, "maxLength": 2})],
        f"{P}[5].logicalTypeOptions.minLength",
        "exchange",
    ),
    "format that is not checked": (
        [(COLOUR, "logicalTypeOptions", {"format": "email"})],
        f"{P}[5].logicalTypeOptions.format",
        "pattern",
    ),
    "date pattern of the JDK": (
        [(MADE_ON, "logicalTypeOptions", {"format": "dd.MM.yyyy"})],
        f"{P}[4].logicalTypeOptions.format",
        "%d.%m.%Y",
    ),
    "option without an effect": (
        [(PIECES, "logicalTypeOptions", {"multipleOf": 5})],
        f"{P}[3].logicalTypeOptions.multipleOf",
        "rowRule",
    ),
    "key without an effect": ([(COLOUR, "transformLogic", "upper(x)")], f"{P}[5].transformLogic", "derived"),
    "list of numbers for text": (
        [(COLOUR, "enum", [{"value": 1}, {"value": "red"}])],
        f"{P}[5].enum[0]",
        "quotes",
    ),
    "list with tolerance": (
        [(COLOUR, "quality", [{"metric": "invalidValues", "mustBeLessThan": 5, "arguments": {"validValues": ["a"]}}])],
        f"{P}[5].quality[0]",
        "error budget",
    ),
    "list for a date": (
        [(MADE_ON, "enum", [{"value": "2026-01-31"}])],
        f"{P}[4].enum",
        "minimum and maximum",
    ),
    # cleaning, formats, derived
    "unknown cleaning": ([custom(COLOUR, "cleaning", ["trimm"])], f"{P}[5].customProperties[0].value[0]", "'trim'"),
    "cleaning a number": ([custom(PIECES, "cleaning", ["trim"])], f"{P}[3].customProperties[0].value", "only text"),
    "formats of a number": ([custom(PIECES, "formats", ["%d"])], f"{P}[3].customProperties[0].value", "only dates"),
    "format DuckDB refuses": (
        [custom(MADE_ON, "formats", ["%Q"])],
        f"{P}[4].customProperties[0].value[0]",
        "correct the format",
    ),
    "format with an offset for a date": (
        [custom(MADE_ON, "formats", ["%d.%m.%Y", "%d.%m.%Y%z"])],
        f"{P}[4].customProperties[0].value[1]",
        "correct the format",
    ),
    "format with an offset for a timestamp without one": (
        [(MADE_ON, "logicalType", "timestamp"), custom(MADE_ON, "formats", ["%Y-%m-%dT%H:%M:%S%z"])],
        f"{P}[4].customProperties[0].value[0]",
        "correct the format",
    ),
    "derived from nothing": (
        [custom(PIECES, "derived", "no_such + 1")],
        f"{P}[3].customProperties",
        "columns of this contract",
    ),
    "derived from itself": (
        [custom(PIECES, "derived", "pieces + 1")],
        f"{P}[3].customProperties",
        "columns of this contract",
    ),
    "derived of another type": (
        [custom(PIECES, "derived", "[1, 2]")],
        f"{P}[3].customProperties",
        "one DuckDB expression",
    ),
    # row rules: one plain condition over the row
    "rule with a typo": ([rule("wieght < 9")], f"{Q}.implementation.expression", "columns of this contract"),
    "rule that is no condition": ([rule("weight + 1")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule with a subquery": ([rule("weight < (SELECT 1)")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule with exists": ([rule("EXISTS (SELECT 1)")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule that breaks out": ([rule("true) OR (true")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule with a second statement": ([rule("true; DROP TABLE x")], f"{Q}.implementation.expression", "one DuckDB"),
    "rule with a table": ([rule("true FROM sales")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule with a comment": ([rule("true -- and so on")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule that reads a file": ([rule("read_text('/etc/passwd') = ''")], f"{Q}.implementation.expression", "one DuckDB"),
    "rule over many rows": ([rule("sum(weight) > 1")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule with a window": ([rule("row_number() OVER () > 1")], f"{Q}.implementation.expression", "one DuckDB"),
    "rule by chance": ([rule("random() > 0.5")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule about the session": ([rule("current_setting('threads') = '1'")], f"{Q}.implementation.expression", "one"),
    "rule with a parameter": ([rule("weight > $1")], f"{Q}.implementation.expression", "one DuckDB expression"),
    "rule about no column": (
        [("schema.0.quality.0", "implementation", {"expression": "true", "column": "wieght"})],
        f"{Q}.implementation.column",
        "'weight'",
    ),
    "rule without a name": ([("schema.0.quality.0", "name", "")], Q, "add name"),
    "rule with a severity": ([("schema.0.quality.0", "severity", "info")], f"{Q}.severity", "remove it"),
    "unknown engine": ([("schema.0.quality.0", "engine", "soda")], f"{Q}.engine", "greatExpectations"),
    # expectations
    "expectation with a typo": (
        [gx("expect_column_mean_to_be_betwen")],
        f"{P}[3].quality[0].implementation.type",
        "'expect_column_mean_to_be_between'",
    ),
    "unknown severity": (
        [gx("expect_column_mean_to_be_between", severity="error")],
        f"{P}[3].quality[0].severity",
        "critical",
    ),
    "free SQL": (
        [(PIECES, "quality", [{"type": "sql", "query": "SELECT 1", "mustBe": 1}])],
        f"{P}[3].quality[0].type",
        "free SQL",
    ),
    "metric without an operator": ([(PIECES, "quality", [{"metric": "nullValues"}])], f"{P}[3].quality[0]", "mustBe"),
    "rows counted in a column": (
        [(PIECES, "quality", [{"metric": "rowCount", "mustBe": 1}])],
        f"{P}[3].quality[0]",
        "schema[0]",
    ),
    # ingestion
    "newest by two": ([ingestion(newestBy=["weight"])], f"{I}.newestBy", "one column's name"),
    "topic with a space": ([ingestion(topic="my topic")], f"{I}.topic", "letters, digits, dots"),
    "freshness of no time": (
        [("", "slaProperties", [{"property": "freshness", "value": 0, "unit": "h"}])],
        "slaProperties[0].value",
        "a number above 0",
    ),
    "table of another name": ([("schema.0", "physicalName", "other")], "schema[0].physicalName", "the table is raw."),
    "uuid that is a text": (
        [(COLOUR, "physicalType", "text"), (COLOUR, "logicalTypeOptions", {"format": "uuid"})],
        f"{P}[5].logicalTypeOptions.format",
        "physicalType: uuid",
    ),
    "float that is exact": (
        [(WEIGHT, "logicalTypeOptions", {"format": "f64"})],
        f"{P}[1].logicalTypeOptions.format",
        "double precision",
    ),
    "arguments in a list": (
        [
            gx(
                "expect_column_max_to_be_between",
                implementation={"type": "expect_column_max_to_be_between", "kwargs": [1]},
            )
        ],
        f"{P}[3].quality[0].implementation.kwargs",
        "min_value",
    ),
    "allowed values with a severity": (
        [
            (
                COLOUR,
                "quality",
                [{"metric": "invalidValues", "mustBe": 0, "severity": "warning", "arguments": {"validValues": ["a"]}}],
            )
        ],
        f"{P}[5].quality[0].severity",
        "remove it",
    ),
    "nulls of a table": (
        [("schema.0", "quality", [{"metric": "nullValues", "mustBe": 0}])],
        "schema[0].quality[0]",
        "the quality of a property",
    ),
    "half a row": (
        [("schema.0", "quality", [{"metric": "rowCount", "mustBe": 1.5}])],
        "schema[0].quality[0]",
        "a whole number",
    ),
    "rows other than": (
        [("schema.0", "quality", [{"metric": "rowCount", "mustNotBe": 1}])],
        "schema[0].quality[0]",
        "mustBeBetween",
    ),
    "a measure": ([(COLOUR, "semanticType", "measure")], f"{P}[5].semanticType", "in the transformations"),
    "property unknown": (
        [("customProperties.0", "property", "ingestin")],
        "customProperties[0].property",
        "write 'ingestion'",
    ),
    "partition with a topic": (
        [ingestion(topic="parts"), custom(COLOUR, "partition", True)],
        "schema[0].properties",
        "the topic",
    ),
    "partition of a snapshot": (
        [ingestion(mode="snapshot"), custom(COLOUR, "partition", True)],
        "schema[0].properties",
        "or mode",
    ),
    "rule over a partition column": (
        [
            custom(COLOUR, "partition", True),
            (
                "schema.0",
                "quality",
                [
                    {
                        "type": "custom",
                        "engine": "rowRule",
                        "name": "r",
                        "description": "d",
                        "implementation": {"expression": "colour = 'red'"},
                    }
                ],
            ),
        ],
        f"{Q}.implementation.expression",
        "files have",
    ),
    "second ingestion": (
        [("", "customProperties", [{"property": "ingestion", "value": {}} for _ in range(2)])],
        "customProperties[1]",
        "keep one",
    ),
    "duplicates unknown": ([ingestion(onDuplicate="firstWins")], f"{I}.onDuplicate", "lastWins"),
    "duplicates as a list": ([ingestion(onDuplicate=["lastWins"])], f"{I}.onDuplicate", "refuse"),
    "unknown columns unknown": ([ingestion(unknownColumns="drop")], f"{I}.unknownColumns", "rescue"),
    "share above one": ([ingestion(errorBudget={"share": 1.5})], f"{I}.errorBudget.share", "0.01"),
    "negative rows": ([ingestion(errorBudget={"rows": -1})], f"{I}.errorBudget.rows", "positive"),
    "pattern climbs": ([ingestion(filePatterns=["../sales*.csv"])], f"{I}.filePatterns[0]", "relative to incoming/"),
    "pattern with a dot": ([ingestion(filePatterns=["./sales*.csv"])], f"{I}.filePatterns[0]", "relative"),
    "pattern with nothing": ([ingestion(filePatterns=["a//sales.csv"])], f"{I}.filePatterns[0]", "relative"),
    "pattern from the root": ([ingestion(filePatterns=["/sales.csv"])], f"{I}.filePatterns[0]", "relative"),
    "pattern too long": ([ingestion(filePatterns=["s" * 1025])], f"{I}.filePatterns[0]", "relative"),
    "too many patterns": ([ingestion(filePatterns=["s*.csv"] * 101)], f"{I}.filePatterns", "at most 100"),
    "pattern for everything": ([ingestion(filePatterns=["**"])], f"{I}.filePatterns[0]", "letters of its own"),
    "freshness without a unit": (
        [("", "slaProperties", [{"property": "freshness", "value": 3}])],
        "slaProperties[0].unit",
        "m, h or d",
    ),
}


@pytest.mark.parametrize(("steps", "path", "remedy"), BROKEN.values(), ids=list(BROKEN))
def test_broken_contract_is_refused_with_path_and_remedy(
    tmp_path: Path, steps: list[tuple], path: str, remedy: str
) -> None:
    error = refusal(written(tmp_path, changed(*steps)))
    assert path in [problem.path for problem in error.problems], str(error)
    remedies = [problem.remedy for problem in error.problems if problem.path == path]
    assert any(remedy in text for text in remedies), remedies
    for problem in error.problems:
        assert problem.what, problem
        assert problem.remedy, problem


NO_DOCUMENT = {
    "empty": ("", "not a mapping"),
    "a list": ("- a\n- b\n", "not a mapping"),
    "broken YAML": ("a: [1, 2\nb: 3\n", "did not find"),
    "duplicate key": ("version: 1\nid: a\nversion: 2\n", "'version' appears twice"),
    "bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors"),
    "python object": ("a: !!python/object/apply:os.system [ls]\n", "tags are not allowed"),
    "deep": ("a: " + "[" * 5_000 + "]" * 5_000, "nested deeper"),
    "two documents": ("a: 1\n---\nb: 2\n", "another document"),
    "huge": ("a: " + "x" * 300_000, "larger than 256 KiB"),
}


@pytest.mark.parametrize(("text", "what"), NO_DOCUMENT.values(), ids=list(NO_DOCUMENT))
def test_file_that_is_no_document_is_refused(tmp_path: Path, text: str, what: str) -> None:
    error = refusal(written(tmp_path, text))
    assert what in error.problems[0].what


def test_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "none.yaml").problems[0].what
    path = tmp_path / "parts.yaml"
    path.write_bytes(b"a: caf\xe9\n")
    assert "not UTF-8 at byte 6" in refusal(path).problems[0].what


def test_all_problems_are_reported_together_and_survive_pickling(tmp_path: Path) -> None:
    path = written(tmp_path, changed((COLOUR, "descripton", "x"), (PIECES, "physicalType", "text"), rule("nope > 1")))
    error = refusal(path)
    assert {problem.path for problem in error.problems} == {
        f"{P}[5].descripton",
        f"{P}[3].physicalType",
        f"{Q}.implementation.expression",
    }
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, PermanentError)
    assert again.code is Code.CONTRACT_INVALID
    assert (again.file, again.problems, str(again)) == (path, error.problems, str(error))


def test_lists_of_an_expectation_stay_hashable(tmp_path: Path) -> None:
    step = gx("expect_column_values_to_be_in_set", implementation={
        "type": "expect_column_values_to_be_in_set", "kwargs": {"value_set": [1, [2, 3]]},
    })  # fmt: skip
    (expectation,) = read_contract(written(tmp_path, changed(step))).expectations
    assert dict(expectation.kwargs)["value_set"] == (1, (2, 3))
    assert hash(expectation)


def test_message_names_file_path_and_remedy(tmp_path: Path) -> None:
    path = written(tmp_path, changed((WEIGHT, "requird", True)))
    text = str(refusal(path))
    assert str(path) in text
    assert "schema[0].properties[1].requird: unknown key. Remedy: write 'required', or remove it." in text


def test_plain_yaml_words_are_texts(tmp_path: Path) -> None:
    text = SOUND.replace(
        "{name: colour, logicalType: string}",
        "{name: colour, logicalType: string, enum: [{value: NO}, {value: 010}, {value: 2026-01-31}, {value: 1:30}]}",
    )
    contract = read_contract(written(tmp_path, text))
    assert contract.by_name["colour"].allowed == ("NO", "010", "2026-01-31", "1:30")


TYPES = {
    "text": ({"logicalType": "string"}, "text"),
    "varchar": ({"logicalType": "string", "physicalType": "varchar(20)"}, "text"),
    "uuid": ({"logicalType": "string", "physicalType": "uuid"}, "uuid"),
    "uuid by format": ({"logicalType": "string", "logicalTypeOptions": {"format": "uuid"}}, "uuid"),
    "integer": ({"logicalType": "integer"}, "bigint"),
    "numeric": ({"logicalType": "number", "physicalType": "DECIMAL(38, 10)"}, "numeric(38,10)"),
    "whole numeric": ({"logicalType": "number", "physicalType": "numeric(20)"}, "numeric(20,0)"),
    "double": ({"logicalType": "number", "physicalType": "double precision"}, "double precision"),
    "double by format": ({"logicalType": "number", "logicalTypeOptions": {"format": "f64"}}, "double precision"),
    "boolean": ({"logicalType": "boolean"}, "boolean"),
    "date": ({"logicalType": "date"}, "date"),
    "timestamp": ({"logicalType": "timestamp"}, "timestamp"),
    "timestamp with zone": ({"logicalType": "timestamp", "logicalTypeOptions": {"timezone": True}}, "timestamptz"),
    "timestamptz": ({"logicalType": "timestamp", "physicalType": "timestamp with time zone"}, "timestamptz"),
    "object": ({"logicalType": "object"}, "jsonb"),
    "array": ({"logicalType": "array", "physicalType": "jsonb"}, "jsonb"),
}


@pytest.mark.parametrize(("keys", "postgres"), TYPES.values(), ids=list(TYPES))
def test_type_is_compiled(tmp_path: Path, keys: dict, postgres: str) -> None:
    document = sound()
    document["schema"][0]["properties"][COLOUR] = {"name": "colour", **keys}
    contract = read_contract(written(tmp_path, document))
    assert contract.by_name["colour"].postgres_type == postgres


def test_semantic_type_column_is_accepted(tmp_path: Path) -> None:
    assert read_contract(written(tmp_path, changed((COLOUR, "semanticType", "column")))).by_name["colour"]


def test_narrow_physical_types_bound_their_values(tmp_path: Path) -> None:
    document = changed((PIECES, "physicalType", "smallint"), (COLOUR, "physicalType", "varchar(20)"))
    contract = read_contract(written(tmp_path, document))
    assert (contract.by_name["pieces"].minimum, contract.by_name["pieces"].maximum) == ("-32768", "32767")
    assert contract.by_name["colour"].max_length == 20


METRICS = {
    "row count": (None, {"metric": "rowCount", "mustBe": 7}, "expect_table_row_count_to_equal", {"value": 7}),
    "more rows": (
        None,
        {"metric": "rowCount", "mustBeGreaterThan": 7},
        "expect_table_row_count_to_be_between",
        {"min_value": 8},
    ),
    "so many rows or more": (
        None,
        {"metric": "rowCount", "mustBeGreaterOrEqualTo": 7},
        "expect_table_row_count_to_be_between",
        {"min_value": 7},
    ),
    "fewer rows": (
        None,
        {"metric": "rowCount", "mustBeLessThan": 7},
        "expect_table_row_count_to_be_between",
        {"max_value": 6},
    ),
    "so many rows or fewer": (
        None,
        {"metric": "rowCount", "mustBeLessOrEqualTo": 7},
        "expect_table_row_count_to_be_between",
        {"max_value": 7},
    ),
    "rows between": (
        None,
        {"metric": "rowCount", "mustBeBetween": [1, 9]},
        "expect_table_row_count_to_be_between",
        {"min_value": 1, "max_value": 9},
    ),
    "no nulls": (
        PIECES,
        {"metric": "nullValues", "mustBe": 0},
        "expect_column_values_to_not_be_null",
        {"column": "pieces"},
    ),
    "few nulls": (
        PIECES,
        {"metric": "missingValues", "mustBeLessOrEqualTo": 25, "unit": "percent"},
        "expect_column_values_to_not_be_null",
        {"column": "pieces", "mostly": 0.75},
    ),
    "no duplicates": (
        PIECES,
        {"metric": "duplicateValues", "mustBe": 0},
        "expect_column_values_to_be_unique",
        {"column": "pieces"},
    ),
    "no duplicates of two": (
        None,
        {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["pieces", "colour"]}},
        "expect_compound_columns_to_be_unique",
        {"column_list": ("pieces", "colour")},
    ),
}


@pytest.mark.parametrize(("index", "check", "kind", "kwargs"), METRICS.values(), ids=list(METRICS))
def test_library_metric_becomes_an_expectation(
    tmp_path: Path, index: int | None, check: dict, kind: str, kwargs: dict
) -> None:
    document = sound()
    target = document["schema"][0] if index is None else column(document, index)
    target["quality"] = [{**check, "severity": "warning", "description": "Why."}]
    found = read_contract(written(tmp_path, document)).expectations
    assert [(e.type, dict(e.kwargs), e.severity, e.description) for e in found] == [
        (kind, kwargs, Severity.WARNING, "Why.")
    ]


def test_unique_becomes_a_critical_expectation_except_for_the_key(tmp_path: Path) -> None:
    document = changed((COLOUR, "unique", True), (PART_ID, "unique", True))
    found = read_contract(written(tmp_path, document)).expectations
    assert [(e.type, dict(e.kwargs), e.severity) for e in found] == [
        ("expect_column_values_to_be_unique", {"column": "colour"}, Severity.CRITICAL)
    ]


def test_expectation_about_no_column_is_refused(tmp_path: Path) -> None:
    check = {"type": "custom", "engine": "greatExpectations"}
    check["implementation"] = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "peices"}}
    error = refusal(written(tmp_path, changed(("schema.0", "quality", [check]))))
    assert error.problems[0].what == "there is no column 'peices'"
    assert "'pieces'" in error.problems[0].remedy


def test_documentation_and_properties_of_other_vendors_are_accepted(tmp_path: Path) -> None:
    document = changed(
        ("", "tags", ["x"]),
        ("", "price", {"priceAmount": 1}),
        ("", "slaProperties", [{"property": "retention", "value": 7, "unit": "y"}]),
        (COLOUR, "classification", "public"),
        (COLOUR, "customProperties", [{"property": "anything", "value": 1, "vendor": "atlan"}]),
        (COLOUR, "quality", [{"type": "text", "description": "Written by hand."}]),
    )
    contract = read_contract(written(tmp_path, document))
    assert contract.freshness_hours is None
    assert contract.expectations == ()


@pytest.mark.parametrize(
    ("budget", "rejected", "read", "allowed"),
    [
        (ErrorBudget(), 0, 10, True),
        (ErrorBudget(), 1, 10, False),
        (ErrorBudget(rows=2), 2, 10, True),
        (ErrorBudget(rows=2), 3, 10, False),
        (ErrorBudget(share=0.01), 1, 100, True),
        (ErrorBudget(share=0.01), 2, 100, False),
        (ErrorBudget(rows=1, share=0.5), 2, 10, False),
        (ErrorBudget(share=0.29), 29, 100, True),
        (ErrorBudget(unlimited=True), 100, 100, True),
    ],
    ids=str,
)
def test_budget_applies_both_bounds_exactly(budget: ErrorBudget, rejected: int, read: int, allowed: bool) -> None:
    assert budget.allows(rejected, read) is allowed
    assert Decimal(rejected) / read <= 1


def test_error_budget_none_has_no_limit_and_is_described_so(tmp_path: Path) -> None:
    contract = read_contract(written(tmp_path, changed(ingestion(errorBudget="none"))))
    assert contract.budget == ErrorBudget(unlimited=True)
    assert "no limit: bad rows are rejected" in describe(contract)


@pytest.mark.parametrize("name", ["commits", "issues", "github_events"])
def test_contracts_of_the_collectors_have_no_limit(name: str) -> None:
    assert read_contract(CONTRACTS_DIR / f"{name}.yaml").budget.unlimited


@pytest.mark.parametrize(
    ("status", "is_draft"), [("draft", True), ("proposed", True), ("active", False), ("deprecated", False)]
)
def test_status_decides_whether_there_is_a_dag(tmp_path: Path, status: str, is_draft: bool) -> None:
    contract = read_contract(written(tmp_path, changed(("", "status", status))))
    assert contract.is_draft is is_draft
    assert ("no DAG until it is active" in describe(contract)) is is_draft


def gx_with(kind: str, **kwargs: object) -> dict:
    check = {"type": "custom", "engine": "greatExpectations", "implementation": {"type": kind, "kwargs": kwargs}}
    return changed(("schema.0", "quality", [check]))


REFUSED_EXPECTATIONS = {
    "SQL": gx_with("unexpected_rows_expectation", unexpected_rows_query="SELECT 1"),
    "two queries": gx_with(
        "expect_query_results_to_match_comparison",
        base_query="UPDATE raw.sales SET total_amount = 0 RETURNING 1",
        comparison_data_source_name="warehouse",
        comparison_query="SELECT 1",
    ),
    "another table": gx_with("expect_table_row_count_to_equal_other_table", other_table_name="ops.file_event"),
    "row condition": gx_with(
        "expect_column_values_to_not_be_null", column="colour", row_condition="1=1", condition_parser="spark"
    ),
    "condition parser": gx_with("expect_table_row_count_to_equal", value=1, condition_parser="great_expectations"),
    "batch": gx_with("expect_table_row_count_to_equal", value=1, batch_id="x"),
    "windows": gx_with("expect_table_row_count_to_equal", value=1, windows=[{}]),
    "parameter": gx_with("expect_table_row_count_to_equal", value={"$PARAMETER": "now()"}),
    "schema of JSON": gx_with("expect_column_values_to_match_json_schema", column="details", json_schema={}),
    "column of another type": gx_with("expect_column_values_to_not_be_null", column=["colour"]),
    "columns of another type": gx_with("expect_compound_columns_to_be_unique", column_list=5),
    "column with SQL": gx_with("expect_column_values_to_not_be_null", column="colour) FROM ops.file_event --"),
    "deep list": gx_with("expect_column_values_to_be_in_set", column="colour", value_set=[[[[["a"]]]]]),
    "mapping in a list": gx_with("expect_column_values_to_be_in_set", column="colour", value_set=[{"a": 1}]),
    "quantiles": gx_with("expect_column_quantile_values_to_be_between", column="pieces", quantile_ranges={"a": 1}),
}


@pytest.mark.parametrize("document", REFUSED_EXPECTATIONS.values(), ids=list(REFUSED_EXPECTATIONS))
def test_expectation_that_reads_more_than_columns_of_the_table_is_refused(tmp_path: Path, document: dict) -> None:
    problems = refusal(written(tmp_path, document)).problems
    assert {problem.path.partition(".implementation")[0] for problem in problems} == {Q}
    assert all(problem.remedy for problem in problems)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_be_in_set", {"column": "colour", "value_set": ["red", "blue"], "mostly": 0.9}),
        ("expect_column_sum_to_be_between", {"column": "pieces", "min_value": 1, "strict_min": True}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["part_id", "made_on"]}),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "weight", "column_B": "price"}),
        ("expect_table_columns_to_match_set", {"column_set": ["part_id"], "exact_match": False}),
        (
            "expect_column_quantile_values_to_be_between",
            {"column": "pieces", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, None]]}},
        ),
    ],
    ids=str,
)
def test_expectation_over_columns_is_accepted(tmp_path: Path, kind: str, kwargs: dict) -> None:
    (found,) = read_contract(written(tmp_path, gx_with(kind, **kwargs))).expectations
    assert found.type == kind
    assert set(dict(found.kwargs)) == set(kwargs)


@pytest.mark.parametrize("value", OnDuplicate)
def test_on_duplicate_is_read_and_described(tmp_path: Path, value: OnDuplicate) -> None:
    assert OnDuplicate.REFUSE is _read(tmp_path, SOUND).on_duplicate

    contract = _read(tmp_path, SOUND.replace("{newestBy: seen_at", f"{{newestBy: seen_at, onDuplicate: {value}"))

    assert contract.on_duplicate is value
    assert ("lastWins" in describe(contract)) is (value is OnDuplicate.LAST_WINS)


def _read(folder: Path, text: str) -> Contract:
    path = folder / "parts.yaml"
    path.write_text(text)
    return read_contract(path)
