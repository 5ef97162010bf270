"""Which definitions and contracts a DAG file reads, in a worker and in the DAG processor."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
from airflow.sdk.definitions.context import AirflowParsingContext

from include.contracts.checked import read_contracts
from include.contracts.model import Contract
from include.contracts.problems import ContractError
from include.orchestration import catalog, sources
from include.settings import CONTRACTS_DIR, IngestSettings, SourceSettings
from tests.unit.sources.source_files import document, written

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the definitions: two sources of two contracts of three."""
    contracts, definitions = tmp_path / "contracts", tmp_path / "sources"
    contracts.mkdir()
    definitions.mkdir()
    for name in ("inventory", "transactions", "sales"):
        copy(CONTRACTS_DIR / f"{name}.yaml", contracts)
    written(definitions, document(name="shop", dataset="sales"), "shop.yaml")
    written(definitions, document(name="bank", dataset="transactions", deliver="topic"), "bank.yaml")
    for module in (catalog, sources):
        monkeypatch.setattr(module, "ingest_settings", lambda: IngestSettings(contracts_dir=contracts))
    monkeypatch.setattr(sources, "source_settings", lambda: SourceSettings(dir=definitions))
    catalog.catalog.cache_clear()
    sources.source_catalog.cache_clear()
    yield definitions
    catalog.catalog.cache_clear()
    sources.source_catalog.cache_clear()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the contracts that are read."""
    names: list[str] = []

    def reading(paths: list[Path]) -> list[Contract | ContractError]:
        names.extend(path.stem for path in paths)
        return read_contracts(paths)

    monkeypatch.setattr("include.contracts.catalog.read_contracts", reading)
    return names


def parse(monkeypatch: pytest.MonkeyPatch, dag_id: str | None) -> list[tuple[str, str]]:
    monkeypatch.setattr(sources, "get_parsing_context", lambda: AirflowParsingContext(dag_id, None))
    return [(source.name, contract.dataset) for source, contract in sources.sources_of_this_parse()]


def test_the_dag_processor_reads_everything_once(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse(monkeypatch, None) == [("bank", "transactions"), ("shop", "sales")]
    assert read == ["inventory", "sales", "transactions"]


def test_a_worker_reads_the_definition_of_its_dag_and_its_contract_alone(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, "a: [", "broken.yaml")
    assert parse(monkeypatch, "collect_bank") == [("bank", "transactions")]
    assert read == ["transactions"]


def test_a_broken_definition_is_reported_and_affects_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.report_broken_sources()
    sources.source_catalog.cache_clear()
    written(folder, document(name="broken", dataset="sale"), "broken.yaml")
    assert parse(monkeypatch, None) == [("bank", "transactions"), ("shop", "sales")]
    with pytest.raises(
        sources.BrokenSourcesError, match=r"broken.yaml has 1 problem.*\n.*dataset: .*did you mean sales"
    ):
        sources.report_broken_sources()


def test_without_definitions_no_contract_is_read(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert parse(monkeypatch, None) == []
    sources.report_broken_sources()
    assert read == []
