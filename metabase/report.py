"""The dashboards as one HTML page for those without Metabase: self-contained, and it asks nobody for anything.

What belongs here: the page. What does not: asking the warehouse (see `metabase.answers`) and drawing (see
`metabase.charts`). Everything that comes from the warehouse is escaped, and the page's own policy forbids requests.
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
    """A page that was written. `empty` and `failed` name the questions without an answer to show."""

    path: Path
    questions: int
    empty: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """An answer in its place on a dashboard, as the template reads it."""

    card: Card
    answer: Answer

    @property
    def kind(self) -> str:
        """What stands there: `note`, `empty`, `scalar`, `table` or `chart`."""
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
    def looks(self) -> list[str]:
        """The look of each column of a table: `right` for numbers, `whole` for times, which are not broken."""
        columns = self.answer.question.columns.values()
        return [
            "right" if column.format in charts.NUMBERS else "whole" if column.format is Format.TIME else ""
            for column in columns
        ]

    @property
    def figure(self) -> str:
        """The chart's JSON, which can stand in a script element: no sign in it can end one."""
        return charts.figure(self.answer).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def write(path: Path, config: WarehouseConfig, made_at: datetime | None = None) -> Written:
    """Ask every question as `reader` and write the page; a question that fails is a note in its place.

    Args:
        path: of the page. It is replaced as a whole, and its folder is made.
        config: the warehouse.
        made_at: what the page gives as its date; now.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses the role, or a question or dashboard is none.
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
    """The page."""
    from jinja2 import Environment, StrictUndefined

    places = {
        dashboard.name: [_Place(card, answers[card.question]) for card in dashboard.cards] for dashboard in dashboards
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    has_charts = any(place.kind == "chart" for each in places.values() for place in each)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        dashboards=dashboards,
        places=places,
        made_at=made_at.astimezone(UTC),
        plotly=_packed_plotly() if has_charts else "",
    )


@cache
def _packed_plotly() -> str:
    """plotly.js, packed: 5 MB as they are, 2 MB like this, and every browser of today unpacks them."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    return b64encode(gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)).decode()


def _replace(path: Path, page: str) -> None:
    if path.exists() and not path.is_file():
        # The page is renamed to this name: a device, as /dev/null, would be gone.
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
