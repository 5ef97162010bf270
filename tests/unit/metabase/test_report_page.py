"""The report page: its content, and that values from the warehouse are escaped."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from metabase import charts
from metabase.answers import Answer
from metabase.dashboards import Card, Dashboard
from metabase.questions import Chart, Column, Format, Question
from metabase.report import _replace, render

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

NASTY = "</script><script>alert('x')</script><a href=\"https://elsewhere.example\">Ada & Co</a>"
MADE_AT = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)


def question(chart: Chart, **changes: Any) -> Question:
    columns = {
        "who": Column(label="Who"), "amount": Column(label="Amount", format=Format.AMOUNT),
        "kind": Column(label="Kind"), "day": Column(label="Day", format=Format.DATE),
    }  # fmt: skip
    axes: dict[str, Any] = {Chart.TABLE: {}, Chart.SCALAR: {"y": ("amount",)}}.get(
        chart, {"x": "who", "y": ("amount",)}
    )
    settings = {
        "name": "q",
        "title": "Some question",
        "chart": chart,
        "columns": columns,
        "sql": "SELECT 1",
        **axes,
        **changes,
    }
    return Question.model_validate(settings)


def rows(count: int = 2, who: str = NASTY) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (f"{who}{n}", Decimal("1234.5") + n, ("a", "b")[n % 2], date(2026, 1, 1) + timedelta(n)) for n in range(count)
    )


def page(answer: Answer) -> str:
    dashboard = Dashboard(
        name="sales", title="Sales <b>", description="All & everything", position=1,
        cards=(Card(question="q", row=0, col=0, width=12, height=6),),
    )  # fmt: skip
    return render([dashboard], {"q": answer}, MADE_AT)


class Elements(HTMLParser):
    """Every element with its attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in {"script", "style"}:
            self.text += data


@pytest.mark.parametrize("chart", Chart)
def test_values_from_the_warehouse_add_no_elements(chart: Chart) -> None:
    harmless, nasty = (page(Answer(question(chart), rows(who=who))) for who in ("Ada", NASTY))
    assert [tag for tag, _ in Elements(nasty).found] == [tag for tag, _ in Elements(harmless).found]
    assert "elsewhere.example" not in [attributes.get("href") for _, attributes in Elements(nasty).found]


@pytest.mark.parametrize("chart", [Chart.LINE, Chart.AREA, Chart.BAR, Chart.ROW, Chart.PIE])
def test_figure_has_no_html(chart: Chart) -> None:
    figure = charts.figure(Answer(question(chart), rows()))
    assert "<a" not in figure
    assert "&lt;a href" in figure
    assert "Ada &amp; Co" in figure


def test_name_of_a_series_is_escaped() -> None:
    figure = charts.figure(Answer(question(Chart.BAR, x="day", series="who", stacked=True), rows()))
    assert "<a" not in figure


@pytest.mark.parametrize("chart", [Chart.LINE, Chart.AREA, Chart.BAR, Chart.ROW, Chart.PIE])
def test_chart_has_the_numbers(chart: Chart) -> None:
    [trace] = json.loads(charts.figure(Answer(question(chart), rows())))["data"]
    values = {Chart.PIE: "values", Chart.ROW: "x"}.get(chart, "y")
    assert trace[values] == [1234.5, 1235.5]


def test_a_success_is_green_and_a_failure_red() -> None:
    columns = {"day": Column(label="Day"), "status": Column(label="Status"), "runs": Column(label="Runs")}
    asked = question(Chart.BAR, x="day", y=("runs",), series="status", columns=columns)
    drawn = json.loads(charts.figure(Answer(asked, (("Monday", "failed", 1), ("Monday", "success", 2)))))["data"]
    assert {trace["name"]: trace["marker"]["color"] for trace in drawn} == {"failed": "#ee6677", "success": "#228833"}


def test_each_value_of_series_has_a_trace() -> None:
    drawn = json.loads(charts.figure(Answer(question(Chart.BAR, x="day", series="kind"), rows(3))))["data"]
    assert [(trace["name"], trace["x"], trace["y"]) for trace in drawn] == [
        ("a", ["2026-01-01", "2026-01-03"], [1234.5, 1236.5]),
        ("b", ["2026-01-02"], [1235.5]),
    ]


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (None, Format.AMOUNT, charts.NOTHING),
        (Decimal("1234567.891"), Format.AMOUNT, "1,234,567.89"),
        (1234567, Format.INTEGER, "1,234,567"),
        (Decimal("12.34"), Format.DECIMAL, "12.3"),
        (Decimal("-0.1234"), Format.SHARE, "-12.3%"),
        (date(2026, 1, 2), Format.DATE, "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5), Format.TIME, "2026-01-02 03:04"),  # noqa: DTZ001 the question says UTC
        ("<b>", Format.TEXT, "<b>"),
    ],
)
def test_values_are_formatted(value: object, kind: Format, shown: str) -> None:
    assert charts.text(value, Column(label="x", format=kind)) == shown


@pytest.mark.parametrize("answered", [(), ((None, None, None, None),)], ids=["no row", "null only"])
@pytest.mark.parametrize("chart", Chart)
def test_empty_answer_says_so(chart: Chart, answered: tuple[Any, ...]) -> None:
    assert "Nothing yet" in Elements(page(Answer(question(chart), answered))).text


def test_failed_question_shows_its_note() -> None:
    text = Elements(page(Answer(question(Chart.BAR), note="Not built <yet>", failed=True))).text
    assert "Some question" in text
    assert "Not built <yet>" in text
    assert "Nothing yet" not in text


def test_page_has_title_and_date() -> None:
    text = Elements(page(Answer(question(Chart.TABLE), rows()))).text
    for expected in ("FileGate report", "21 November 2026 at 17:05 UTC", "Sales <b>", "All & everything", "1,234.50"):
        assert expected in text


def test_page_sends_no_requests() -> None:
    elements = Elements(page(Answer(question(Chart.BAR), rows())))
    links = [attributes.get(name) for _, attributes in elements.found for name in ("src", "href", "action")]
    assert {link for link in links if link} == {"#sales"}
    [policy] = [attributes["content"] for tag, attributes in elements.found if "http-equiv" in attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"https?:", policy)


def test_plotly_is_compressed_in_the_page_and_only_with_a_chart() -> None:
    with_chart = page(Answer(question(Chart.BAR), rows()))
    found = re.search(r'id="plotly">([^<]+)</script>', with_chart)
    assert found
    assert b"plotly.js v" in gzip.decompress(base64.b64decode(found[1]))[:300]
    assert len(with_chart) < 2_500_000
    assert len(page(Answer(question(Chart.TABLE), rows()))) < 20_000


def test_figure_cannot_end_its_element() -> None:
    [figure] = re.findall(r'class="figure">(.*?)</script>', page(Answer(question(Chart.BAR), rows())), flags=re.DOTALL)
    assert not set("<>&") & set(figure)
    assert json.loads(figure)["data"][0]["hovertemplate"].endswith("<extra></extra>")


def test_page_replaces_a_file_but_no_pipe_or_device(tmp_path: Path) -> None:
    page, pipe = tmp_path / "page.html", tmp_path / "pipe"
    page.write_text("old")
    os.mkfifo(pipe)

    _replace(page, "new")
    with pytest.raises(OSError, match="not a file"):
        _replace(pipe, "new")

    assert page.read_text() == "new"
    assert pipe.is_fifo()
    assert set(tmp_path.iterdir()) == {page, pipe}
