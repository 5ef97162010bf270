"""`filegate contract activate`: from draft to active, by one line of the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from include.cli.contracts import app
from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR, IngestSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("include.settings.ingest_settings", lambda: IngestSettings(contracts_dir=tmp_path))
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    path = tmp_path / "sales.yaml"
    path.write_text(text.replace("status: active", "status: draft  # until it was looked at"), encoding="utf-8")
    return path


def activate(*arguments: str):
    return CliRunner().invoke(app, ["activate", *arguments])


def test_activate_changes_the_status_and_nothing_else(draft: Path) -> None:
    before = draft.read_text(encoding="utf-8")
    done = activate("sales")
    assert done.exit_code == 0, done.output
    assert draft.read_text(encoding="utf-8") == before.replace("status: draft", "status: active")
    assert not read_contract(draft).is_draft
    assert "active already" in activate("sales").output


def test_activate_refuses_lines_that_are_marked_for_review(draft: Path) -> None:
    text = draft.read_text(encoding="utf-8")
    draft.write_text(text + "# REVIEW: is this the key?\n", encoding="utf-8")
    refused = activate("sales")
    assert refused.exit_code == 1
    assert f"marked REVIEW or TODO: line {len(text.splitlines()) + 1}." in refused.output
    assert read_contract(draft).is_draft
    assert activate("sales", "--reviewed").exit_code == 0


def test_activate_refuses_a_text_that_is_still_to_be_written(draft: Path) -> None:
    text = draft.read_text(encoding="utf-8")
    draft.write_text(text.replace("purpose: ", "purpose: TODO ", 1), encoding="utf-8")
    refused = activate("sales")
    assert refused.exit_code == 1
    assert "marked REVIEW or TODO: line " in refused.output
    assert read_contract(draft).is_draft


MARKS = {
    "a value of the sample": ('examples: ["TODO", "# REVIEW"]', False),
    "a comment": ('examples: ["done"]  # TODO others', True),
    "a comment behind a mark in quotes": ('examples: ["# done"]  # REVIEW', True),
    "a description": ('description: "TODO"', True),
    "a description of several lines": ("description: |\n          The value,\n          TODO say more", True),
    "a description with the letters": ("description: the TODOs of a list", False),
}


@pytest.mark.parametrize(("line", "is_marked"), MARKS.values(), ids=list(MARKS))
def test_activate_looks_for_marks_in_texts_and_comments_only(draft: Path, line: str, is_marked: bool) -> None:
    text = draft.read_text(encoding="utf-8")
    column = "      - name: region\n"
    assert column in text
    text = text.replace(column, f"      - name: todo_list\n        logicalType: string\n        {line}\n{column}")
    draft.write_text(text, encoding="utf-8", newline="\r\n")
    done = activate("sales")
    assert done.exit_code == int(is_marked), done.output
    assert ("marked REVIEW or TODO: line " in done.output) is is_marked


def test_activate_refuses_a_team_that_is_still_to_be_named(draft: Path) -> None:
    text = draft.read_text(encoding="utf-8")
    draft.write_text(re.sub(r"(?m)^(team:\n +name: ).*", r"\1TODO", text), encoding="utf-8")
    assert "marked REVIEW or TODO: line " in activate("sales").output


def test_activate_of_an_unknown_dataset_names_the_nearest(draft: Path) -> None:
    refused = activate("sale")
    assert refused.exit_code == 1
    assert "did you mean sales?" in refused.output


def test_activate_takes_both_endings_of_yaml(draft: Path) -> None:
    moved = draft.rename(draft.with_suffix(".yml"))
    done = activate("sales")
    assert done.exit_code == 0, done.output
    assert not read_contract(moved).is_draft


def test_activate_refuses_one_of_two_files_of_a_dataset(draft: Path) -> None:
    text = draft.read_text(encoding="utf-8")
    draft.with_suffix(".yml").write_text(text.replace("status: draft", "status: active"), encoding="utf-8")
    refused = activate("sales")
    assert refused.exit_code == 1
    assert "sales.yml describes 'sales' too" in refused.output
    assert draft.read_text(encoding="utf-8") == text


def test_activate_leaves_a_broken_contract_as_it_is(draft: Path) -> None:
    broken = draft.read_text(encoding="utf-8").replace("status: draft", "status: [draft")
    draft.write_text(broken, encoding="utf-8")
    assert activate("sales").exit_code == 1
    assert draft.read_text(encoding="utf-8") == broken
