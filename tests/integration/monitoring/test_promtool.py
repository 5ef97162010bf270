"""promtool on the shipped files: configuration, rules, and the unit tests of the rules."""

from __future__ import annotations

import subprocess

import pytest

from local.services import debian
from tests.monitoring_files import PROMETHEUS, RULES

pytestmark = pytest.mark.integration


def promtool(*arguments: object) -> str:
    """Run promtool and return its output; fail if it fails."""
    found = debian.program("promtool", "prometheus")
    done = subprocess.run(
        [found.path, *map(str, arguments)], env={"PATH": "/usr/bin:/bin", **found.environment}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_is_valid_and_finds_all_rules() -> None:
    output = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert f"{len(RULES)} rule files found" in output


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_before(rules) -> None:
    """Runs tests/<name>.yml; a unit test checks that each alert is in one of them."""
    assert "SUCCESS" in promtool("test", "rules", PROMETHEUS / "tests" / rules.name)
