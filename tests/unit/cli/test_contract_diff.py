"""`filegate contract diff`: what it says for each result of the comparison, which the load makes too."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from include.cli import contract_diff, contract_lookup
from include.cli.contracts import app
from include.ingestion.table_shape import Difference, TableShape
from include.ingestion.target import Target
from include.settings import CONTRACTS_DIR, IngestSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result

pytestmark = pytest.mark.unit


@pytest.fixture
def diff(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on the contract of sales, with a given result of the comparison."""

    @contextmanager
    def reading() -> Iterator[None]:
        yield None

    monkeypatch.setattr(contract_diff, "reading", reading)
    monkeypatch.setattr(contract_lookup, "use_platform", lambda: None)
    monkeypatch.setattr("include.settings.ingest_settings", lambda: IngestSettings(contracts_dir=CONTRACTS_DIR))

    def run(shape: TableShape, *arguments: str) -> Result:
        monkeypatch.setattr(Target, "shape", lambda *_: shape)
        return CliRunner().invoke(app, ["diff", *(arguments or ("sales",))])

    return run


def types() -> dict[str, str]:
    contract = contract_lookup.found_in(contract_lookup.catalog(), "sales")
    return {column.name: column.postgres_type for column in contract.columns}


def test_diff_of_a_table_that_fits_changes_nothing(diff: Callable[..., Result]) -> None:
    done = diff(TableShape((), (), types(), ("sale_id",)))
    assert done.exit_code == 0, done.output
    assert "columns are the same" in done.output
    assert "A load changes nothing of the table." in done.output


def test_diff_without_a_table_says_that_a_load_creates_it(diff: Callable[..., Result]) -> None:
    done = diff(TableShape(tuple(types())))
    assert done.exit_code == 0, done.output
    assert "A load creates it: " in done.output


def test_diff_names_columns_that_a_load_adds_widens_and_leaves_null(diff: Callable[..., Result]) -> None:
    table = types() | {"quantity": "integer", "old": "text"}
    del table["region"]
    done = diff(TableShape(("quantity", "region"), (), table, ("sale_id",)))
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.output.splitlines() if line}
    assert lines["quantity"].split() == ["quantity", "bigint", "integer", "widens", "it"]
    assert lines["region"].split()[1:] == ["text", "-", "adds", "it"]
    assert lines["old"].split()[1:] == ["-", "text", "leaves", "it", "null"]
    assert "A load adds 1 column and widens 1 column." in done.output


def test_diff_of_a_load_that_is_refused_ends_with_4_and_each_remedy(diff: Callable[..., Result]) -> None:
    difference = Difference("the column amount is text in the table", "ALTER TABLE raw.sales ALTER amount", "amount")
    shape = TableShape((), (difference,), types() | {"amount": "text"}, ("sale_id",))
    done = diff(shape)
    assert done.exit_code == 4
    assert "A load is refused as table-differs:" in done.output
    assert f"- {difference.text}: {difference.remedy}" in done.output
    assert max(map(len, done.output.splitlines()[:-2])) <= 120

    document = json.loads(diff(shape, "sales", "--json").stdout)
    assert document["load"] == "table-differs"
    assert document["differences"] == [{"column": "amount", "difference": difference.text, "remedy": difference.remedy}]
    assert {row["column"]: row["load"] for row in document["columns"]}["amount"] == "is refused"


def test_diff_of_an_unknown_dataset_names_the_nearest(diff: Callable[..., Result]) -> None:
    done = diff(TableShape(()), "sale")
    assert done.exit_code == 1
    assert "there is no contract for 'sale'; did you mean sales? datasets: " in done.output
