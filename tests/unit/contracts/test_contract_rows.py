"""The options of a contract that say which rows are inserted, deleted, or too few: in the property `ingestion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.contracts.codec import decoded, encoded
from include.contracts.describe import describe
from include.contracts.model import APPEND_KEY, Contract, Deletes, Mode
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

APPENDS = list(APPEND_KEY)
I = "customProperties[0].value"  # noqa: E741


def written(folder: Path, ingestion: dict[str, Any], *, key: bool = True) -> Path:
    columns = [
        {"name": "id", "logicalType": "string", "required": True} | ({"primaryKey": True} if key else {}),
        {"name": "at", "logicalType": "timestamp", "required": True},
    ]
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "parts",
        "version": "1.0.0",
        "customProperties": [{"property": "ingestion", "value": ingestion}],
        "schema": [{"name": "parts", "properties": columns}],
    }
    path = folder / "parts.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def contract_with(folder: Path, *, key: bool = True, **ingestion: Any) -> Contract:
    return read_contract(written(folder, ingestion, key=key))


def test_defaults_delete_nothing_and_accept_any_number_of_rows(tmp_path: Path) -> None:
    contract = contract_with(tmp_path)

    assert (contract.mode, contract.deletes, contract.min_share_of_usual) == (Mode.MERGE, None, None)
    assert not contract.is_snapshot
    assert not contract.appends
    assert "Deletes" not in describe(contract)


@pytest.mark.parametrize(
    ("options", "deletes", "share", "shown"),
    [
        ({}, Deletes.HARD, 0.1, "are deleted; a file that lacks more than 10 % of"),
        ({"deletes": "soft"}, Deletes.SOFT, 0.1, "marked in `_deleted_at`"),
        ({"maxDeleteShare": 0.005}, Deletes.HARD, 0.005, "more than 0.5 % of"),
        ({"maxDeleteShare": 1}, Deletes.HARD, 1.0, "more than 100 % of"),
        ({"maxDeleteShare": 0}, Deletes.HARD, 0.0, "more than 0 % of"),
    ],
)
def test_snapshot_is_read_and_described(
    tmp_path: Path, options: dict[str, Any], deletes: Deletes, share: float, shown: str
) -> None:
    contract = contract_with(tmp_path, mode="snapshot", **options)

    assert (contract.is_snapshot, contract.deletes, contract.max_delete_share) == (True, deletes, share)
    assert shown in describe(contract)
    assert decoded(encoded(contract), contract.path) == contract


@pytest.mark.parametrize("newest", [{}, {"newestBy": "at"}], ids=["file written last", "newest by"])
def test_snapshots_load_in_the_order_of_writing(tmp_path: Path, newest: dict[str, str]) -> None:
    assert contract_with(tmp_path, mode="snapshot", **newest).loads_in_order
    assert contract_with(tmp_path, **newest).loads_in_order is (not newest)


def test_rows_without_a_key_are_appended_in_any_order(tmp_path: Path) -> None:
    contract = read_contract(written(tmp_path, {"key": APPENDS}, key=False))

    assert contract.key == APPEND_KEY
    assert contract.appends
    assert contract.key_columns == ()
    assert not contract.loads_in_order
    assert "none replaces another" in describe(contract)
    assert decoded(encoded(contract), contract.path) == contract


def test_switch_for_deletes_of_a_topic(tmp_path: Path) -> None:
    contract = contract_with(tmp_path, topic="parts", deletes="soft")

    assert (contract.is_snapshot, contract.deletes) == (False, Deletes.SOFT)
    assert "message without a value is marked" in describe(contract)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_least_share_of_the_usual_rows_is_read_and_described(tmp_path: Path, share: float) -> None:
    contract = contract_with(tmp_path, minShareOfUsual=share)

    assert contract.min_share_of_usual == share
    assert f"at least {share * 100:g} % of the median" in describe(contract)


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "another key": ({"key": ["id"]}, "key", "_file_id, _source_row"),
    "system columns in another order": ({"key": APPENDS[::-1]}, "key", "_file_id, _source_row"),
    "key as a text": ({"key": "_file_id"}, "key", "primaryKey"),
    "no key": ({"key": None}, "key", "primaryKey"),
    "append and newestBy": ({"key": APPENDS, "newestBy": "at"}, "newestBy", "remove newestBy"),
    "append and onDuplicate": ({"key": APPENDS, "onDuplicate": "lastWins"}, "onDuplicate", "remove onDuplicate"),
    "append and snapshot": ({"key": APPENDS, "mode": "snapshot"}, "mode", "remove mode"),
    "append and deletes": ({"key": APPENDS, "deletes": "hard"}, "deletes", "remove deletes"),
    "append and a topic": ({"key": APPENDS, "topic": "parts"}, "topic", "remove topic"),
    "mode unknown": ({"mode": "snapshots"}, "mode", "snapshot"),
    "mode as a list": ({"mode": ["snapshot"]}, "mode", "merge"),
    "snapshot and a topic": ({"mode": "snapshot", "topic": "parts"}, "topic", "deletes: hard or soft"),
    "deletes unknown": ({"mode": "snapshot", "deletes": "yes"}, "deletes", "hard, soft"),
    "deletes are null": ({"mode": "snapshot", "deletes": None}, "deletes", "hard, soft"),
    "deletes of nothing": ({"deletes": "hard"}, "deletes", "mode: snapshot"),
    "share of deletes without a snapshot": ({"maxDeleteShare": 0.2}, "maxDeleteShare", "mode: snapshot"),
    "share of deletes above one": ({"mode": "snapshot", "maxDeleteShare": 10}, "maxDeleteShare", "0.01"),
    "share of deletes below zero": ({"mode": "snapshot", "maxDeleteShare": -0.1}, "maxDeleteShare", "0.01"),
    "share of deletes in words": ({"mode": "snapshot", "maxDeleteShare": "10%"}, "maxDeleteShare", "0.01"),
    "share of deletes not a number": ({"mode": "snapshot", "maxDeleteShare": float("nan")}, "maxDeleteShare", "0.01"),
    "least share above one": ({"minShareOfUsual": 1.01}, "minShareOfUsual", "0.01"),
    "least share is true": ({"minShareOfUsual": True}, "minShareOfUsual", "0.01"),
    "least share is null": ({"minShareOfUsual": None}, "minShareOfUsual", "0.01"),
    "typo": ({"minShareOfUsuall": 0.5}, "minShareOfUsuall", "write 'minShareOfUsual'"),
}


@pytest.mark.parametrize(("ingestion", "name", "remedy"), BROKEN.values(), ids=list(BROKEN))
def test_broken_option_is_refused_with_path_and_remedy(
    tmp_path: Path, ingestion: dict[str, Any], name: str, remedy: str
) -> None:
    with pytest.raises(ContractError) as caught:
        read_contract(written(tmp_path, ingestion, key="key" not in ingestion))

    found = {problem.path: problem.remedy for problem in caught.value.problems}
    assert remedy in found[f"{I}.{name}"], str(caught.value)


def test_primary_key_beside_the_append_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        read_contract(written(tmp_path, {"key": APPENDS}))

    (problem,) = caught.value.problems
    assert problem.path == "schema[0].properties[0].primaryKey"


def test_missing_key_names_both_remedies(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no key column") as caught:
        read_contract(written(tmp_path, {}, key=False))

    assert "key: [_file_id, _source_row]" in str(caught.value)
