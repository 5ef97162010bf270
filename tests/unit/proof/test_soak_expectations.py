"""The soak: the mix of files, the expected growth, and when it ends with a complaint."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from proof.soak.accounts import Entry, _complaint, _originals_first
from proof.soak.expectations import Work, expected, tolerance
from proof.soak.judge import Judgement, Latency, Verdict
from proof.soak.load import Dropped, Kind, kind_of
from proof.soak.report import Findings, show, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

WORK = Work(seconds=600, runs=100, files=150, rows=500_000, bad_rows=2500, messages=1000, batches=200,
            shared_buffers_mb=128)  # fmt: skip
FLAT = Judgement("scheduler", "MB PSS", 300, 305, 12, Verdict.FLAT)
GROWS = Judgement("scheduler", "MB PSS", 300, 900, 3600, Verdict.GROWS)
QUICK, SLOW = Latency(10, 5, 6, 7), Latency(10, 50, 60, 70)


def test_kind_of_gives_the_same_mix_at_any_time_with_every_kind() -> None:
    first, later = (Counter(kind_of(at) for at in range(begin, begin + 600)) for begin in (0, 6000))
    assert first == later
    assert set(first) == set(Kind)
    assert first[Kind.SMALL] > sum(first.values()) / 2


@pytest.mark.parametrize(
    ("unit", "name", "growth"),
    [
        pytest.param("rows", "ledger, files", 150, id="an entry a file"),
        pytest.param("rows", "dag_run", 100, id="a row a run"),
        pytest.param("rows", "rejected rows", 2500, id="a row a bad row"),
        pytest.param("rows", "task_instance", 800, id="rows of a run"),
        pytest.param("MB PSS", "postgres", 128, id="the cache"),
    ],
)
def test_expected_growth_is_computed_from_the_work(unit: str, name: str, growth: float) -> None:
    found = expected(name, unit, WORK)
    assert found is not None
    assert found.growth == growth
    assert found.reason


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("rows", "staging tables"),
        ("rows", "files not settled"),
        ("rows", "trigger"),
        ("MB PSS", "airflow-scheduler"),
        ("connections", "ingest in warehouse"),
        ("open files", "airflow-triggerer"),
        ("MB", "spool"),
    ],
)
def test_series_without_expected_growth_has_to_be_flat(unit: str, name: str) -> None:
    assert expected(name, unit, WORK) is None
    assert tolerance(unit).absolute > 0


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        pytest.param(None, "is not in the ledger", id="missing entry"),
        pytest.param(("loaded", False, 200, 1.0), "is not settled", id="open"),
        pytest.param(("validation_failed", True, 200, None), "ended as validation_failed", id="other end"),
        pytest.param(("archived", True, 199, 1.0), "has 200 rows, and 199 were read", id="a missing row"),
        pytest.param(("archived", True, 200, 1.0), "", id="as it should be"),
    ],
)
def test_complaint_names_a_file_with_another_outcome_than_its_kind(
    entry: tuple[object, ...] | None, complaint: str
) -> None:
    found = _complaint(Dropped("incoming/sales/a.csv", "sales", Kind.SMALL, 0.0, 200, 0), entry)
    assert (complaint in found) if complaint else not found


ARCHIVED, DUPLICATE, OPEN = ("archived", True, 200, 1.0), ("duplicate", True, 0, None), ("loaded", False, 200, 1.0)


@pytest.mark.parametrize(
    ("of_file", "of_copy", "complaints"),
    [
        pytest.param(ARCHIVED, DUPLICATE, 0, id="the file is loaded"),
        pytest.param(DUPLICATE, ARCHIVED, 0, id="its duplicate is loaded"),
        pytest.param(ARCHIVED, ARCHIVED, 1, id="both are"),
        pytest.param(DUPLICATE, DUPLICATE, 1, id="none is"),
        pytest.param(DUPLICATE, OPEN, 1, id="not yet"),
    ],
)
def test_exactly_one_of_a_file_and_its_duplicate_is_loaded(of_file: Entry, of_copy: Entry, complaints: int) -> None:
    dropped = [
        Dropped("incoming/sales/a.csv", "sales", Kind.SMALL, 0.0, 200, 0),
        Dropped("incoming/sales/b.csv", "sales", Kind.COPY, 1.0, 200, 0, "incoming/sales/a.csv"),
    ]
    entries = _originals_first({"incoming/sales/a.csv": of_file, "incoming/sales/b.csv": of_copy}, dropped)
    assert len([one for one in dropped if _complaint(one, entries.get(one.key))]) == complaints


@pytest.mark.parametrize(
    ("judgements", "last", "unsettled", "complaints"),
    [
        pytest.param([FLAT], QUICK, [], 0, id="all is well"),
        pytest.param([FLAT, GROWS], QUICK, [], 1, id="something grows"),
        pytest.param([FLAT], SLOW, [], 1, id="files wait longer"),
        pytest.param([FLAT], QUICK, ["a is not settled"], 1, id="a file is not settled"),
    ],
)
def test_findings_complain_and_are_written(
    judgements: list[Judgement], last: Latency, unsettled: list[str], complaints: int, tmp_path: Path
) -> None:
    findings = Findings(5, judgements, QUICK, last, {"small files": 10}, {"run": "success"}, unsettled)
    assert len(findings.complaints) == complaints
    printed = io.StringIO()
    show(findings, Console(file=printed, width=160))
    assert "scheduler" in printed.getvalue()
    assert ("NOT flat" in printed.getvalue()) == bool(complaints)
    write(findings, tmp_path / "new" / "soak.json")
    written = json.loads((tmp_path / "new" / "soak.json").read_text())
    assert written["complaints"] == findings.complaints
    assert written["judgements"][0]["verdict"] == "flat"
