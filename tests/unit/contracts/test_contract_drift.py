"""The custom property `drift`: which columns are compared, and what it must not name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.contracts.codec import decoded, encoded
from include.contracts.describe import describe
from include.contracts.drift import Drift
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

V = "customProperties[1].value"
COLUMNS = [
    {"name": "id", "logicalType": "string", "required": True, "primaryKey": True},
    {"name": "at", "logicalType": "timestamp", "required": True},
    {"name": "kind", "logicalType": "string"},
    {"name": "hours", "logicalType": "number", "physicalType": "numeric(6,2)"},
    {"name": "is_open", "logicalType": "boolean"},
    {"name": "day", "logicalType": "date"},
    {"name": "parts", "logicalType": "array"},
]


def written(folder: Path, *values: Any) -> Path:
    """A contract with the property once for each value, after another property."""
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "work",
        "version": "1.0.0",
        "customProperties": [
            {"property": "ingestion", "value": {}},
            *({"property": "drift", "value": value} for value in values),
        ],
        "schema": [{"name": "work", "properties": COLUMNS}],
    }
    path = folder / "work.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("time", ["at", "day"])
def test_drift_is_read_kept_and_described(tmp_path: Path, time: str) -> None:
    contract = read_contract(written(tmp_path, {"time": time, "columns": ["kind", "hours", "is_open"]}))

    assert contract.drift == Drift(time, ("kind", "hours", "is_open"))
    assert decoded(encoded(contract), contract.path) == contract
    assert f"`kind`, `hours`, `is_open`: the last 7 days are compared with the 28 before, by `{time}`" in describe(
        contract
    )


def test_contract_without_drift_compares_nothing(tmp_path: Path) -> None:
    contract = read_contract(written(tmp_path))

    assert contract.drift is None
    assert "Drift" not in describe(contract)


BROKEN: dict[str, tuple[Any, str, str]] = {
    "a list": (["kind"], V, "{time: created_at, columns: [type]}"),
    "nothing": (None, V, "{time: created_at, columns: [type]}"),
    "no time": ({"columns": ["kind"]}, f"{V}.time", "the column that holds the time of a row"),
    "time is a number": ({"time": 1, "columns": ["kind"]}, f"{V}.time", "the column that holds the time of a row"),
    "unknown time": ({"time": "ta", "columns": ["kind"]}, f"{V}.time", "use one of at, "),
    "time is a text": ({"time": "kind", "columns": ["kind"]}, f"{V}.time", "name a date or timestamp column"),
    "no columns": ({"time": "at"}, f"{V}.columns", "one or more columns"),
    "columns are empty": ({"time": "at", "columns": []}, f"{V}.columns", "one or more columns"),
    "columns are a text": ({"time": "at", "columns": "kind"}, f"{V}.columns", "one or more columns"),
    "a column is a number": ({"time": "at", "columns": ["kind", 1]}, f"{V}.columns", "one or more columns"),
    "a column twice": ({"time": "at", "columns": ["kind", "kind"]}, f"{V}.columns", "keep one"),
    "unknown column": ({"time": "at", "columns": ["id", "kinds"]}, f"{V}.columns[1]", "write 'kind'"),
    "a time": ({"time": "at", "columns": ["day"]}, f"{V}.columns[0]", "numbers, text or true and false"),
    "a document": ({"time": "at", "columns": ["parts"]}, f"{V}.columns[0]", "numbers, text or true and false"),
    "unknown key": ({"time": "at", "column": ["kind"], "columns": ["kind"]}, f"{V}.column", "write 'columns'"),
}


@pytest.mark.parametrize(("value", "path", "remedy"), BROKEN.values(), ids=list(BROKEN))
def test_broken_drift_is_refused_with_path_and_remedy(tmp_path: Path, value: Any, path: str, remedy: str) -> None:
    with pytest.raises(ContractError) as caught:
        read_contract(written(tmp_path, value))

    found = {problem.path: problem.remedy for problem in caught.value.problems}
    assert remedy in found[path], str(caught.value)


def test_second_drift_is_refused(tmp_path: Path) -> None:
    good = {"time": "at", "columns": ["kind"]}
    with pytest.raises(ContractError, match="a second 'drift'"):
        read_contract(written(tmp_path, good, {"columns": ["kind"], "time": "at"}))
