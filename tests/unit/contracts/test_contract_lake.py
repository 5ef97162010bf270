"""The custom property `lake` of a contract: whether the table is in the lakehouse, and its partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.contracts.codec import decoded, encoded
from include.contracts.describe import describe
from include.contracts.model import Contract, LakeOptions
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def contract_with(folder: Path, **lake: Any) -> Contract:
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "parts",
        "version": "1.0.0",
        "customProperties": [{"property": "lake", "value": lake["lake"]}] if lake else [],
        "schema": [{
            "name": "parts",
            "properties": [
                {"name": "id", "logicalType": "string", "required": True, "primaryKey": True},
                {"name": "day", "logicalType": "date"},
                {"name": "sold_at", "logicalType": "timestamp"},
            ],
        }],
    }  # fmt: skip
    path = folder / "parts.yaml"
    path.write_text(yaml.safe_dump(document))
    return read_contract(path)


@pytest.mark.parametrize(
    ("value", "partition_by"),
    [
        (True, ()),
        ({"partitionBy": "id"}, ("id",)),
        ({"partitionBy": ["month(day)", "hour(sold_at)"]}, ("month(day)", "hour(sold_at)")),
    ],
)
def test_table_is_kept_in_the_lake(tmp_path: Path, value: Any, partition_by: tuple[str, ...]) -> None:
    contract = contract_with(tmp_path, lake=value)
    assert contract.lake == LakeOptions(partition_by)
    assert decoded(encoded(contract), contract.path) == contract
    assert "`lake.raw.parts`" in describe(contract)


def test_table_is_not_in_the_lake_unless_the_contract_says_so(tmp_path: Path) -> None:
    assert contract_with(tmp_path).lake is None
    contract = contract_with(tmp_path, lake=False)
    assert contract.lake is None
    assert "lake" not in describe(contract).lower()


@pytest.mark.parametrize(
    ("value", "path", "remedy"),
    [
        ("yes", "", "write true"),
        (None, "", "write true"),
        ({}, ".partitionBy", "partitionBy: [region"),
        ({"partitionBy": []}, ".partitionBy", "partitionBy: [region"),
        ({"partitionBy": ["idd"]}, ".partitionBy[0]", "id"),
        ({"partitionBy": ["day(id)"]}, ".partitionBy[0]", "a date or a time"),
        ({"partitionBy": ["id", "hour(day)"]}, ".partitionBy[1]", "a date or a time"),
        ({"partitionBy": ["day(sold_at"]}, ".partitionBy[0]", "month(column)"),
        ({"partitionBy": ["id); DROP TABLE x --"]}, ".partitionBy[0]", "write a column"),
        ({"partition": ["id"]}, ".partition", "partitionBy"),
    ],
)
def test_broken_option_is_refused_with_path_and_remedy(tmp_path: Path, value: Any, path: str, remedy: str) -> None:
    with pytest.raises(ContractError) as caught:
        contract_with(tmp_path, lake=value)
    found = {problem.path: problem.remedy for problem in caught.value.problems}
    assert remedy in found[f"customProperties[0].value{path}"], str(caught.value)
