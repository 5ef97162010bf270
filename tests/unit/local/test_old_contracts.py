"""Contracts that users added to include/contracts, and settings that name this folder."""

from pathlib import Path

import pytest

from include.contracts.catalog import read_catalog
from include.settings import CONTRACTS_DIR
from local import settings
from local.console import Silence
from local.old_contracts import move_old_contracts
from local.settings import ingest_settings, names_old_contracts, pipeline_variables

pytestmark = pytest.mark.unit


class Notes(Silence):
    """Keeps the lines for the user."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    return old, new


def test_contracts_of_users_are_moved_with_a_line_each(folders: tuple[Path, Path]) -> None:
    old, new = folders
    (old / "reader.py").write_text("code")
    (old / "members.yaml").write_text("members")
    (old / "visits.yml").write_text("visits")
    notes = Notes()
    move_old_contracts(notes, old, new)
    assert sorted(path.name for path in old.iterdir()) == ["reader.py"]
    assert {path.name: path.read_text() for path in new.iterdir()} == {
        "members.yaml": "members",
        "visits.yml": "visits",
    }
    assert notes.lines == [
        "contracts/members.yaml: moved here from include/contracts",
        "contracts/visits.yml: moved here from include/contracts",
    ]
    move_old_contracts(notes, old, new)
    assert len(notes.lines) == 2


def test_contract_that_exists_in_both_folders_is_not_overwritten(folders: tuple[Path, Path]) -> None:
    old, new = folders
    for folder in folders:
        (folder / "same.yaml").write_text("same")
    (old / "sales.yaml").write_text("of the user")
    (new / "sales.yaml").write_text("of the release")
    notes = Notes()
    move_old_contracts(notes, old, new)
    assert (new / "sales.yaml").read_text() == "of the release"
    assert (old / "sales.yaml").read_text() == "of the user"
    assert not (old / "same.yaml").exists()
    assert [line for line in notes.lines if "sales.yaml" in line] == [
        "contracts/sales.yaml: differs from include/contracts/sales.yaml, which is not used: "
        "compare the two and delete the second"
    ]


@pytest.mark.parametrize("named", ["include/contracts", "./include/contracts/", str(settings.OLD_CONTRACTS_DIR)])
def test_old_env_file_uses_the_present_folder(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: tuple[Path, Path]
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"INGEST_CONTRACTS_DIR={named}\nINGEST_RETRIES=2\n")
    monkeypatch.setattr(settings, "ENV_FILE", file)
    monkeypatch.delenv("INGEST_CONTRACTS_DIR", raising=False)
    assert names_old_contracts()
    assert pipeline_variables() == {"INGEST_RETRIES": "2"}
    assert ingest_settings().contracts_dir == CONTRACTS_DIR
    assert "sales" in read_catalog(ingest_settings().contracts_dir).contracts
    notes = Notes()
    move_old_contracts(notes, *folders)
    assert "Remove the line from .env" in notes.lines[0]


def test_other_folder_of_contracts_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setenv("INGEST_CONTRACTS_DIR", str(tmp_path))
    assert not names_old_contracts()
    assert pipeline_variables()["INGEST_CONTRACTS_DIR"] == str(tmp_path)
