"""A property's options in the compiled column, and the refusal of options without an effect."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contracts.date_formats import EPOCHS
from include.contracts.model import Cleaning
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract

pytestmark = pytest.mark.unit

WHERE = "schema[0].properties[1]"
BAD_PATHS = {
    "dollar": "$.a.b", "empty step": "a..b", "empty last step": "a.", "brackets": "items[0].sku", "line end": "a\nb",
    "33 steps": ".".join("a" * 33), "too long": "x" * 501, "number": 3, "empty": "",
}  # fmt: skip


def contract_with(folder: Path, prop: dict[str, Any], **schema: Any) -> Path:
    """A sound contract whose second property, `x`, is as given."""
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "parts", "version": "1.2.0", "status": "active",
        "description": {"purpose": "Parts in stock."}, "team": {"name": "stores"},
        "slaProperties": [{"property": "freshness", "value": 2, "unit": "d"}],
        "schema": [{
            "name": "parts",
            "properties": [
                {"name": "part_id", "logicalType": "string", "primaryKey": True, "required": True},
                {"name": "x", "logicalType": "string"} | prop,
            ],
        } | schema],
    }  # fmt: skip
    path = folder / "parts.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("prop", "expected"),
    [
        ({"logicalTypeOptions": {"minLength": 2}}, {"min_length": 2, "max_length": None, "pattern": None}),
        ({"logicalTypeOptions": {"minLength": 3, "maxLength": 3}}, {"min_length": 3, "max_length": 3}),
        ({"physicalType": "varchar(5)", "logicalTypeOptions": {"maxLength": 9}}, {"max_length": 5}),
        ({"logicalTypeOptions": {"pattern": "[a-z]+"}}, {"pattern": "[a-z]+"}),
        (
            {"logicalType": "integer", "logicalTypeOptions": {"minimum": 1, "exclusiveMaximum": 3}},
            {"minimum": "1", "exclusive_minimum": False, "maximum": "3", "exclusive_maximum": True},
        ),
        (
            {"logicalType": "integer", "logicalTypeOptions": {"minimum": 4, "maximum": 4}},
            {"minimum": "4", "maximum": "4"},
        ),
        (
            {"logicalType": "integer", "physicalType": "smallint", "logicalTypeOptions": {"minimum": 0}},
            {"minimum": "0", "maximum": "32767"},
        ),
        ({"semanticType": "dimension", "description": " two\n words "}, {"description": "two words"}),
        (
            {"customProperties": [{"property": "cleaning", "value": ["trim", "lower"]}]},
            {"cleaning": (Cleaning.TRIM, Cleaning.LOWER)},
        ),
        (
            {"customProperties": [{"property": "path", "value": "items.0.Größe (m)"}]},
            {"path": "items.0.Größe (m)", "steps": ("items", "0", "Größe (m)")},
        ),
        ({"customProperties": [{"property": "partition", "value": True}]}, {"partition": "x", "is_sent": False}),
        ({"customProperties": [{"property": "partition", "value": "Day"}]}, {"partition": "Day"}),
        ({}, {"path": None, "steps": ()}),
        (
            {"logicalType": "timestamp", "customProperties": [{"property": "formats", "value": [*EPOCHS, "%d.%m.%Y"]}]},
            {"formats": ("epoch-seconds", "epoch-milliseconds", "%d.%m.%Y")},
        ),
        ({"logicalType": "boolean", "examples": [True, False]}, {"examples": ("true", "false")}),
        ({"customProperties": [{"property": "owner", "vendor": "acme", "value": 1}]}, {"name": "x"}),
    ],
    ids=[
        "least length", "one length", "shorter of two lengths", "pattern", "bounds", "one value", "range of the type",
        "dimension", "cleaning", "path", "partition", "named partition", "no path", "numbers since 1970", "examples",
        "another vendor's property",
    ],
)  # fmt: skip
def test_an_option_is_compiled_into_the_column(tmp_path: Path, prop: dict[str, Any], expected: dict[str, Any]) -> None:
    column = read_contract(contract_with(tmp_path, prop)).by_name["x"]
    assert {name: getattr(column, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("prop", "schema", "path", "message"),
    [
        ({"semanticType": "measure"}, {}, f"{WHERE}.semanticType", "a measure is no column"),
        ({"physicalName": "y"}, {}, f"{WHERE}.physicalName", "differs from the name 'x'"),
        ({}, {"physicalName": "y"}, "schema[0].physicalName", "differs from the name 'parts'"),
        (
            {},
            {"customProperties": [{"property": "hint", "value": 1}]},
            "schema[0].customProperties[0].property",
            "'hint' is not known here",
        ),
        ({"logicalTypeOptions": {"format": "email"}}, {}, f"{WHERE}.logicalTypeOptions.format", "is not checked"),
        ({"logicalTypeOptions": {"pattern": "("}}, {}, f"{WHERE}.logicalTypeOptions.pattern", "not a regular"),
        (
            {"logicalType": "timestamp", "logicalTypeOptions": {"defaultTimezone": "Europe/Berlin"}},
            {},
            f"{WHERE}.logicalTypeOptions.defaultTimezone",
            "read as UTC",
        ),
        (
            {"customProperties": [{"property": "cleaning", "value": "trim"}]},
            {},
            f"{WHERE}.customProperties[0].value",
            "not a list of steps",
        ),
        *(
            (
                {"customProperties": [{"property": "path", "value": value}]},
                {},
                f"{WHERE}.customProperties[0].value",
                "is not a path",
            )
            for value in BAD_PATHS.values()
        ),
        (
            {
                "customProperties": [
                    {"property": "path", "value": "a.b"},
                    {"property": "derived", "value": "upper(part_id)"},
                ]
            },
            {},
            f"{WHERE}.customProperties",
            "is not in the file and has a path",
        ),
        *(
            (
                {"customProperties": [{"property": "partition", "value": value}]},
                {},
                f"{WHERE}.customProperties[0].value",
                "is no folder",
            )
            for value in (False, "", "a=b", "a/b", 1, ["dt"])
        ),
        (
            {"logicalType": "object", "customProperties": [{"property": "partition", "value": True}]},
            {},
            f"{WHERE}.customProperties[0].value",
            "not taken from a folder",
        ),
        (
            {
                "customProperties": [
                    {"property": "partition", "value": True},
                    {"property": "derived", "value": "upper(part_id)"},
                ]
            },
            {},
            f"{WHERE}.customProperties",
            "another source",
        ),
        (
            {
                "customProperties": [
                    {"property": "partition", "value": True},
                    {"property": "path", "value": "a.b"},
                ]
            },
            {},
            f"{WHERE}.customProperties",
            "is not in the file and has a path",
        ),
        (
            {"customProperties": [{"property": "derived", "value": " "}]},
            {},
            f"{WHERE}.customProperties[0].value",
            "not an expression",
        ),
        (
            {"logicalType": "date", "customProperties": [{"property": "formats", "value": ["dd.mm.yyyy"]}]},
            {},
            f"{WHERE}.customProperties[0].value",
            "not a list of strptime formats",
        ),
        (
            {"logicalType": "timestamp", "customProperties": [{"property": "formats", "value": ["epoch-second"]}]},
            {},
            f"{WHERE}.customProperties[0].value",
            "not a list of strptime formats",
        ),
        (
            {"logicalType": "date", "customProperties": [{"property": "formats", "value": ["epoch-seconds"]}]},
            {},
            f"{WHERE}.customProperties[0].value[0]",
            "only a timestamp column",
        ),
    ],
    ids=[
        "measure", "other column name", "other table name", "property of the dataset", "format of a text",
        "broken pattern", "time zone", "cleaning is no list",
        *(f"path {fault}" for fault in BAD_PATHS), "path of a derived column",
        *(f"folder {at}" for at in range(6)), "folder of a document", "folder of a derived column",
        "path of a folder", "empty expression",
        "format of another kind", "unknown unit since 1970", "number since 1970 in a date",
    ],
)  # fmt: skip
def test_option_without_an_effect_is_refused_with_its_path(
    tmp_path: Path, prop: dict[str, Any], schema: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        read_contract(contract_with(tmp_path, prop, **schema))
    problems = {problem.path: problem.what for problem in caught.value.problems}
    assert message in problems[path]
