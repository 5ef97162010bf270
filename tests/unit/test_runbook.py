"""The runbook docs/operations.md: every alert has a row in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
RUNBOOK = (REPOSITORY / "docs" / "operations.md").read_text()
ALERTS = sorted(
    rule["alert"]
    for path in (REPOSITORY / "monitoring" / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
)


def test_there_are_alerts() -> None:
    assert len(ALERTS) > 10


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_complete_row(alert: str) -> None:
    [row] = [line for line in RUNBOOK.splitlines() if line.startswith(f'| <a id="{alert.lower()}"></a>{alert} |')]
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert len(cells) == 4
    assert all(cells)
