"""The options of a contract for JSON documents: record path, key column, and how they are described."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contracts.codec import decoded, encoded
from include.contracts.describe import describe
from include.contracts.dialect import Dialect
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract

pytestmark = pytest.mark.unit

DIALECT = "customProperties[1].value"


def contract_with(folder: Path, dialect: Any) -> Path:
    derived = [{"property": "derived", "value": "upper(station)"}]
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "readings", "version": "1.0.0", "status": "active",
        "customProperties": [
            {"property": "ingestion", "value": {"errorBudget": "none"}}, {"property": "dialect", "value": dialect},
        ],
        "schema": [{
            "name": "readings",
            "properties": [
                {"name": "station", "logicalType": "string", "primaryKey": True, "required": True},
                {"name": "value", "logicalType": "number", "physicalType": "numeric(8,3)",
                 "customProperties": [{"property": "path", "value": "readings.temperature.value"}]},
                {"name": "shouted", "logicalType": "string", "customProperties": derived},
            ],
        }],
    }  # fmt: skip
    path = folder / "readings.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("given", "expected", "steps"),
    [
        ({}, Dialect(), ()),
        ({"recordPath": "data"}, Dialect(record_path="data"), ("data",)),
        ({"recordPath": "a b.0.Größe (m)"}, Dialect(record_path="a b.0.Größe (m)"), ("a b", "0", "Größe (m)")),
        ({"recordPath": "r", "keyColumn": "station"}, Dialect("r", "station"), ("r",)),
        ({"keyColumn": "station"}, Dialect(key_column="station"), ()),
    ],
)
def test_options_of_json_documents_are_compiled(
    tmp_path: Path, given: dict[str, Any], expected: Dialect, steps: tuple[str, ...]
) -> None:
    contract = read_contract(contract_with(tmp_path, given))
    assert contract.dialect == expected
    assert (contract.dialect.record_steps, contract.dialect.has_documents) == (steps, bool(given))
    assert decoded(encoded(contract), contract.path) == contract
    described = describe(contract)
    assert "found at `readings.temperature.value`" in described
    assert (f"| Records in JSON | at `{expected.record_path}` |" in described) is bool(steps)
    assert ("| Keys of JSON records | `station` |" in described) is (expected.key_column is not None)


@pytest.mark.parametrize(
    ("given", "where", "remedy"),
    [
        ({"recordPath": "$.data"}, f"{DIALECT}.recordPath", "as response.stations"),
        ({"recordPath": "data[0]"}, f"{DIALECT}.recordPath", "as response.stations"),
        ({"recordPath": "data."}, f"{DIALECT}.recordPath", "as response.stations"),
        ({"recordPath": ""}, f"{DIALECT}.recordPath", "as response.stations"),
        ({"recordPath": 0}, f"{DIALECT}.recordPath", "as response.stations"),
        ({"recordpath": "data"}, f"{DIALECT}.recordpath", "write 'recordPath'"),
        ({"keyColumn": "nothing"}, f"{DIALECT}.keyColumn", "neither derived nor enriched and has no path"),
        ({"keyColumn": "value"}, f"{DIALECT}.keyColumn", "neither derived nor enriched and has no path"),
        ({"keyColumn": "shouted"}, f"{DIALECT}.keyColumn", "neither derived nor enriched and has no path"),
        ({"keyColumn": ["station"]}, f"{DIALECT}.keyColumn", "the column that receives the key"),
        (["data"], DIALECT, "write a mapping with"),
    ],
)
def test_unusable_option_is_refused_with_its_path_and_remedy(
    tmp_path: Path, given: Any, where: str, remedy: str
) -> None:
    with pytest.raises(ContractError) as caught:
        read_contract(contract_with(tmp_path, given))
    assert {problem.path: remedy in problem.remedy for problem in caught.value.problems} == {where: True}
