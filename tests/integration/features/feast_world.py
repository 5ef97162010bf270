"""The random world moved to today, and calls of Feast on it: the online store knows only the last two days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from project_world import T0, World

from include.feature_store import calls
from include.feature_store.changes import Changes, changes
from include.feature_store.config import FeatureStoreConfig
from include.features.build import build

if TYPE_CHECKING:
    from feature_warehouse import Warehouse
    from project_world import Rows

    from include.features.compiler import FeatureView

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def world_of_today(seed: int) -> Rows:
    """Rows with the times of `World`, moved so that T0 is the last midnight."""
    moved = TODAY - T0
    return {
        name: [
            {column: value + moved if isinstance(value, datetime) else value for column, value in row.items()}
            for row in rows
        ]
        for name, rows in World(seed).rows.items()
    }


def short(view: FeatureView) -> FeatureView:
    return replace(view, file=view.file.model_copy(update={"history": 6}))


class OnlineStore:
    """Feast on a test's warehouse."""

    def __init__(self, warehouse: Warehouse, views: dict[str, FeatureView]) -> None:
        self.warehouse, self.views = warehouse, {name: short(view) for name, view in views.items()}
        platform = warehouse.platform
        login = {"user": "feast", "password": platform.credentials.warehouse_feast_password}
        config = platform.warehouse_config("reader").model_dump() | login
        self.config = FeatureStoreConfig(
            warehouse=platform.warehouse_config("reader").model_validate(config),
            store=platform.warehouse_config("reader").model_validate(config | {"database": "feast"}),
        )

    def build(self) -> None:
        for view in self.views.values():
            build(self.warehouse.transform, view)

    def changes(self) -> Changes:
        return changes(self.config, self.views.values())

    def materialize(self) -> dict[str, int]:
        """As the command does, without its output."""
        found = self.changes()
        folder = calls.prepare(found.built)
        due = [one.arguments() for one in found.due]
        answer: dict[str, int] = calls.call(self.config, "materialize", repository=str(folder), due=due)
        return answer

    def online(self, name: str, entities: list[str]) -> list[dict[str, Any]]:
        """Features by entity, as Feast's client reads them."""
        view = self.views[name]
        features = [f"{name}:{one.name}" for one in view.features]
        found = calls.call(
            self.config, "online", repository=str(calls.environment.repository()), features=features, key=view.key,
            entities=entities,
        )  # fmt: skip
        return [{key: values[index] for key, values in found.items()} for index in range(len(entities))]

    def offline(self, name: str) -> dict[str, dict[str, Any]]:
        """The newest row of each entity in the table of features, of the last two days, without its times."""
        view = self.views[name]
        rows = self.warehouse.rows(
            f"SELECT DISTINCT ON ({view.key}) * FROM features.{name} WHERE event_timestamp >= now() - interval '2 d' "
            f"ORDER BY {view.key}, event_timestamp DESC"
        )
        times = {"event_timestamp", "created_timestamp"}
        return {row[view.key]: {key: value for key, value in row.items() if key not in times} for row in rows}
