"""Bodies of requests: settings of charts, and the comparison with the server's objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metabase import bodies
from metabase.questions import Chart, Question, read_questions

pytestmark = pytest.mark.unit

QUESTIONS = read_questions()


def columns_named(settings: dict[str, Any]) -> set[str]:
    """Return every column that a chart's settings name."""
    named = {json.loads(key)[1] for key in settings["column_settings"]}
    named |= set(settings.get("graph.dimensions", [])) | set(settings.get("graph.metrics", []))
    named |= set(settings.get("series_settings", {})) | {one["name"] for one in settings.get("table.columns", [])}
    return named | {settings[key] for key in ("pie.dimension", "pie.metric", "scalar.field") if key in settings}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=lambda question: question.name)
def test_settings_name_the_columns_of_the_answer_and_no_other(question: Question) -> None:
    """An integration test checks that the query returns these columns."""
    assert columns_named(bodies.visualization(question)) == set(question.columns)


def test_series_is_a_second_dimension() -> None:
    settings = bodies.visualization(QUESTIONS["category_revenue_by_month"])
    assert settings["graph.dimensions"] == ["sale_month", "category"]
    assert settings["stackable.stack_type"] == "stacked"
    assert settings["graph.x_axis.scale"] == "timeseries"
    assert "series_settings" not in settings


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("commits_by_activity", "pie.dimension", "activity"),
        ("revenue_total", "scalar.field", "revenue"),
        ("top_customers", "graph.metrics", ["revenue"]),
        ("transactions_by_hour", "graph.x_axis.scale", "ordinal"),
    ],
)
def test_each_chart_has_its_settings(name: str, key: str, value: object) -> None:
    assert bodies.visualization(QUESTIONS[name])[key] == value


def test_entity_ids_are_fixed_and_differ() -> None:
    ids = {name: bodies.entity_id(question) for name, question in QUESTIONS.items()}
    # A new value would create every question a second time in an existing Metabase.
    assert ids["revenue_by_day"] == bodies.entity_id(QUESTIONS["revenue_by_day"].model_copy(update={"title": "Other"}))
    assert len(set(ids.values())) == len(ids)
    assert {len(each) for each in ids.values()} == {21}


def test_every_kind_of_chart_is_used() -> None:
    assert {question.chart for question in QUESTIONS.values()} == set(Chart)


@pytest.mark.parametrize(
    ("wanted", "held", "paths"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": None}, {}, []),
        ({"a": {}}, {"a": None}, []),
        ({"a": []}, {"a": None}, []),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a[0]", "a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": [{"card_id": 2, "b": 1}, {"card_id": 10}]}, {"a": [{"card_id": 10}, {"card_id": 2, "b": 1}]}, []),
        ({"a": [{"card_id": 2}]}, {"a": [{"card_id": None}]}, ["a[0].card_id"]),
        ({"a": "x"}, {"a": {"x": 1}}, ["a"]),
    ],
)
def test_differences_are_paths(wanted: dict[str, Any], held: dict[str, Any], paths: list[str]) -> None:
    assert bodies.differences(wanted, held) == paths
