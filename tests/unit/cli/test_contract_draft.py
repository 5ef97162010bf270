"""`filegate contract draft`: prints, writes once, and says why a file cannot be drafted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from include.cli import contract_draft
from include.cli.contracts import app
from include.contracts.reader import read_contract
from include.settings import IngestSettings
from tests.workbook_files import zipped

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the contracts."""
    found = tmp_path / "contracts"
    settings = IngestSettings(contracts_dir=found)
    monkeypatch.setattr(contract_draft, "finds_platform", lambda _: False)
    for module in ("include.cli.contract_draft", "include.contracts.__main__", "include.settings"):
        monkeypatch.setattr(f"{module}.ingest_settings", lambda: settings)
    return found


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "Größen 2026-11.csv"
    path.write_text("id;größe\n1;1,5\n2;2,5\n", encoding="utf-8")
    return path


def draft(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["draft", *map(str, arguments)])


def test_draft_prints_the_contract_and_writes_nothing(folder: Path, sample: Path) -> None:
    done = draft(sample)
    assert done.exit_code == 0, done.output
    assert "id: groessen\n" in done.stdout
    assert 'delimiter: ";"  # REVIEW' in done.stdout
    assert not folder.exists()


def test_draft_of_an_archive_is_that_of_its_largest_file(folder: Path, sample: Path) -> None:
    archive = sample.with_name("export.zip")
    archive.write_bytes(zipped({"a/notes.txt": "x", "a/things.csv": sample.read_text(encoding="utf-8")}))
    done = draft(archive)
    assert done.exit_code == 0, done.output
    assert "drafted from its file a/things.csv" in done.stderr
    assert done.stdout.startswith("# Drafted from export.zip: csv, 2 rows")
    assert 'delimiter: ";"  # REVIEW' in done.stdout
    assert 'member: "*.csv"  # REVIEW the archive has other files' in done.stdout
    beside = sample.with_name("beside.zip")
    beside.write_bytes(
        zipped({"in.zip": zipped({"a": "x" * 5000}), "a.pdf": b"%PDF-1.7 " * 999, "a.csv": sample.read_bytes()})
    )
    assert "drafted from its file a.csv" in draft(beside).stderr
    nested = sample.with_name("nested.zip")
    nested.write_bytes(zipped({"in.zip": archive.read_bytes()}))
    refused = draft(nested)
    assert (refused.exit_code, "nested-archive" in refused.output) == (1, True)


def test_written_draft_is_sound_and_waits_for_its_review(folder: Path, sample: Path) -> None:
    done = draft(sample, "--dataset", "sizes", "--write")
    assert done.exit_code == 0, done.output
    path = folder / "sizes.yaml"
    assert f"filegate contract check {path}" in "".join(done.output.splitlines())
    assert read_contract(path).is_draft
    checked = CliRunner().invoke(app, ["check", str(path)])
    assert checked.exit_code == 0
    assert "status: draft: no DAG until it is `status: active`" in checked.output
    refused = CliRunner().invoke(app, ["activate", "sizes"])
    assert refused.exit_code == 1
    assert "marked REVIEW or TODO: line" in refused.output
    lines = [line.partition("  # REVIEW")[0].partition("# REVIEW")[0] for line in path.read_text("utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "REVIEW or TODO" in CliRunner().invoke(app, ["activate", "sizes"]).output
    path.write_text(path.read_text("utf-8").replace("TODO", "Sizes"), encoding="utf-8")
    done = CliRunner().invoke(app, ["activate", "sizes"])
    assert done.exit_code == 0, done.output
    assert not read_contract(path).is_draft


def test_draft_never_overwrites_a_contract(folder: Path, sample: Path) -> None:
    folder.mkdir()
    (folder / "sizes.yaml").write_text("mine")
    done = draft(sample, "--dataset", "sizes", "--write")
    assert done.exit_code == 1
    assert "exists already; remove it, or choose another --dataset" in done.output
    assert (folder / "sizes.yaml").read_text() == "mine"


NAMES = {
    "Things": "'Things' is no dataset name",
    "../things": "'../things' is no dataset name",
    "unknown": "the name 'unknown' is reserved",
}


@pytest.mark.parametrize(("name", "message"), NAMES.items(), ids=list(NAMES))
def test_draft_refuses_a_name_that_no_dataset_can_have(folder: Path, sample: Path, name: str, message: str) -> None:
    done = draft(sample, "--dataset", name, "--write")
    assert done.exit_code == 1
    assert message in done.output
    assert not folder.exists()


def test_draft_asks_for_a_name_that_the_file_does_not_suggest(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "2026.csv"
    path.write_text("id,n\n1,2\n")
    done = draft(path)
    assert done.exit_code == 2
    assert "give --dataset" in done.output


UNREADABLE = {
    "a program": (b"\x7fELF\x02\x01\x01\x00\x00\x00" * 9, "unknown-format: "),
    "an archive of no records": (zipped({"a.txt": "x"}), "no-rows: "),
    "a web page": (b"<html><body><table></table></body></html>", "unknown-format: "),
    "nothing": (b"", "empty-file: "),
    "a header alone": (b"id,n\n", "no-rows: "),
    "broken JSON": (b'{"a": [\n  {"b": 1},\n  {"b": \n', "truncated-file: "),
    "an export without records": (b'{"total": 0, "data": []}', "no-rows: "),
    "JSON whose records are all refused": (b'{"a": 1, "a": 2}\n{"a": NaN}\n', "error-budget-exceeded: 2 of 2 rows"),
    "CSV whose records are all refused": (b"a,b\nx\0,1\nz\0,2\n", "error-budget-exceeded: 2 of 2 rows"),
    "a cut-off gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b", "truncated-file: "),
    "a cut-off Parquet file": (b"PAR1\x15\x04\x15\x00\x00\x00" * 9, "truncated-file: "),
}


@pytest.mark.parametrize(("content", "code"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_file_that_cannot_be_drafted_has_a_code_and_a_remedy(
    folder: Path, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "given"
    path.write_bytes(content)
    done = draft(path, "--dataset", "x", "--write")
    assert done.exit_code == 1
    assert done.output.startswith(f"error: {path} cannot be drafted: {code}")
    assert len(done.output.splitlines()) == 1
    assert done.output.count(". ") >= 1
    assert not folder.exists()


def test_draft_needs_a_file(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        done = draft(path, "--dataset", "x")
        assert done.exit_code == 1
        assert f"there is no file {path}" in done.output
    assert not folder.exists()


def test_draft_names_the_path_that_it_cannot_write(folder: Path, sample: Path) -> None:
    folder.write_text("no folder")
    done = draft(sample, "--dataset", "y", "--write")
    assert done.exit_code == 1
    assert f"cannot write {folder / 'y.yaml'}: " in done.output.replace("\n", "")
