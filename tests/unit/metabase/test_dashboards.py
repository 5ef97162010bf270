"""Dashboards as files: reading, and errors that Metabase would accept silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.errors import PermanentError
from metabase.dashboards import Dashboard, read_dashboards
from metabase.questions import read_questions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

QUESTIONS = read_questions()
DASHBOARD = """title: Sales
description: What was sold.
position: 1
filters:
  - {name: start_date, label: From, type: date}
cards:
  - {question: revenue_total, row: 0, col: 0, width: 6, height: 3}
  - {question: revenue_by_day, row: 0, col: 6, width: 18, height: 6}
  - {question: top_customers, row: 3, col: 0, width: 6, height: 3}
"""


def read(folder: Path, text: str) -> Dashboard:
    (folder / "sales.yaml").write_text(text)
    [found] = read_dashboards(QUESTIONS, folder)
    return found


def test_adjacent_cards_are_accepted(tmp_path: Path) -> None:
    assert [card.question for card in read(tmp_path, DASHBOARD).cards] == [
        "revenue_total", "revenue_by_day", "top_customers",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("row: 3, col: 0, width: 6", "row: 2, col: 0, width: 6", "revenue_total and top_customers overlap"),
        ("row: 3, col: 0, width: 6", "row: 5, col: 0, width: 7", "revenue_by_day and top_customers overlap"),
        ("width: 18", "width: 19", "ends at column 25; the grid has 24"),
        ("question: top_customers", "question: revenue_total", "question revenue_total occurs twice"),
        ("question: top_customers", "question: nonsense", "no such question: nonsense"),
        ("question: top_customers", "heading: Customers", "heading"),
        ("start_date, label: From", "dataset, label: Dataset", "the filter dataset applies to no question"),
        ("type: date", "type: text", "the filter start_date applies to no question, or to one with another type"),
        ("height: 6", "height: 0", "height"),
        ("title: Sales", "titel: Sales", "title: Field required"),
        (DASHBOARD, "- just\n- a list\n", "not a list of names"),
        (DASHBOARD, "title: [", "sales.yaml"),
    ],
)
def test_broken_dashboard_is_refused_with_its_file_and_the_reason(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in DASHBOARD
    with pytest.raises(PermanentError) as caught:
        read(tmp_path, DASHBOARD.replace(old, new, 1))
    assert message in caught.value.message
    assert "sales.yaml" in caught.value.message


def test_dashboards_of_this_project_are_in_order_and_show_every_question() -> None:
    dashboards = read_dashboards(QUESTIONS)
    assert [dashboard.title for dashboard in dashboards] == [
        "Sales", "Ingestion", "Sources", "Engineering", "Transactions", "Live",
    ]  # fmt: skip
    assert {card.question for dashboard in dashboards for card in dashboard.cards} == set(QUESTIONS)


def test_every_filter_of_a_question_is_on_its_dashboard() -> None:
    for dashboard in read_dashboards(QUESTIONS):
        offered = {each.name for each in dashboard.filters}
        for card in dashboard.cards:
            assert set(QUESTIONS[card.question].filters) <= offered
