"""Questions as files: reading, errors, and the two forms of their SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.errors import PermanentError
from metabase.questions import Chart, FilterType, Format, Question, read_question, read_questions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

HEADER = """-- title: Revenue by day
-- chart: line
-- x: day
-- y: [revenue]
-- columns:
--   day: {label: Day, format: date}
--   revenue: {label: Revenue, format: amount}
-- filters: {start_date: date, shop: text}
"""
SQL = """SELECT
    day,
    revenue
FROM analytics.daily
WHERE
    name LIKE 'a%%'
    AND day >= %(start_date)s::date
    AND shop = %(shop)s
"""


def read(folder: Path, text: str) -> Question:
    path = folder / "revenue_by_day.sql"
    path.write_text(text)
    return read_question(path)


def test_question_is_read(tmp_path: Path) -> None:
    question = read(tmp_path, HEADER + SQL)
    assert (question.name, question.title, question.chart) == ("revenue_by_day", "Revenue by day", Chart.LINE)
    assert question.filters == {"start_date": FilterType.DATE, "shop": FilterType.TEXT}
    assert question.columns["revenue"].format is Format.AMOUNT


def test_metabase_gets_optional_clauses(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + SQL).for_metabase().splitlines()[4:] == [
        "WHERE",
        "    name LIKE 'a%'",
        "    [[AND day >= {{start_date}}::date]]",
        "    [[AND shop = {{shop}}]]",
    ]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ((), []),
        (("shop",), ["AND shop = %(shop)s"]),
        (("shop", "start_date"), ["AND day >= %(start_date)s::date", "AND shop = %(shop)s"]),
    ],
    ids=["no filter", "one filter", "both filters"],
)
def test_postgres_gets_the_lines_of_given_filters(tmp_path: Path, given: tuple[str, ...], left: list[str]) -> None:
    lines = read(tmp_path, HEADER + SQL).for_postgres(given).decode().splitlines()
    assert [line.strip() for line in lines[6:]] == left


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-- title: Revenue by day\n", "", "title: Field required"),
        ("-- chart: line", "-- chart: lines", "chart: Input should be 'line'"),
        ("-- chart: line", "-- colour: red\n-- chart: line", "colour: Extra inputs"),
        ("-- y: [revenue]", "-- y: [revenues]", "revenues: not under columns"),
        ("-- x: day\n", "", "needs other columns"),
        ("-- chart: line", "-- chart: table", "needs other columns"),
        ("-- chart: line", "-- chart: scalar", "needs other columns"),
        ("-- chart: line", "-- chart: line\n-- stacked: true", "cannot be stacked"),
        ("-- chart: line", "-- chart: [", "revenue_by_day.sql"),
        ("shop: text}", "shop: text, end_date: date}", "end_date: must be in the SQL and under filters"),
        (", shop: text}", "}", "shop: must be in the SQL and under filters"),
        ("AND shop = %(shop)s", "AND shop = {{shop}}", "Metabase's signs"),
        ("AND shop = %(shop)s", "[[AND shop = %(shop)s]]", "Metabase's signs"),
        ("AND shop = %(shop)s", "OR shop = %(shop)s", "separate line that begins with AND"),
        ("AND shop = %(shop)s", "AND shop = %(shop)s -- theirs", "separate line"),
        ("'a%%'", "'a%'", "write a % that is no placeholder as %%"),
        ("%(shop)s\n", "%(shop)s;\n", "without a semicolon"),
        (HEADER, "", "begins with a header"),
        (HEADER, "-- just words\n", "not a list of names"),
    ],
)
def test_broken_question_is_refused_with_its_file_and_the_reason(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (HEADER + SQL).replace(old, new, 1)
    assert text != HEADER + SQL
    with pytest.raises(PermanentError) as caught:
        read(tmp_path, text)
    assert message in caught.value.message
    assert "revenue_by_day.sql" in caught.value.message


@pytest.mark.parametrize("question", read_questions().values(), ids=lambda question: question.name)
def test_question_of_this_project_has_metabases_signs_around_every_filter(question: Question) -> None:
    text = question.for_metabase()
    assert {name: text.count("{{" + name + "}}") for name in question.filters} == dict.fromkeys(question.filters, 1)
    assert text.count("[[AND ") == text.count("]]") == len(question.filters)
    assert "%(" not in text
