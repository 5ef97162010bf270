"""Files of a broken contract wait for it, and those of other datasets do not."""

from pathlib import Path

import pytest

from include.contracts import checked
from include.contracts.catalog import Catalog, read_catalog
from include.contracts.problems import Remains
from include.contracts.remains import read_remains
from include.settings import CONTRACTS_DIR, IngestSettings

pytestmark = pytest.mark.unit

SALES = (CONTRACTS_DIR / "sales.yaml").read_text()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = IngestSettings(contracts_cache_dir=tmp_path / "cache")
    monkeypatch.setattr(checked, "ingest_settings", lambda: settings)


def contract(name: str, patterns: str, status: str = "active") -> str:
    """The sales contract under another name, with these file patterns."""
    begin, end = SALES.index("filePatterns: ["), SALES.index("]", SALES.index("filePatterns: ["))
    text = SALES[:begin] + f"filePatterns: [{patterns}" + SALES[end:]
    return text.replace("- name: sales\n", f"- name: {name}\n").replace("status: active", f"status: {status}")


def refused(text: str) -> str:
    return text.replace("kind: DataContract", "kind: Contract")


def cut(text: str) -> str:
    return text + "\n  - : ]\n"


def exhausting(text: str) -> str:
    """A rule that ends the process that checks it."""
    expression = "customer"
    for _ in range(34):
        expression = f"hex({expression})"
    properties = text.index("    properties:\n") + len("    properties:\n")
    derived = "      - {name: boom, logicalType: string, customProperties: [{property: derived, value: '%s'}]}\n"
    return text[:properties] + derived % expression + text[properties:]


def read(folder: Path, **contracts: str) -> Catalog:
    directory = folder / "contracts"
    directory.mkdir()
    for name, text in contracts.items():
        (directory / f"{name}.yaml").write_text(text)
    return read_catalog(directory)


@pytest.mark.parametrize("break_contract", [refused, cut, exhausting])
def test_files_that_match_a_broken_contract_wait_for_it(tmp_path: Path, break_contract) -> None:
    for attempt in range(2):  # from the child, and from the cache
        folder = tmp_path / str(attempt)
        folder.mkdir()
        catalog = read(
            folder,
            orders=contract("orders", "orders*.csv"),
            orders_eu=break_contract(contract("orders_eu", "orders_eu*.csv, eu_orders*.csv")),
        )
        assert sorted(catalog.contracts) == ["orders"]
        waits = {"orders_eu_1.csv": "orders_eu", "eu_orders_1.csv": "orders_eu"}
        for key in ("orders_eu_1.csv", "eu_orders_1.csv", "orders_us_1.csv", "orders/orders_eu_1.csv", "x.csv", "eu_/"):
            assert catalog.match_broken(key) == waits.get(key), key


def test_more_specific_pattern_of_a_sound_contract_takes_its_file(tmp_path: Path) -> None:
    catalog = read(
        tmp_path, orders=refused(contract("orders", "orders*.csv")), orders_eu=contract("orders_eu", "orders_eu*.csv")
    )
    assert catalog.match_broken("orders_eu_1.csv") is None
    assert catalog.match_broken("orders_1.csv") == "orders"


@pytest.mark.parametrize(
    "text", ["kind: [", "customProperties: *b\n", "\0", "- a", "customProperties:\n- {property: ingestion, value: {"]
)
def test_file_name_replaces_patterns_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    catalog = read(tmp_path, orders=text, sales=SALES)
    assert catalog.match_broken("orders_1.csv") == "orders"
    assert catalog.match_broken("sales_1.csv") is None


def test_no_file_waits_for_a_broken_contract_without_patterns(tmp_path: Path) -> None:
    assert read(tmp_path, orders="kind: DataContract\n").match_broken("orders_1.csv") is None


def test_broken_draft_takes_nothing_from_an_active_dataset(tmp_path: Path) -> None:
    catalog = read(tmp_path, a_draft=refused(contract("a_draft", "sales*.csv, a*.csv", "draft")), sales=SALES)
    assert catalog.match_broken("sales_1.csv") is None
    assert catalog.match_broken("a_1.csv") == "a_draft"


def test_copy_of_a_contract_takes_nothing_from_its_original(tmp_path: Path) -> None:
    """It is broken because it still has the original's name; only files of its other patterns wait for it."""
    catalog = read(tmp_path, a_copy=contract("sales", "sales*.csv, sales_eu*.csv"), sales=SALES)
    assert [error.dataset for error in catalog.broken] == ["a_copy"]
    assert catalog.match_broken("sales_1.csv") is None
    assert catalog.match_broken("sales_eu_1.csv") == "a_copy"


def test_files_of_the_second_dataset_of_a_topic_wait(tmp_path: Path) -> None:
    text = (CONTRACTS_DIR / "transactions.yaml").read_text()
    copy = text.replace("name: transactions", "name: transfers").replace("[transactions*.csv,", "[transfers*.csv,")
    assert read(tmp_path, transactions=text, transfers=copy).match_broken("transfers_1.csv") == "transfers"


INGESTION = "customProperties:\n- property: ingestion\n  value:\n    filePatterns: "
HOSTILE = {
    "alias in the list": (f"a: &x b\n{INGESTION}[a*.csv, *x, b*.csv]\n", ("a*.csv", "b*.csv")),
    "deep after the list": (f"{INGESTION}[a*.csv]\nx: " + "[" * 5_000, ("a*.csv",)),
    "deep before the list": ("x: " + "[" * 5_000 + "]" * 5_000 + f"\n{INGESTION}[a*.csv]\n", None),
    "list that is cut": (f"{INGESTION}[a*.csv, 'b*", ("a*.csv",)),
    "too many": (f"{INGESTION}[" + "a*.csv, " * 5_000 + "]\n", ("a*.csv",) * 100),
    "for everything": (f"{INGESTION}['*', a*.csv]\n", ("a*.csv",)),
    "for everything alone": (f"{INGESTION}['*']\n", None),
    "too long": (f"{INGESTION}[{'a' * 5_000}]\n", None),
    "no list": (f"{INGESTION}a*.csv\n", None),
    "lists in the list": (f"{INGESTION}[[a*.csv], {{b: c}}, b*.csv]\n", ("b*.csv",)),
    "list as a key": (f"? [a, b]\n: c\n{INGESTION}[a*.csv]\n", ("a*.csv",)),
    "empty list": (f"{INGESTION}[]\n", ()),
    "no file patterns": ("a: b\n", ()),
    "two documents": (f"{INGESTION}[a*.csv]\n---\nb: c\n", ("a*.csv",)),
    "odd types": ("customProperties: [null, 1, {property: ingestion, value: 3}]\nschema: {a: 1}\n", ()),
}


@pytest.mark.parametrize(("text", "patterns"), HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_yaml_gives_only_allowed_patterns(text: str, patterns: tuple[str, ...] | None) -> None:
    assert read_remains(text.encode()).file_patterns == patterns


def test_remains_are_the_same_after_json() -> None:
    found = read_remains(contract("x", "x*.csv", "draft").encode())
    assert found == Remains(("x*.csv",), "x", is_draft=True)
    assert Remains.of_json(found.as_json()) == found
