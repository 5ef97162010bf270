"""What `filegate reload`, `remove` and `reprocess --rejects` refuse before they ask any store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from include.cli import contract_lookup, files, output, reload, remove, replay
from include.settings import CONTRACTS_DIR, IngestSettings

if TYPE_CHECKING:
    from pathlib import Path

    import typer
    from typer.testing import Result

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the active contract of sales and a draft of inventory; no platform."""
    for name, status in (("sales", "active"), ("inventory", "draft")):
        text = (CONTRACTS_DIR / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(text.replace("status: active", f"status: {status}"), encoding="utf-8")
    monkeypatch.setattr("include.settings.ingest_settings", lambda: IngestSettings(contracts_dir=tmp_path))
    for module in (contract_lookup, remove, replay, files):
        monkeypatch.setattr(module, "use_platform", lambda *_: None)
    monkeypatch.delenv("WAREHOUSE_OWNER_PASSWORD", raising=False)
    return tmp_path


def run(app: typer.Typer, *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_reload_of_an_unknown_dataset_names_the_nearest() -> None:
    done = run(reload.app, "sale", "--yes")
    assert done.exit_code == 1
    assert "did you mean sales?" in done.output


def test_reload_of_a_draft_names_the_command_that_activates_it() -> None:
    done = run(reload.app, "inventory", "--yes")
    assert done.exit_code == 1
    assert "run first: filegate contract activate inventory" in done.output


def test_remove_of_an_active_dataset_names_the_contract(contracts: Path) -> None:
    done = run(remove.app, "sales", "--yes")
    assert done.exit_code == 1
    assert f"the contract of sales is active; delete {contracts / 'sales.yaml'} first" in done.output


def test_remove_of_a_dataset_with_a_broken_contract_names_it(contracts: Path) -> None:
    (contracts / "sales.yaml").write_text("kind: DataContract\n", encoding="utf-8")
    done = run(remove.app, "sales", "--yes")
    assert done.exit_code == 1
    assert "is broken and may be active" in done.output


def test_remove_without_the_owners_login_says_how_to_get_it() -> None:
    done = run(remove.app, "inventory", "--yes")
    assert done.exit_code == 1
    assert "set WAREHOUSE_OWNER_PASSWORD, see: filegate env --owner" in done.output


@pytest.mark.parametrize(
    "arguments",
    [(), ("--dataset", "sales"), ("--file", "1", "--dataset", "sales"), ("--file", "1", "--name", "a*")],
    ids=["nothing", "dataset", "file and dataset", "file and name"],
)
def test_replay_takes_ids_alone(arguments: tuple[str, ...]) -> None:
    done = run(files.app, "reprocess", "--rejects", *arguments)
    assert done.exit_code == 2
    assert "--rejects --file ID" in done.output


def test_confirm_without_a_terminal_is_wrong_usage() -> None:
    import typer

    app = typer.Typer()
    app.command()(lambda: output.confirm("Really?", yes=False))
    done = run(app)
    assert done.exit_code == 2
    assert "give --yes" in done.output
