"""Which contracts a worker reads before it runs a task."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
from airflow.sdk.definitions.context import AirflowParsingContext

from include.contracts.checked import read_contracts
from include.contracts.model import Contract
from include.contracts.problems import ContractError
from include.orchestration import catalog
from include.settings import CONTRACTS_DIR, IngestSettings

pytestmark = pytest.mark.unit


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the contract files that are read, in a folder of three."""
    for name in ("inventory", "transactions", "sales"):
        copy(CONTRACTS_DIR / f"{name}.yaml", tmp_path)
    names: list[str] = []
    monkeypatch.setattr(catalog, "ingest_settings", lambda: IngestSettings(contracts_dir=tmp_path))

    def reading(paths: list[Path]) -> list[Contract | ContractError]:
        names.extend(path.stem for path in paths)
        return read_contracts(paths)

    monkeypatch.setattr("include.contracts.catalog.read_contracts", reading)
    catalog.catalog.cache_clear()
    yield names
    catalog.catalog.cache_clear()


@pytest.mark.parametrize(
    ("dag_id", "wanted"),
    [
        pytest.param("ingest_inventory", ["inventory"], id="a dataset"),
        pytest.param("consume_transactions", ["transactions"], id="a topic"),
        pytest.param(None, ["inventory", "sales", "transactions"], id="the DAG processor"),
    ],
)
def test_a_worker_reads_the_contract_of_its_dag_alone(
    read: list[str], monkeypatch: pytest.MonkeyPatch, dag_id: str | None, wanted: list[str]
) -> None:
    monkeypatch.setattr(catalog, "get_parsing_context", lambda: AirflowParsingContext(dag_id, None))

    contracts = catalog.contracts_of_this_parse()

    assert read == wanted
    assert [contract.dataset for contract in contracts] == wanted


def test_a_task_finds_all_contracts(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For example the first task of transform_warehouse: this DAG id does not end with the name of a dataset."""
    monkeypatch.setattr(catalog, "get_parsing_context", lambda: AirflowParsingContext("transform_warehouse", None))

    contracts = catalog.sound_contracts()

    assert [contract.dataset for contract in contracts] == ["inventory", "sales", "transactions"]


def test_a_worker_runs_no_expression_that_was_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is neither in the cache nor checked by the DAG processor."""
    rule = "abs(total_amount - quantity * unit_price) <= 0.01"
    text = (CONTRACTS_DIR / "sales.yaml").read_text()
    (tmp_path / "sales.yaml").write_text(text.replace(rule, "random() > 0.5"))
    monkeypatch.setattr(catalog, "ingest_settings", lambda: IngestSettings(contracts_dir=tmp_path))
    monkeypatch.setattr(catalog, "get_parsing_context", lambda: AirflowParsingContext("ingest_sales", "claim_files"))
    assert catalog.contracts_of_this_parse() == []
    (tmp_path / "sales.yaml").write_text(text)
    assert [contract.dataset for contract in catalog.contracts_of_this_parse()] == ["sales"]
