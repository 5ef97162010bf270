"""Finding contracts, and the contract of a file."""

from pathlib import Path
from shutil import copy

import pytest

from include.contracts.catalog import Catalog, UnknownDatasetError, read_catalog
from include.contracts.problems import ContractError
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return read_catalog(CONTRACTS_DIR)


def test_shipped_contracts_are_all_sound(catalog: Catalog) -> None:
    assert sorted(catalog.contracts) == [
        "activity", "commits", "crypto_candles", "crypto_prices", "github_events", "inventory", "issues", "projects",
        "sales", "tasks", "teams", "transactions", "users", "weather", "weather_now",
    ]  # fmt: skip
    assert catalog.broken == ()


def test_broken_contract_affects_no_other(tmp_path: Path) -> None:
    copy(CONTRACTS_DIR / "sales.yaml", tmp_path)
    (tmp_path / "broken.yaml").write_text("kind: DataContract\n")
    (tmp_path / "notes.txt").write_text("no contract")
    found = read_catalog(tmp_path)
    assert list(found.contracts) == ["sales"]
    assert [error.file.name for error in found.broken] == ["broken.yaml"]


def test_second_file_of_a_dataset_is_refused(tmp_path: Path) -> None:
    copy(CONTRACTS_DIR / "sales.yaml", tmp_path)
    copy(CONTRACTS_DIR / "sales.yaml", tmp_path / "sales.yml")
    found = read_catalog(tmp_path)
    assert list(found.contracts) == ["sales"]
    assert "schema[0].name: sales.yaml describes 'sales' too" in str(found.broken[0])


def test_second_dataset_of_a_topic_is_refused(tmp_path: Path) -> None:
    copy(CONTRACTS_DIR / "transactions.yaml", tmp_path)
    text = (CONTRACTS_DIR / "transactions.yaml").read_text().replace("name: transactions", "name: transfers")
    (tmp_path / "transfers.yaml").write_text(text.replace("id: transactions", "id: transfers"))
    found = read_catalog(tmp_path)
    assert list(found.contracts) == ["transactions"]
    assert "ingestion.topic: transactions.yaml has the topic 'transactions' too" in str(found.broken[0])


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no such directory"):
        read_catalog(tmp_path / "none")


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("sales/anything at all.bin", "sales"),
        ("sales/deep/down.csv", "sales"),
        ("sales_2026-01-31.csv", "sales"),
        ("inventory.ndjson", "inventory"),
        ("inventory/sales.csv", "inventory"),
        ("Sales.csv", None),
        ("sales.exe", None),
        ("other/sales.csv", None),
        ("sales/", None),
        ("sales", None),
        ("unknown/x.csv", None),
    ],
)
def test_file_belongs_to(catalog: Catalog, key: str, dataset: str | None) -> None:
    found = catalog.match(key)
    assert (found.dataset if found else None) == dataset


def test_most_specific_pattern_wins(tmp_path: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text()
    (tmp_path / "sales.yaml").write_text(text)
    special = text.replace("- name: sales\n", "- name: sales_web\n").replace("[sales*.csv,", "[sales_web*.csv,")
    (tmp_path / "sales_web.yaml").write_text(special)
    found = read_catalog(tmp_path)
    assert found.match("sales_web_1.csv").dataset == "sales_web"
    assert found.match("sales_1.csv").dataset == "sales"


def test_files_that_do_not_mention_a_word_are_not_read(tmp_path: Path) -> None:
    copy(CONTRACTS_DIR / "inventory.yaml", tmp_path)
    (tmp_path / "broken.yaml").write_text("kind: DataContract\n")

    found = read_catalog(tmp_path, mentions="inventory")

    assert (list(found.contracts), found.broken) == (["inventory"], ())
    assert read_catalog(tmp_path, mentions="invent").contracts == {}


def test_draft_is_known_and_makes_no_dag(tmp_path: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text().replace("status: active", "status: draft")
    (tmp_path / "sales.yaml").write_text(text)
    copy(CONTRACTS_DIR / "inventory.yaml", tmp_path)
    found = read_catalog(tmp_path)
    assert (list(found.contracts), list(found.drafts), found.broken) == (["inventory"], ["sales"], ())
    assert sorted(found.known) == ["inventory", "sales"]
    assert found.match("sales_1.csv") is None
    for key in ("sales_1.csv", "sales/anything"):
        draft = found.match_draft(key)
        assert draft is not None
        assert draft.dataset == "sales"
    assert found.match_draft("inventory_1.csv") is None


def test_contract_is_found_by_the_name_of_its_dataset(tmp_path: Path) -> None:
    copy(CONTRACTS_DIR / "sales.yaml", tmp_path)
    (tmp_path / "broken.yaml").write_text("kind: DataContract\n")
    text = (CONTRACTS_DIR / "inventory.yaml").read_text().replace("status: active", "status: draft")
    (tmp_path / "inventory.yaml").write_text(text)
    found = read_catalog(tmp_path)
    assert found.find("sales") is found.contracts["sales"]
    assert found.find("inventory") is found.drafts["inventory"]
    with pytest.raises(UnknownDatasetError, match=r"no contract for 'inventory'; datasets: sales$"):
        found.find("inventory", drafts=False)
    with pytest.raises(UnknownDatasetError, match=r"'slaes'; did you mean sales\? datasets: inventory, sales$"):
        found.find("slaes")
    with pytest.raises(ContractError, match=r"broken\.yaml"):
        found.find("broken")


def test_draft_never_replaces_an_active_contract(tmp_path: Path) -> None:
    text = (CONTRACTS_DIR / "transactions.yaml").read_text()
    copy(CONTRACTS_DIR / "transactions.yaml", tmp_path)
    draft = text.replace("name: transactions", "name: a_draft").replace("status: active", "status: draft")
    (tmp_path / "a_draft.yaml").write_text(draft)
    found = read_catalog(tmp_path)
    assert list(found.contracts) == ["transactions"]
    assert "has the topic 'transactions' too" in str(found.broken[0])


@pytest.mark.parametrize(("name", "is_empty"), [(None, True), ("sales", False), ("broken", False), ("draft", False)])
def test_catalog_without_any_contract_is_empty(tmp_path: Path, name: str | None, is_empty: bool) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text()
    contents = {"sales": text, "broken": "kind: x", "draft": text.replace("status: active", "status: draft")}
    (tmp_path / "notes.txt").write_text("no contract")
    if name is not None:
        (tmp_path / "sales.yaml").write_text(contents[name])
    assert read_catalog(tmp_path).is_empty is is_empty
