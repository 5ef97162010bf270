"""The text of a message, and that hostile names in it are harmless."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from include.alerts.message import Alert, Item, cleaned, counted

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "alerts.md"

ALERT = Alert(
    about="sales",
    happened="42 files quarantined",
    causes={"missing-columns": 41, "empty-file": 1},
    items=(Item("a.csv", "missing-columns", "s3://landing/failed/a.csv.report.json"), Item("b.csv", "empty-file")),
    more=40,
    details=(("since", "noon"),),
    advice="Correct it.",
    run_url="http://127.0.0.1:8080/dags/ingest_sales/runs/1",
    held_back=3,
)

TEXT = """\
sales: 42 files quarantined

since: noon
empty-file: 1
missing-columns: 41

- a.csv: missing-columns
  s3://landing/failed/a.csv.report.json
- b.csv: empty-file
and 40 more

This happened 3 times more since the last message.

Correct it.

Run: http://127.0.0.1:8080/dags/ingest_sales/runs/1
"""


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.shown = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.shown += data


def test_text_contains_all_parts() -> None:
    assert ALERT.fields()["text"] == TEXT


def test_html_contains_the_same_parts() -> None:
    html = ALERT.fields()["html"]
    page = Page(html)
    for line in TEXT.splitlines():
        for part in line.removeprefix("- ").split(": ", maxsplit=1) if "http" not in line else []:
            assert part.strip() in page.shown, part
    assert 'href="http://127.0.0.1:8080/dags/ingest_sales/runs/1"' in html


def test_bare_message_has_no_empty_parts() -> None:
    bare = Alert("sales", "1 file quarantined", {"empty-file": 1}).fields()
    assert bare["text"] == "sales: 1 file quarantined\n\nempty-file: 1\n"
    assert set(Page(bare["html"]).elements) & {"ul", "li", "a", "p"} == set()


@pytest.mark.parametrize(
    ("held_back", "said"), [(0, ""), (1, "once more"), (2, "2 times more"), (1200, "1,200 times more")]
)
def test_repeats_are_shown_with_their_number(held_back: int, said: str) -> None:
    fields = Alert("sales", "1 file quarantined", {}, held_back=held_back).fields()
    for form in ("text", "html"):
        assert said in fields[form]
        assert ("since the last message" in fields[form]) == bool(said)


def test_subject_is_one_short_line() -> None:
    assert ALERT.fields()["subject"] == "[FileGate] sales: 42 files quarantined"
    long = Alert("x" * 500, "failed\r\nBcc: all@example.com", {})
    assert len(long.fields()["subject"]) <= 150
    assert "\n" not in Alert("a", "failed\r\nBcc: all@example.com", {}).fields()["subject"]


HOSTILE = {
    "line break": "a.csv\r\nBcc: all@example.com",
    "markup": "<script>alert(1)</script>.csv",
    "attribute": '"><img src=x onerror=alert(1)>.csv',
    "direction": "fdp\N{RIGHT-TO-LEFT OVERRIDE}vsc.exe",
    "nul": "a\0b.csv",
    "lone surrogate": "a\udc80.csv",
    "line separator": "a\N{LINE SEPARATOR}b.csv",
    "template": "{{ 7 * 7 }}{% raw %}.csv",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_name_stays_a_name(name: str) -> None:
    def alert_for(item: str) -> dict[str, Any]:
        items = (Item(item, "empty-file", f"s3://landing/{item}"),)
        return Alert("sales", "1 file quarantined", {item: 1}, items, details=((item, item),)).fields()

    alert, harmless = alert_for(name), alert_for("a.csv")
    assert len(alert["text"].splitlines()) == len(harmless["text"].splitlines())
    assert Page(alert["html"]).elements == Page(harmless["html"]).elements
    assert cleaned(name) in alert["text"]
    assert cleaned(name) in Page(alert["html"]).shown
    (alert["text"] + alert["html"] + alert["subject"]).encode()


def test_long_name_is_shortened() -> None:
    alert = Alert("sales", "1 file quarantined", {}, (Item("n" * 5000, "empty-file"),))
    assert len(alert.fields()["text"]) < 2000


def test_fields_are_the_documented_ones() -> None:
    documented = re.findall(r"`alert\.(\w+)`", PAGE.read_text())
    fields = ALERT.fields()
    assert set(fields) == set(documented)
    assert fields["causes"] == ALERT.causes


@pytest.mark.parametrize(
    ("count", "several", "said"),
    [(1, "", "1 batch"), (2, "", "2 batchs"), (2, "batches", "2 batches"), (12_000, "", "12,000 batchs")],
)
def test_numbers_have_their_noun(count: int, several: str, said: str) -> None:
    assert counted(count, "batch", several) == said
