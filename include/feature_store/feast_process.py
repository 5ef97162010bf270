"""Runs in Feast's virtualenv: registers views, fills the online store, reads historical and online values.

What belongs here: every call of Feast. What does not: anything that needs a package of the project's own environment:
of the project this module imports only `config`.

`python -m include.feature_store.feast_process RESULT` reads a request as JSON from the standard input and writes the
answer as JSON into the file RESULT. The DAG `materialize_features` calls `materialize` directly.
"""

from __future__ import annotations

import json
import runpy
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.feature_store.config import ONLINE_SCHEMA, PROJECT, STATE_TABLE, TTL_DAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from feast import FeatureStore

_STATE = f"{ONLINE_SCHEMA}.{STATE_TABLE}"


def materialize(repository: str, due: list[dict[str, str]]) -> dict[str, int]:
    """Register every view of the repository, and bring the online values of the due ones up to date.

    Behind it, the online store has for each entity the newest row of the last `TTL_DAYS` days, and no other entity.

    Args:
        repository: the folder of the generated repository.
        due: for each view its `view`, `key`, `digest`, and as ISO times: `since`, the first time with changed rows;
            `until`, the time of the question; `built`, when its newest row was computed.

    Returns:
        The number of entities in the online store by view.
    """
    store = _registered(repository, alone=True)
    _create_state(store)
    return {one["view"]: _materialize_view(store, one) for one in due}


def historical(repository: str, features: list[str], entities: str, result: str) -> int:
    """Write the features of entities as they were known at their times, and return the number of rows.

    Args:
        repository: the folder of the generated repository.
        features: as view:feature.
        entities: a Parquet file with the join key and event_timestamp, with a time zone.
        result: the Parquet file to write: the columns of `entities` and the features.
    """
    import pyarrow.parquet as pq

    frame = pq.read_table(entities).to_pandas()
    table = _registered(repository).get_historical_features(entity_df=frame, features=features).to_arrow()
    pq.write_table(table, result)
    return int(table.num_rows)


def online(repository: str, features: list[str], key: str, entities: list[str]) -> dict[str, list[Any]]:
    """The online values of entities by name of the feature; None where there is none.

    Args:
        repository: the folder of the generated repository.
        features: as view:feature.
        key: the join key.
        entities: its values.
    """
    from feast import FeatureStore

    store = FeatureStore(repo_path=repository)
    rows = [{key: entity} for entity in entities]
    return store.get_online_features(features=features, entity_rows=rows).to_dict()  # type: ignore[no-any-return]


def _registered(repository: str, *, alone: bool = False) -> FeatureStore:
    """The store, with the views of the repository in its registry; `alone`: and no others."""
    from feast import Entity, FeatureStore, FeatureView

    store = FeatureStore(repo_path=repository)
    found = runpy.run_path(str(Path(repository) / "definitions.py")).values()
    objects = [one for one in found if isinstance(one, Entity | FeatureView)]
    names = {one.name for one in objects if isinstance(one, FeatureView)}
    gone = [one for one in store.list_feature_views() if alone and one.name not in names]
    store.apply(objects, objects_to_delete=gone, partial=not alone)
    return store


def _connect(settings: Any) -> Any:
    """A session in a store of Feast's configuration."""
    import psycopg

    return psycopg.connect(
        host=settings.host, port=settings.port, dbname=settings.database, user=settings.user,
        password=settings.password, options="-c timezone=UTC",
    )  # fmt: skip


def _create_state(store: FeatureStore) -> None:
    with _connect(store.config.online_store) as connection:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_STATE} (view text PRIMARY KEY, join_key text NOT NULL, "
            "digest text NOT NULL, built timestamptz NOT NULL, entities bigint NOT NULL, features text[] NOT NULL, "
            "materialized_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )


def _materialize_view(store: FeatureStore, due: dict[str, str]) -> int:
    until, since = datetime.fromisoformat(due["until"]), datetime.fromisoformat(due["since"])
    expected = _newest_rows(store, due, until)
    features = [one.name for one in store.get_feature_view(due["view"]).features]
    # Rows of older times replace newer ones that do not exist any more.
    since = min([since, *_remove_stale(store, due["view"], features, expected)])
    store.materialize(start_date=since, end_date=until, feature_views=[due["view"]])
    with _connect(store.config.online_store) as connection:
        connection.execute(
            f"INSERT INTO {_STATE} (view, join_key, digest, built, entities, features) "
            "VALUES (%(view)s, %(key)s, %(digest)s, %(built)s, %(entities)s, %(features)s) ON CONFLICT (view) "
            "DO UPDATE SET join_key = excluded.join_key, digest = excluded.digest, built = excluded.built, "
            "entities = excluded.entities, features = excluded.features, materialized_at = clock_timestamp()",
            {**due, "entities": len(expected), "features": features},
        )
    return len(expected)


def _newest_rows(store: FeatureStore, due: dict[str, str], until: datetime) -> dict[bytes, datetime]:
    """The time of the newest row of each entity, by its key in the online store."""
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value
    from psycopg import sql

    view, key = due["view"], due["key"]
    query = sql.SQL(
        "SELECT {key}, max(event_timestamp) FROM features.{view} "
        "WHERE event_timestamp >= %s AND event_timestamp <= %s GROUP BY {key}"
    ).format(key=sql.Identifier(key), view=sql.Identifier(view))
    with _connect(store.config.offline_store) as connection:
        rows = connection.execute(query, (until - timedelta(days=TTL_DAYS), until)).fetchall()
    version = store.config.entity_key_serialization_version
    return {
        serialize_entity_key(
            EntityKey(join_keys=[key], entity_values=[Value(string_val=entity)]),
            entity_key_serialization_version=version,
        ): at
        for entity, at in rows
    }


def _remove_stale(
    store: FeatureStore, view: str, features: list[str], expected: dict[bytes, datetime]
) -> list[datetime]:
    """Delete entities that have no row any more, and features that the view no longer has.

    Returns:
        For entities whose row is newer than the newest one in the warehouse, or that are missing: the time of the
        newest one in the warehouse.
    """
    from psycopg import sql

    table = sql.Identifier(ONLINE_SCHEMA, f"{PROJECT}_{view}")
    with _connect(store.config.online_store) as connection:
        connection.execute(sql.SQL("DELETE FROM {} WHERE feature_name <> ALL (%s)").format(table), (features,))
        found = connection.execute(
            sql.SQL("SELECT entity_key, max(event_ts) FROM {} GROUP BY entity_key").format(table)
        ).fetchall()
        known = {bytes(key): at for key, at in found}
        gone = [key for key in known if key not in expected]
        connection.execute(sql.SQL("DELETE FROM {} WHERE entity_key = ANY (%s)").format(table), (gone,))
    return [at for key, at in expected.items() if key not in known or known[key] > at]


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    functions: dict[str, Callable[..., Any]] = {"materialize": materialize, "historical": historical, "online": online}
    answer = functions[request.pop("call")](**request)
    Path(sys.argv[1]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
