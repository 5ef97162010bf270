"""The commands: what they print, and errors of one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from loopback_metabase import Metabase
from typer.testing import CliRunner

from metabase.__main__ import app

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SECRETS = {"METABASE_ADMIN_PASSWORD": "s3cret-admin-1", "METABASE_WAREHOUSE_PASSWORD": "s3cret-reader-2"}


def test_provision_prints_actions_and_no_secret(requests_schema: dict[str, Any]) -> None:
    with Metabase(requests_schema) as server:
        environment = {**SECRETS, "METABASE_URL": server.url, "COLUMNS": "200"}
        first = CliRunner().invoke(app, ["provision"], env=environment)
        second = CliRunner().invoke(app, ["provision"], env=environment)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "Revenue by day" in first.output
    assert "created" in first.output
    assert "created" not in second.output
    assert not [secret for secret in SECRETS.values() if secret in first.output + second.output]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"METABASE_ADMIN_PASSWORD": ""}, "METABASE_ADMIN_PASSWORD is empty"),
        ({"METABASE_WAREHOUSE_PORT": "many"}, "METABASE_WAREHOUSE_PORT=many: "),
    ],
    ids=["no password", "no number"],
)
def test_provision_explains_invalid_settings(environment: dict[str, str], message: str) -> None:
    answer = CliRunner().invoke(app, ["provision"], env={**SECRETS, **environment})
    assert answer.exit_code == 1
    assert message in answer.stderr
    assert answer.stdout == ""


def test_report_explains_that_the_warehouse_does_not_answer(tmp_path: Path) -> None:
    environment = {"WAREHOUSE_HOST": "127.0.0.1", "WAREHOUSE_PORT": "1"}
    answer = CliRunner().invoke(app, ["report", "--out", str(tmp_path / "report.html")], env=environment)
    assert answer.exit_code == 1
    assert "warehouse-unavailable" in answer.stderr
    assert "Traceback" not in answer.output
    assert list(tmp_path.iterdir()) == []
