"""The report of a real warehouse, by its command: before dbt has run, and after."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from include.errors import Code, PermanentError
from metabase.questions import read_questions
from metabase.report import write

if TYPE_CHECKING:
    from dbt_project import Warehouse

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
QUESTIONS = read_questions()


def card(page: str, name: str) -> str:
    """Return the content of a question's card."""
    [found] = re.findall(rf'data-question="{name}">(.*?)</article>', page, flags=re.DOTALL)
    return html.unescape(found)


# First in the folder: the fixture `filled`, which all other tests share, fills the warehouse that this one finds empty.
def test_questions_without_their_models_show_notes(empty: Platform, tmp_path: Path) -> None:
    written = write(tmp_path / "new" / "report.html", empty.warehouse_config("reader"))
    page = written.path.read_text()
    assert set(written.failed) == {name for name, each in QUESTIONS.items() if "analytics." in each.sql}
    assert set(written.empty) == set(QUESTIONS) - set(written.failed)
    assert 'relation "analytics.daily_sales" does not exist' in card(page, "revenue_by_day")
    assert "filegate run transform_warehouse" in card(page, "revenue_by_day")
    assert "Nothing yet" in card(page, "files_by_status")
    assert "Traceback" not in page


def test_report_shows_every_question(filled: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    config = filled.platform.warehouse_config("reader")
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "WAREHOUSE_HOST": config.host,
        "WAREHOUSE_PORT": str(config.port), "WAREHOUSE_DATABASE": config.database,
        "WAREHOUSE_READER_USER": config.user, "WAREHOUSE_READER_PASSWORD": config.password.get_secret_value(),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "metabase", "report", "--out", str(out)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == (f"{out}\n", "", 0)
    page = out.read_text()
    [revenue] = filled.sql("SELECT to_char(sum(revenue), 'FM999,999,990.00') AS revenue FROM analytics.daily_sales")
    assert revenue["revenue"] in card(page, "revenue_total")
    assert "sales_bad.ndjson" in card(page, "recent_failures")
    assert "<script>alert" not in page
    assert '<a href="https://elsewhere.example"' not in page
    drawn = [name for name, question in QUESTIONS.items() if question.chart not in {"table", "scalar"}]
    assert all('class="figure"' in card(page, name) for name in drawn)
    assert config.password.get_secret_value() not in page


def test_wrong_password_is_refused(empty: Platform, tmp_path: Path) -> None:
    config = empty.warehouse_config("reader").model_copy(update={"password": SecretStr("another")})
    with pytest.raises(PermanentError) as caught:
        write(tmp_path / "report.html", config)
    assert caught.value.code is Code.WAREHOUSE_REFUSED
    assert list(tmp_path.iterdir()) == []
