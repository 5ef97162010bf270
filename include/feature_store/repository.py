"""The Feast repository of features/*.yaml: feature_store.yaml and definitions.py.

What belongs here: the text of these two files. What does not: calling Feast (`feast_process`).

Both are generated before each use. They hold no secret: Feast takes the login from the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.feature_store.config import ONLINE_SCHEMA, PROJECT, SCRATCH_SCHEMA, TTL_DAYS
from include.features.tables import SCHEMA
from include.stores.sql_text import quoted, quoted_list

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.features.compiler import FeatureView

_TYPES = {"double": "Float64", "bigint": "Int64", "int": "Int32", "text": "String"}

# Feast would demand TLS if sslmode were left out; `prefer` is libpq's own default.
_STORE = f"""\
# Generated from features/*.yaml. The variables hold addresses and the login of the role `feast`.
project: {PROJECT}
provider: local
entity_key_serialization_version: 3
registry:
  registry_type: sql
  path: ${{FEATURE_STORE_REGISTRY}}
  cache_ttl_seconds: 60
materialization:
  pull_latest_features: true
  online_write_batch_size: 5000
offline_store:
  type: postgres
  host: ${{FEATURE_STORE_HOST}}
  port: ${{FEATURE_STORE_PORT}}
  database: ${{FEATURE_STORE_WAREHOUSE}}
  db_schema: {SCRATCH_SCHEMA}
  user: ${{FEATURE_STORE_USER}}
  password: ${{FEATURE_STORE_PASSWORD}}
  sslmode: prefer
online_store:
  type: postgres
  host: ${{FEATURE_STORE_HOST}}
  port: ${{FEATURE_STORE_PORT}}
  database: ${{FEATURE_STORE_DATABASE}}
  db_schema: {ONLINE_SCHEMA}
  user: ${{FEATURE_STORE_USER}}
  password: ${{FEATURE_STORE_PASSWORD}}
  sslmode: prefer
"""

_HEAD = '''\
"""Generated from features/*.yaml: entities and views of features. Values are raw, as in features.<view>."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int32, Int64, String  # noqa: F401
'''


def write_repository(folder: Path, views: Iterable[FeatureView]) -> None:
    """Write both files into a folder, which is made if it is missing.

    Args:
        folder: of the repository.
        views: those with a table.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "feature_store.yaml").write_text(_STORE, encoding="utf-8")
    (folder / "definitions.py").write_text(definitions(views), encoding="utf-8")


def definitions(views: Iterable[FeatureView]) -> str:
    """The text of definitions.py: an entity for each join key, and a view of Feast for each view."""
    chosen = sorted(views, key=lambda view: view.name)
    entities = {view.key: view.file.entity for view in chosen}
    parts = [_HEAD, *(_entity(key, name) for key, name in sorted(entities.items())), *map(_view, chosen)]
    return "\n".join(parts)


def _entity(key: str, name: str) -> str:
    return f"{key} = Entity(name={name!r}, join_keys=[{key!r}], value_type=ValueType.STRING)\n"


def _view(view: FeatureView) -> str:
    columns = quoted_list([view.key, "event_timestamp", *(one.name for one in view.features), "created_timestamp"])
    query = f"SELECT {columns} FROM {quoted(SCHEMA, view.name)}"
    fields = "".join(
        f"        Field(name={one.name!r}, dtype={_TYPES[one.type]}, description={one.description!r}),\n"
        for one in view.features
    )
    return (
        f"{view.name}_view = FeatureView(\n    name={view.name!r},\n    entities=[{view.key}],\n"
        f"    ttl=timedelta(days={TTL_DAYS}),\n    schema=[\n{fields}    ],\n"
        f"    source=PostgreSQLSource(\n        name={view.name!r},\n        query={query!r},\n"
        '        timestamp_field="event_timestamp",\n        created_timestamp_column="created_timestamp",\n    ),\n'
        f"    online=True,\n    description={view.file.description!r},\n    owner={view.file.owner!r},\n)\n"
    )
