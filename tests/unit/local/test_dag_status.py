"""The problems of DAGs that `filegate status` shows: import errors, missing DAGs, an empty catalogue."""

import os
import shutil
import time
from pathlib import Path
from typing import cast

import pytest

from include.settings import CONTRACTS_DIR
from local.airflow_api import AirflowApi, Answer
from local.commands.dag_status import contract_problems, dag_problems

pytestmark = pytest.mark.unit

TRACE = """Traceback (most recent call last):
  File "/x/dags/broken_contracts.py", line 9, in <module>
    report_broken_contracts()
include.orchestration.catalog.BrokenContractsError:
contract: contract-invalid: orders.yaml has 1 problem (/x/orders.yaml)
  - status: 'x' is not a status that a contract can have here. Remedy: write 'draft'.
"""


class Listing:
    """A replacement for Airflow's API with fixed lists."""

    def __init__(self, *dag_ids: str, errors: tuple[Answer, ...] = ()) -> None:
        self._dags, self._errors = dag_ids, errors

    def dags(self) -> list[Answer]:
        return [{"dag_id": dag_id} for dag_id in self._dags]

    def import_errors(self) -> list[Answer]:
        return list(self._errors)


def api(*dag_ids: str, errors: tuple[Answer, ...] = ()) -> AirflowApi:
    return cast("AirflowApi", Listing(*dag_ids, errors=errors))


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """Contracts of sales and of the topic transactions, saved an hour ago."""
    for name in ("sales", "transactions"):
        shutil.copy(CONTRACTS_DIR / f"{name}.yaml", tmp_path)
        os.utime(tmp_path / f"{name}.yaml", (time.time() - 3600,) * 2)
    return tmp_path


ALL = ("ingest_sales", "ingest_transactions", "consume_transactions")


def test_nothing_is_wrong_when_every_contract_has_its_dags(contracts: Path) -> None:
    assert dag_problems(api(*ALL), contracts, 3600, 120) == []


def test_missing_dag_is_named_with_its_dataset(contracts: Path) -> None:
    assert dag_problems(api(*ALL[:2]), contracts, 3600, 120) == [
        "transactions has a contract, and no DAG consume_transactions"
    ]


def test_dag_may_be_missing_for_a_while_after_the_start(contracts: Path) -> None:
    assert dag_problems(api(), contracts, 30, 120) == []


def test_dag_may_be_missing_for_a_while_after_its_contract_was_saved(contracts: Path) -> None:
    os.utime(contracts / "transactions.yaml")
    assert dag_problems(api("ingest_sales"), contracts, 3600, 120) == []


def test_draft_misses_no_dag(contracts: Path) -> None:
    path = contracts / "transactions.yaml"
    path.write_text(path.read_text().replace("status: active", "status: draft"))
    os.utime(path, (0, 0))
    assert dag_problems(api("ingest_sales"), contracts, 3600, 120) == []


def test_import_error_is_shown_without_its_stack(contracts: Path) -> None:
    error = {"filename": "dags/broken_contracts.py", "stack_trace": TRACE}
    [problem] = dag_problems(api(*ALL, errors=(error,)), contracts, 3600, 120)
    assert problem.startswith("import error in dags/broken_contracts.py: ")
    assert "Remedy: write 'draft'." in problem
    assert "line 9" not in problem


def test_empty_catalogue_and_missing_directory_are_problems(tmp_path: Path) -> None:
    [problem] = contract_problems(tmp_path)
    assert problem.startswith(f"no contract in {tmp_path}")
    [problem] = dag_problems(api(), tmp_path / "none", 3600, 120)
    assert "no such directory" in problem


def test_list_of_dags_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow returns at most 100 entries per page, whatever the limit."""
    names = [f"dag_{number:03}" for number in range(250)]

    def answer(_: AirflowApi, __: str, path: str) -> Answer:
        asked = dict(part.split("=") for part in path.partition("?")[2].split("&"))
        start, limit = int(asked["offset"]), min(int(asked["limit"]), 100)
        return {"dags": [{"dag_id": name} for name in names[start : start + limit]], "total_entries": len(names)}

    monkeypatch.setattr(AirflowApi, "_call", answer)
    found = AirflowApi("http://127.0.0.1:1", "u", "p").dags()
    assert [dag["dag_id"] for dag in found] == names
