"""Which views have rows that the online store lacks.

What belongs here: comparing the tables of features with the state of the online store. What does not: changing the
online store (`feast_process`).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from include.feature_store.config import ONLINE_SCHEMA, STATE_TABLE, TTL_DAYS
from include.feature_store.repository import definitions
from include.features.tables import table
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.feature_store.config import FeatureStoreConfig
    from include.features.compiler import FeatureView
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class DueView:
    """A view whose online values are out of date. Times are ISO texts, since they go to another process.

    Attributes:
        view: its name.
        key: its join key.
        digest: of its definition.
        since: the first time T with changed rows.
        until: the time of this comparison.
        built: when its newest row was computed.
    """

    view: str
    key: str
    digest: str
    since: str
    until: str
    built: str

    def arguments(self) -> dict[str, str]:
        """The view as an argument of `feast_process.materialize`."""
        return asdict(self)


@dataclass(frozen=True)
class Changes:
    """The comparison.

    Attributes:
        built: the views with a table.
        due: those of them whose online values are out of date.
    """

    built: tuple[FeatureView, ...]
    due: tuple[DueView, ...]


def changes(config: FeatureStoreConfig, views: Iterable[FeatureView]) -> Changes:
    """Compare every view with the online store.

    Raises:
        RetryableError: a database does not respond.
        PermanentError: it refuses the role.
    """
    with connect(config.store) as store, warehouse_errors():
        states = _states(store)
    with connect(config.warehouse) as warehouse, warehouse_errors():
        built = tuple(view for view in views if _exists(warehouse, table(view)))
        due = (_due(warehouse, view, states.get(view.name)) for view in built)
        return Changes(built, tuple(one for one in due if one is not None))


def built_views(config: FeatureStoreConfig, views: Iterable[FeatureView]) -> tuple[FeatureView, ...]:
    """The views with a table. Raises the errors of `changes`."""
    with connect(config.warehouse) as warehouse, warehouse_errors():
        return tuple(view for view in views if _exists(warehouse, table(view)))


def _exists(connection: Connection, name: str) -> bool:
    return connection.execute(b"SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone() == (True,)


def _states(store: Connection) -> dict[str, tuple[str, datetime, int]]:
    """Digest, newest row and number of entities of each view in the online store."""
    name = f"{ONLINE_SCHEMA}.{STATE_TABLE}"
    if not _exists(store, name):
        return {}
    rows = store.execute(f"SELECT view, digest, built, entities FROM {name}".encode()).fetchall()
    return {view: (digest, built, entities) for view, digest, built, entities in rows}


def _due(warehouse: Connection, view: FeatureView, state: tuple[str, datetime, int] | None) -> DueView | None:
    """The view if it has other rows than the online store, or another definition."""
    digest = hashlib.sha256(definitions([view]).encode()).hexdigest()
    built_before = state[1] if state and state[0] == digest else None
    [(now, built, entities, since)] = warehouse.execute(
        f"SELECT now(), max(created_timestamp), count(DISTINCT {view.key}), "
        "min(event_timestamp) FILTER (WHERE created_timestamp > coalesce(%(built)s, '-infinity'::timestamptz)) "
        f"FROM {table(view)} WHERE event_timestamp >= now() - %(ttl)s AND event_timestamp <= now()".encode(),
        {"built": built_before, "ttl": timedelta(days=TTL_DAYS)},
    ).fetchall()
    if built is None:
        if state is None or state[2] == 0:
            return None  # no entity, neither there nor here
        built, since = state[1], now
    # Entities disappear without a new row when their last one is too old.
    elif since is None and state is not None and state[2] == entities:
        return None
    times = ((since or now).isoformat(), now.isoformat(), built.isoformat())
    return DueView(view.name, view.key, digest, *times)
