"""Airflow's metrics by OTLP: rules and dashboards use only metrics that a real scheduler sends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from otlp_receiver import Received, receiving

from tests.monitoring_files import MONITORING, Expression, promql, selectors

if TYPE_CHECKING:
    from pytest import TempPathFactory  # noqa: PT013 a type

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).with_name("airflow_once.py")
OF_AIRFLOW = [expression for expression in promql() if "airflow_" in expression.text]


def variables_of_readme() -> dict[str, str]:
    """The variables for Airflow in monitoring/README.md: `NAME=value` lines, without their comments."""
    lines = (MONITORING / "README.md").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" #")[0].strip().partition("=") for line in lines if line.startswith(("AIRFLOW__", "OTEL_")))
    return {name: value for name, _, value in pairs}


@pytest.fixture(scope="module")
def sent(tmp_path_factory: TempPathFactory) -> Received:
    """The metrics of one run of Airflow, with the variables of the README except the address."""
    home = tmp_path_factory.mktemp("airflow")
    with receiving() as (address, received):
        variables = variables_of_readme()
        assert variables["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"].endswith(address.partition("/api/")[2])
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__PARALLELISM": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": "[]",
            **variables, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": address,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(PROGRAM)], env=environment, cwd=home, capture_output=True, text=True, timeout=240,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return received


def test_airflow_uses_the_configured_path_and_name(sent: Received) -> None:
    assert sent.refused == []
    assert sent.services == {"airflow-scheduler"}


@pytest.mark.parametrize("expression", OF_AIRFLOW, ids=str)
def test_airflow_sends_what_an_expression_names(sent: Received, expression: Expression) -> None:
    for name, labels in selectors(expression.text).items():
        assert name in sent.metrics
        assert labels <= sent.metrics[name]


def test_legacy_names_are_off(sent: Received) -> None:
    """Legacy names contain pools and DAGs, which makes a metric for each."""
    assert "airflow_pool_open_slots" in sent.metrics
    assert [name for name in sent.metrics if "default_pool" in name] == []
