"""Every question on a filled warehouse, as the role of Metabase."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import errors

from metabase.questions import FilterType, read_questions
from tests.source_runs import AWAY, DENIED, LEFT, RESET

if TYPE_CHECKING:
    from dbt_project import Warehouse

    from metabase.questions import Question

pytestmark = pytest.mark.integration

QUESTIONS = read_questions()
VALUES: dict[str, Any] = {
    "start_date": date(2020, 1, 1), "end_date": date(2099, 1, 1), "dataset": "sales", "repository": "o/one",
    "source": "shop",
}  # fmt: skip
# For each filter a value that matches no row.
NOTHING: dict[str, Any] = {
    "start_date": date(2099, 1, 1), "end_date": date(2000, 1, 1), "dataset": "unknown's", "repository": "un/known's",
    "source": "unknown's",
}  # fmt: skip


def ask(warehouse: Warehouse, question: Question, values: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    given = {name: value for name, value in values.items() if name in question.filters}
    with warehouse.connect("reader") as connection, connection.cursor() as cursor:
        cursor.execute(question.for_postgres(given), given)
        return [column.name for column in cursor.description or ()], cursor.fetchall()


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("values", [{}, VALUES], ids=["unfiltered", "filtered"])
def test_question_returns_rows_with_the_columns_of_its_chart(
    filled: Warehouse, name: str, values: dict[str, Any]
) -> None:
    question = QUESTIONS[name]
    columns, rows = ask(filled, question, values)
    assert columns == list(question.columns)
    assert rows
    assert any(row[column] is not None for row in rows for column in question.y or columns)
    for column in (question.x, question.series):
        assert not column or all(row[column] is not None for row in rows)


@pytest.mark.parametrize(
    ("name", "filter_name"), [(name, each) for name, question in QUESTIONS.items() for each in question.filters]
)
def test_filter_excludes_rows(filled: Warehouse, name: str, filter_name: str) -> None:
    question = QUESTIONS[name]
    _, rows = ask(filled, question, {filter_name: NOTHING[filter_name]})
    assert not [row for row in rows if any(row[column] for column in question.y or question.columns)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(None, None, id="of-all-time"),
        pytest.param(date(2026, 1, 20), date(2026, 2, 3), id="between-two-days"),
        pytest.param(date(2026, 2, 3), date(2026, 2, 3), id="of-one-day"),
    ],
)
def test_top_customers_paid_most_on_the_chosen_days(filled: Warehouse, first: date | None, last: date | None) -> None:
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for each in filled.sql("SELECT * FROM raw.sales", role="owner"):
        if (first or date.min) <= each["sale_date"] <= (last or date.max):
            paid[f"{each['customer_name']} ({each['customer_id']})"] += each["total_amount"]
    given = {name: day for name, day in (("start_date", first), ("end_date", last)) if day is not None}
    _, rows = ask(filled, QUESTIONS["top_customers"], given)
    most = sorted(paid.items(), key=lambda one: (-one[1], one[0].rsplit("(", maxsplit=1)[-1]))[:10]
    assert most
    assert [(row["customer"], row["revenue"]) for row in rows] == most


def test_authors_of_one_name_are_distinguished(filled: Warehouse) -> None:
    _, rows = ask(filled, QUESTIONS["commits_by_author"], {})
    counts = Counter(
        f"Ada ({each['author_email']})" if each["author_name"] == "Ada" else each["author_name"]
        for each in filled.sql("SELECT * FROM raw.commits", role="owner")
    )
    assert {row["author"]: row["commits"] for row in rows} == counts
    assert {"Ada (ada@acme.org)", "Ada (ada@home.example)"} <= counts.keys()


def test_sources_show_what_their_runs_read_and_why_they_failed(filled: Warehouse) -> None:
    def rows(name: str) -> list[dict[str, Any]]:
        return ask(filled, QUESTIONS[name], {"source": "shop"})[1]

    assert [rows(f"source_{name}") for name in ("records_read", "records_written", "requests", "error_rate")] == [
        [{"records": 52}], [{"records": 35}], [{"requests": 12}], [{"error_rate": Decimal("0.5")}],
    ]  # fmt: skip
    assert {row["status"]: row["runs"] for row in rows("source_runs_by_day")} == {"success": 2, "failed": 2}
    assert [(row["source"], row["records"]) for row in rows("source_records_by_day")] == [("shop", 35)]
    assert rows("source_totals") == [{
        "source": "shop", "runs": 4, "runs_failed": 2, "error_rate": Decimal("0.5"), "records_read": 52,
        "records_written": 35, "records_failed": 3, "bytes": 4000, "requests": 12, "retries": 4, "waited_seconds": 6,
    }]  # fmt: skip
    shown = ("element", "status", "error_code", "records_written", "watermark", "answered_by")
    assert [tuple(row[name] for name in shown) for row in rows("source_elements")] == [
        ("/north", "success", None, 28, "2026-12-01T09:00:00Z", "source"),
        ("/south", "failed", "source-refused", 0, None, "source"),
        ("/stand-in", "success", None, 7, None, "stand-in"),
    ]
    assert {(row["rate_limit_remaining"], row["rate_limit_reset_at"]) for row in rows("source_elements")} == {
        (LEFT, RESET.replace(tzinfo=None))
    }
    assert [(row["element"], row["error_code"], row["error_message"]) for row in rows("source_failures")] == [
        ("/south", "source-refused", DENIED.message), ("/north", "source-unavailable", AWAY.message),
    ]  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_metabase_can_prepare_the_question(filled: Warehouse, name: str) -> None:
    """Metabase sends a date as a parameter of its statement: the server has to infer its type."""
    question = QUESTIONS[name]
    text = question.for_metabase()
    for number, (filter_name, kind) in enumerate(question.filters.items(), start=1):
        of_type = "date" if kind is FilterType.DATE else "text"
        text = text.replace("{{" + filter_name + "}}", f"CAST(${number} AS {of_type})")
    text = text.replace("[[", "").replace("]]", "")
    with filled.connect("reader") as connection:
        connection.execute(f"PREPARE question AS {text}".encode())


def schemas(plan: object) -> set[str]:
    """Return the schemas of all tables and views in a plan."""
    if isinstance(plan, list):
        return set().union(*map(schemas, plan))
    if isinstance(plan, dict):
        own = {plan["Schema"]} if plan.get("Relation Name") else set()
        return own.union(*map(schemas, plan.values()))
    return set()


@pytest.mark.parametrize("name", QUESTIONS)
def test_question_reads_analytics_and_ops_only(filled: Warehouse, name: str) -> None:
    question = QUESTIONS[name]
    given = {each: VALUES[each] for each in question.filters}
    with filled.connect("reader") as connection:
        # The planner removes tables that cannot give rows, so the filters have values that match all rows.
        [row] = connection.execute(b"EXPLAIN (VERBOSE, FORMAT JSON) " + question.for_postgres(given), given).fetchall()
    assert schemas(row["QUERY PLAN"])
    assert schemas(row["QUERY PLAN"]) <= {"analytics", "ops"}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO analytics.daily_sales DEFAULT VALUES",
        "DELETE FROM ops.file_ingestion_log",
        "CREATE TABLE analytics.x ()",
    ],
    ids=["insert", "delete", "create"],
)
def test_reader_cannot_write(filled: Warehouse, statement: str) -> None:
    with filled.connect("reader") as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement.encode())
