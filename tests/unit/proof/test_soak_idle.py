"""Costs of an idle platform: twenty datasets, and when the goals are missed."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from include.contracts.catalog import read_catalog
from proof.soak.idle import DATASETS, Cost, Idle, show, write, write_contracts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def idle(log: float = 0.5, share: float = 0.1, *, flat: bool = True) -> Idle:
    total = Cost("all", log, share, 2000.0, 5.0, flat)
    return Idle(10, DATASETS, total, [Cost("postgres", log, share, 200.0, 1.0, flat=True)])


def test_write_contracts_writes_twenty_valid_contracts(tmp_path: Path) -> None:
    write_contracts(tmp_path)

    catalog = read_catalog(tmp_path)

    assert len(catalog.contracts) == DATASETS
    assert catalog.broken == ()


@pytest.mark.parametrize(
    ("found", "complaints"),
    [
        (idle(), []),
        (idle(log=1.0, share=0.15), []),
        (idle(log=1.2), ["logs grow by 1.20 MB an hour; the goal is 1"]),
        (idle(share=0.2), ["20.0% of one core; the goal is 15%"]),
        (idle(flat=False), ["memory grows by 5 MB an hour"]),
    ],
    ids=["all met", "just met", "logs", "processor", "memory"],
)
def test_idle_figure_says_which_goal_is_missed(found: Idle, complaints: list[str], tmp_path: Path) -> None:
    assert found.complaints == complaints
    printed = io.StringIO()
    show(found, Console(file=printed, width=160))
    assert ("memory flat" in printed.getvalue()) == (not complaints)
    assert "postgres" in printed.getvalue()
    write(found, tmp_path / "idle.json")
    assert json.loads((tmp_path / "idle.json").read_text())["complaints"] == complaints
