"""Bodies of the requests to Metabase, made of questions, dashboards and settings.

What belongs here: the keys of Metabase's API, and the comparison of a wanted body with the server's. What does not:
sending requests. The server drops unknown keys silently, so a test validates every body against a schema.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from metabase.questions import Chart, FilterType, Format

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from metabase.dashboards import Card, Dashboard
    from metabase.questions import Column, Question
    from metabase.settings import MetabaseSettings

Body = dict[str, Any]

_ENTITY_ID_LENGTH = 21
_TAG_NAMES = uuid.uuid5(uuid.NAMESPACE_DNS, "filegate.metabase")
_PARAMETER_TYPES = {FilterType.DATE: "date/single", FilterType.TEXT: "category"}
_SECTIONS = {FilterType.DATE: "date", FilterType.TEXT: "string"}
_FORMATS: dict[Format, Body] = {
    Format.INTEGER: {"number_style": "decimal", "decimals": 0},
    Format.AMOUNT: {"number_style": "decimal", "decimals": 2},
    Format.DECIMAL: {"number_style": "decimal", "decimals": 1},
    Format.SHARE: {"number_style": "percent", "decimals": 1},
}


def setup(settings: MetabaseSettings, token: str) -> Body:
    """Return the body that creates the first admin of a new Metabase."""
    return {
        "token": token,
        "user": {"email": settings.admin_email, "password": settings.admin_password.get_secret_value()},
        "prefs": {"site_name": settings.site_name, "site_locale": "en"},
    }


def login(settings: MetabaseSettings) -> Body:
    """Return the body of the admin's login."""
    return {"username": settings.admin_email, "password": settings.admin_password.get_secret_value()}


def database(settings: MetabaseSettings) -> Body:
    """Return the connection to the warehouse as `reader`, with the two schemas that questions read."""
    return {
        "name": settings.warehouse_name,
        "engine": "postgres",
        "details": {
            "host": settings.warehouse_host,
            "port": settings.warehouse_port,
            "dbname": settings.warehouse_database,
            "user": settings.warehouse_user,
            "password": settings.warehouse_password.get_secret_value(),
            "ssl": settings.warehouse_ssl,
            "schema-filters-type": "inclusion",
            "schema-filters-patterns": "analytics,ops",
        },
        "is_full_sync": True,
        "is_on_demand": False,
        "auto_run_queries": True,
    }


def collection(settings: MetabaseSettings) -> Body:
    """Return the collection of all questions and dashboards of this project."""
    return {
        "name": settings.collection,
        "description": "Managed by `python -m metabase provision`, which reverts manual changes.",
        "parent_id": None,
    }


def card(question: Question, database_id: int, collection_id: int) -> Body:
    """A question as Metabase stores it (MBQL 5, a native stage)."""
    native: Body = {"lib/type": "mbql.stage/native", "native": question.for_metabase()}
    if question.filters:
        native["template-tags"] = {
            name: {
                "id": _tag_id(question, name), "name": name, "display-name": _label(name), "type": str(kind)
            }
            for name, kind in question.filters.items()
        }  # fmt: skip
    return {
        "name": question.title,
        "description": question.description,
        "type": "question",
        "display": str(question.chart),
        "collection_id": collection_id,
        "entity_id": entity_id(question),
        "dataset_query": {"lib/type": "mbql/query", "database": database_id, "stages": [native]},
        "parameters": [
            {
                "id": _tag_id(question, name), "type": _PARAMETER_TYPES[kind], "name": _label(name), "slug": name,
                "target": _target(name),
            }
            for name, kind in question.filters.items()
        ],
        "visualization_settings": visualization(question),
    }  # fmt: skip


def visualization(question: Question) -> Body:
    """Return Metabase's settings of the question's chart. Columns have their names in the query's result."""
    settings: Body = {
        "column_settings": {
            json.dumps(["name", name], separators=(",", ":")): {"column_title": column.label, **_FORMATS.get(
                column.format, {}
            )}
            for name, column in question.columns.items()
        }
    }  # fmt: skip
    match question.chart:
        case Chart.TABLE:
            settings["table.columns"] = [{"name": name, "enabled": True} for name in question.columns]
        case Chart.SCALAR:
            settings["scalar.field"] = question.y[0]
        case Chart.PIE:
            settings |= {"pie.dimension": question.x, "pie.metric": question.y[0]}
        case _:
            settings |= _axes(question, question.columns[question.x or ""])
    return settings


