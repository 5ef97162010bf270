"""Enriched columns that the contract reader accepts, and its messages about the others."""

from pathlib import Path

import pytest
import yaml

from include.contracts.model import Enrichment
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

TRANSACTIONS = CONTRACTS_DIR / "transactions.yaml"
INPUTS = ["id", "description", "amount", "timestamp", "merchant", "operation_type", "side"]


def document() -> dict:
    return yaml.safe_load(TRANSACTIONS.read_text(encoding="utf-8"))


def column(contract: dict, name: str) -> dict:
    return next(one for one in contract["schema"][0]["properties"] if one["name"] == name)


def problems(tmp_path: Path, contract: dict) -> str:
    path = tmp_path / "transactions.yaml"
    path.write_text(yaml.safe_dump(contract), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        read_contract(path)
    return str(caught.value)


def test_category_of_transactions_is_enriched_and_not_sent() -> None:
    contract = read_contract(TRANSACTIONS)
    assert contract.enriched == {"category": Enrichment.TRANSACTION_CATEGORY}
    assert [one.name for one in contract.source_columns] == INPUTS
    assert contract.topic == "transactions"


def test_unknown_enrichment_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    contract = document()
    column(contract, "category")["customProperties"][0]["value"] = "transaction-categories"
    message = problems(tmp_path, contract)
    assert "'transaction-categories' is no enrichment" in message
    assert "transaction-category" in message.replace("transaction-categories", "")


@pytest.mark.parametrize("value", [None, 7, True, ["transaction-category"], {"name": "transaction-category"}])
def test_enrichment_that_is_no_name_is_refused(tmp_path: Path, value: object) -> None:
    contract = document()
    column(contract, "category")["customProperties"][0]["value"] = value
    assert "is no enrichment" in problems(tmp_path, contract)


@pytest.mark.parametrize("name", [name for name in INPUTS if name not in {"id", "timestamp"}])
def test_missing_input_is_refused_by_name(tmp_path: Path, name: str) -> None:
    contract = document()
    contract["schema"][0]["properties"].remove(column(contract, name))
    message = problems(tmp_path, contract)
    assert f"transaction-category needs a column {name} (" in message
    assert f"add a column {name} of type" in message


@pytest.mark.parametrize(
    ("name", "change", "wanted"),
    [
        pytest.param("id", {"physicalType": "text"}, "uuid", id="id is text"),
        pytest.param("amount", {"logicalType": "integer", "physicalType": "bigint"}, "number", id="amount is whole"),
        pytest.param(
            "timestamp",
            {"physicalType": "timestamp", "logicalTypeOptions": {"timezone": False}},
            "timestamptz",
            id="time without zone",
        ),
        pytest.param(
            "merchant", {"logicalType": "object", "physicalType": "jsonb", "logicalTypeOptions": {}}, "text",
            id="merchant is an object",
        ),
    ],
)  # fmt: skip
def test_input_of_another_type_is_refused(tmp_path: Path, name: str, change: dict, wanted: str) -> None:
    contract = document()
    given = column(contract, name)
    given.update(change)
    given.pop("customProperties", None)
    given.pop("examples", None)
    assert f"transaction-category needs a column {name} ({wanted})" in problems(tmp_path, contract)


def test_input_that_is_derived_is_refused(tmp_path: Path) -> None:
    """The order of derived and enriched columns is not defined."""
    contract = document()
    merchant = column(contract, "merchant")
    merchant["customProperties"] = [{"property": "derived", "value": "upper(description)"}]
    assert "needs a column merchant (text)" in problems(tmp_path, contract)


def test_enriched_column_that_is_no_text_is_refused(tmp_path: Path) -> None:
    contract = document()
    column(contract, "category").update(logicalType="integer", physicalType="bigint")
    assert "transaction-category gives text, not bigint" in problems(tmp_path, contract).replace("integer", "bigint")


@pytest.mark.parametrize("role", ["key", "newestBy", "derived"])
def test_enriched_column_that_must_be_known_before_is_refused(tmp_path: Path, role: str) -> None:
    contract = document()
    category = column(contract, "category")
    if role == "key":
        category["primaryKey"] = True
    elif role == "newestBy":
        contract["customProperties"][0]["value"]["newestBy"] = "category"
    else:
        category["customProperties"].append({"property": "derived", "value": "upper(description)"})
    message = problems(tmp_path, contract)
    assert "'category' must be known before rows are enriched" in message
    assert "choose another column" in message
