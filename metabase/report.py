"""The dashboards as one self-contained HTML page, without Metabase.

What belongs here: the page. What does not: queries (see `metabase.answers`) and charts (see `metabase.charts`). Values
from the warehouse are escaped, and the page's content security policy forbids requests.
"""

from __future__ import annotations

import errno
import gzip
import os
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from metabase import charts
from metabase.answers import ask
from metabase.dashboards import read_dashboards
from metabase.questions import Chart, Format, read_questions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.settings import WarehouseConfig
    from metabase.answers import Answer
    from metabase.dashboards import Card, Dashboard

_TEMPLATE = Path(__file__).parent / "report.html.j2"


@dataclass(frozen=True)
class Written:
    """A page that was written. `empty` and `failed` are the names of questions without an answer."""

    path: Path
    questions: int
    empty: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class _Panel:
    """An answer with its position on a dashboard, as the template reads it."""

    card: Card
    answer: Answer

    @property
    def kind(self) -> str:
        """How the panel is shown: `note`, `empty`, `scalar`, `table` or `chart`."""
        if self.answer.failed:
            return "note"
        if self.answer.is_empty:
            return "empty"
        chart = self.answer.question.chart
        return chart.value if chart in {Chart.SCALAR, Chart.TABLE} else "chart"

    @property
    def value(self) -> str:
        """The number of a scalar."""
        question = self.answer.question
        return charts.text(self.answer.values(question.y[0])[0], question.columns[question.y[0]])

    @property
    def rows(self) -> list[list[str]]:
        """The texts of a table."""
        columns = self.answer.question.columns.values()
        return [[charts.text(value, column) for value, column in zip(row, columns, strict=True)]
                for row in self.answer.rows]  # fmt: skip

    @property
    def classes(self) -> list[str]:
        """The CSS class of each column of a table: `right` for numbers, `whole` for times, which are not wrapped."""
        columns = self.answer.question.columns.values()
        return [
            "right" if column.format in charts.NUMBERS else "whole" if column.format is Format.TIME else ""
            for column in columns
        ]

    @property
    def figure(self) -> str:
        """The chart's JSON, escaped so that it cannot end the script element around it."""
        return charts.figure(self.answer).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def write(path: Path, config: WarehouseConfig, made_at: datetime | None = None) -> Written:
    """Run every question as `reader` and write the page; for a question that fails it shows a note.

    Args:
        path: of the page. An existing page is replaced atomically; the folder is created.
        config: the warehouse.
        made_at: date of the page; by default now.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses the role, or a file of a question or dashboard is not valid.
        OSError: the page cannot be written.
    """
    questions = read_questions()
    dashboards = read_dashboards(questions)
    answers = ask(questions.values(), config)
    _replace(path, render(dashboards, answers, made_at or datetime.now(UTC)))
    return Written(
        path,
        len(answers),
        tuple(name for name, answer in answers.items() if answer.is_empty and not answer.failed),
        tuple(name for name, answer in answers.items() if answer.failed),
    )


def render(dashboards: Sequence[Dashboard], answers: Mapping[str, Answer], made_at: datetime) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, StrictUndefined

    panels = {
        dashboard.name: [_Panel(card, answers[card.question]) for card in dashboard.cards] for dashboard in dashboards
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    has_charts = any(panel.kind == "chart" for each in panels.values() for panel in each)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        dashboards=dashboards,
        panels=panels,
        made_at=made_at.astimezone(UTC),
        plotly=_packed_plotly() if has_charts else "",
    )


@cache
def _packed_plotly() -> str:
    """Return plotly.js, compressed and base64-encoded: 2 MB instead of 5 MB."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    return b64encode(gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)).decode()


def _replace(path: Path, page: str) -> None:
    if path.exists() and not path.is_file():
        # The page is renamed to this path, which would replace a device such as /dev/null.
        raise OSError(errno.EINVAL, "not a file; give the path of a new file, or of one to replace", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