def _axes(question: Question, x: Column) -> Body:
    settings: Body = {
        "graph.dimensions": [name for name in (question.x, question.series) if name],
        "graph.metrics": list(question.y),
        "graph.x_axis.scale": "timeseries" if x.format is Format.DATE else "ordinal",
        "graph.x_axis.title_text": x.label,
        "graph.y_axis.title_text": ", ".join(question.columns[name].label for name in question.y),
    }
    if question.series is None:
        settings["series_settings"] = {name: {"title": question.columns[name].label} for name in question.y}
    if question.stacked:
        settings["stackable.stack_type"] = "stacked"
    return settings


def new_dashboard(dashboard: Dashboard, collection_id: int) -> Body:
    """Return an empty dashboard: the server accepts cards only in an update."""
    return {"name": dashboard.title, "description": dashboard.description, "collection_id": collection_id}


def dashboard(
    dashboard: Dashboard, questions: Mapping[str, Question], card_ids: Mapping[str, int], collection_id: int, held: Body
) -> Body:
    """Return the whole dashboard, with the ids of the cards that the server has already.

    Args:
        dashboard: the wanted dashboard.
        questions: by name.
        card_ids: the id in Metabase of each question, by name.
        collection_id: of the collection.
        held: the dashboard in the server's state.
    """
    known: dict[int, int] = {}
    for dashcard in held.get("dashcards") or []:
        known.setdefault(dashcard.get("card_id"), dashcard["id"])
    return {
        **new_dashboard(dashboard, collection_id),
        "width": "full",
        "auto_apply_filters": True,
        "parameters": [
            {
                "id": each.name, "type": _PARAMETER_TYPES[each.type], "name": each.label, "slug": each.name,
                "sectionId": _SECTIONS[each.type],
            }
            for each in dashboard.filters
        ],
        "tabs": [],
        "dashcards": [
            _dashcard(dashboard, each, questions[each.question], card_ids[each.question])
            | {"id": known.get(card_ids[each.question], -number)}
            for number, each in enumerate(dashboard.cards, start=1)
        ],
    }  # fmt: skip


def _dashcard(dashboard: Dashboard, card: Card, question: Question, card_id: int) -> Body:
    return {
        "card_id": card_id,
        "row": card.row,
        "col": card.col,
        "size_x": card.width,
        "size_y": card.height,
        "series": [],
        "visualization_settings": {},
        # Without card_id the filter silently has no effect (metabase issue 77693).
        "parameter_mappings": [
            {"parameter_id": each.name, "card_id": card_id, "target": _target(each.name)}
            for each in dashboard.filters
            if each.name in question.filters
        ],
    }


def entity_id(question: Question) -> str:
    """Return the question's id, the same in every Metabase: 21 characters derived from its name, not from its title."""
    digest = hashlib.sha256(f"filegate/question/{question.name}".encode()).digest()
    return urlsafe_b64encode(digest).decode()[:_ENTITY_ID_LENGTH]


def differences(wanted: object, held: object, prefix: str = "") -> list[str]:
    """Return the paths of values that differ on the server. Keys that only the server has are ignored.

    Paths only, without values: they may be secrets.
    """
    if isinstance(wanted, dict):
        if not isinstance(held, dict):
            return [] if not wanted and held is None else [prefix]
        parts = ((key, value, held.get(key)) for key, value in wanted.items())
        return [path for key, value, other in parts for path in differences(value, other, f"{prefix}.{key}".strip("."))]
    if isinstance(wanted, list):
        others = held or []
        if not isinstance(others, list) or len(others) != len(wanted):
            return [prefix]
        return [
            path
            for number, (one, other) in enumerate(zip(_ordered(wanted), _ordered(others), strict=True))
            for path in differences(one, other, f"{prefix}[{number}]")
        ]
    # In Python True == 1; here they differ.
    return [] if wanted == held and isinstance(wanted, bool) == isinstance(held, bool) else [prefix]


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Sort lists whose order has no meaning in Metabase: cards by their question, mappings by their filter."""
    found = list(values)
    for key in ("card_id", "parameter_id"):
        if found and all(isinstance(each, dict) and each.get(key) is not None for each in found):
            found.sort(key=lambda each: str(each[key]))
    return found


def _target(name: str) -> list[Any]:
    return ["variable", ["template-tag", name]]


def _tag_id(question: Question, name: str) -> str:
    return str(uuid.uuid5(_TAG_NAMES, f"{question.name}/{name}"))


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
