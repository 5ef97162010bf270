"""`filegate sources` and `filegate source check`. The warehouse's answer is given."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from include.cli import sources as commands
from include.sources.kinds import schema
from tests.unit.sources.source_files import document, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ended

pytestmark = pytest.mark.unit

RUN = {
    "source": "shop", "last_run": datetime(2026, 12, 1, 10, 0, 4, tzinfo=UTC), "status": "failed", "read": 1200,
    "written": 1100, "failed": 3, "error": "source-unavailable", "error_message": "away",
    "failed_elements": ["/shops/north/orders"], "stand_in": False, "waits_until": None,
}  # fmt: skip
WAITS_UNTIL = datetime(2026, 12, 2, 10, 0, 4, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the definitions; one of the dataset `sales`, whose contract the checkout has."""
    definitions = tmp_path / "sources"
    definitions.mkdir()
    written(definitions, document(name="shop", dataset="sales"), "shop.yaml")
    monkeypatch.setenv("SOURCES_DIR", str(definitions))
    return definitions


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the warehouse answers."""
    found: list[dict[str, Any]] = []

    monkeypatch.setattr(commands, "reading", nullcontext)
    monkeypatch.setattr(commands, "last_runs", lambda _: [dict(row) for row in found])
    monkeypatch.setenv("WAREHOUSE_INGEST_PASSWORD", "x")  # the environment names a warehouse
    return found


def test_sources_lists_definitions_and_their_last_runs(
    filegate: Callable[..., Ended], folder: Path, runs: list[dict[str, Any]]
) -> None:
    runs += [
        RUN,
        RUN | {"source": "gone", "status": "success", "error": None, "stand_in": True, "waits_until": WAITS_UNTIL},
    ]
    written(folder, document(name="new", dataset="sales", schedule=None), "new.yaml")
    written(folder, "a: [", "odd.yaml")
    done = filegate("sources")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == [
        "NAME",
        "DATASET",
        "DELIVER",
        "SCHEDULE",
        "LAST",
        "RUN",
        "STATUS",
        "READ",
        "WRITTEN",
        "FAILED",
        "ERROR",
    ]
    assert lines[1:5] == [
        ["gone", "-", "-", "-", "2026-12-01", "10:00", "success", "1,200", "1,100", "3", "-"],
        ["new", "sales", "file", "-", "-", "-", "-", "-", "-", "-"],
        ["odd", "-", "-", "-", "-", "-", "-", "-", "-", "source-invalid"],
        [
            "shop",
            "sales",
            "file",
            "@hourly",
            "2026-12-01",
            "10:00",
            "failed",
            "1,200",
            "1,100",
            "3",
            "source-unavailable",
        ],
    ]
    assert done.out.splitlines()[5:] == [
        "answered by a stand-in, not by the real API: gone",
        "the API asks for no request before: gone 2026-12-02 10:00 UTC",
    ]


def test_sources_fit_into_80_columns(
    filegate: Callable[..., Ended], folder: Path, runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a_name_of_exactly_thirty_letters"
    written(folder, document(name=name, dataset="transactions", schedule="*/30 6-18 * * MON-FRI"), f"{name}.yaml")
    runs.append(RUN | {"source": name, "read": 123_456_789, "written": 123_456_789})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    done = filegate("sources")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


def test_sources_as_json_has_every_field(
    filegate: Callable[..., Ended], folder: Path, runs: list[dict[str, Any]]
) -> None:
    runs.append(RUN)
    [row] = json.loads(filegate("sources", "--json").out)
    assert row == {
        **{key: value for key, value in RUN.items() if key != "source"},
        "name": "shop", "dataset": "sales", "deliver": "file", "schedule": "@hourly",
        "last_run": "2026-12-01 10:00:04+00:00",
    }  # fmt: skip


def test_no_source(filegate: Callable[..., Ended], folder: Path, runs: list[dict[str, Any]]) -> None:
    (folder / "shop.yaml").unlink()
    assert filegate("sources")[:2] == (0, f"no source in {folder}\n")
    assert filegate("sources", "--json").out == "[]\n"
    assert filegate("source", "check")[:2] == (0, f"no source in {folder}\n")


def test_check_of_all_definitions(filegate: Callable[..., Ended], folder: Path) -> None:
    path = folder / "shop.yaml"
    assert filegate("source", "check")[:2] == (0, f"sound   {path}\n")


def test_check_names_each_problem_and_ends_with_1(filegate: Callable[..., Ended], folder: Path, tmp_path: Path) -> None:
    odd = written(tmp_path, document(name="odd", dataset="sale", schedule="@often"), "odd.yaml")
    done = filegate("source", "check", str(odd), str(folder / "shop.yaml"))
    assert (done.code, done.err) == (1, "")
    first, *problems, last = done.out.splitlines()
    assert (first, last) == (f"BROKEN  {odd}", f"sound   {folder / 'shop.yaml'}")
    assert [line.split(":")[0] for line in problems] == ["  - schedule", "  - dataset"]
    assert "did you mean sales?" in problems[1]
    assert "Remedy: correct the name" in problems[1]


def test_check_as_json(filegate: Callable[..., Ended], folder: Path) -> None:
    written(folder, document(name="odd"), "odd.yaml")
    done = filegate("source", "check", "--json")
    assert done.code == 1
    odd, shop = json.loads(done.out)
    assert (odd["path"], odd["sound"]) == (str(folder / "odd.yaml"), False)
    assert odd["problems"][0]["path"] == "dataset"
    assert shop == {"path": str(folder / "shop.yaml"), "sound": True, "problems": []}


def test_group_explains_itself(filegate: Callable[..., Ended]) -> None:
    assert "check" in filegate("source", "--help").out


def test_schema_is_printed_as_json(filegate: Callable[..., Ended]) -> None:
    done = filegate("source", "schema")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == schema()
