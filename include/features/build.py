"""Builds the tables of features: which times are computed, and in which transaction.

What belongs here: the order of a build, and reading the features of one time. What does not: SQL of features
(`compiler`), DDL and parameters (`tables`).

A build computes the midnights (UTC) that were not built, and those behind the first day on which a raw table has other
rows than the last build saw. So it gives what a full build gives, also after late, changed and deleted rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from include.features.compiler import days_query, query
from include.features.tables import create_ready_view, create_table, fit, table, wait_for_others
from include.stores.sql_text import quoted_list

if TYPE_CHECKING:
    from datetime import date

    from include.features.compiler import FeatureView
    from include.stores.warehouse import Connection

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class FeatureBuild:
    """What a build did.

    Attributes:
        view: its view.
        times: how many times T were computed.
        rows: how many rows were written.
        missing: raw tables that do not exist yet; then nothing was built.
        parameters: the version of the parameters that the build added; None for none.
    """

    view: str
    times: int = 0
    rows: int = 0
    missing: tuple[str, ...] = ()
    parameters: int | None = None


def midnights(now: datetime, days: int) -> list[datetime]:
    """The midnights (UTC) of the last days, oldest first, `now` included if it is one."""
    last = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [last - _DAY * back for back in range(days - 1, -1, -1)]


def build(
    connection: Connection, view: FeatureView, now: datetime | None = None, *, full: bool = False
) -> FeatureBuild:
    """Bring the table of a view up to date, in one transaction. One build runs at a time.

    Args:
        connection: of the role `transform`, not in a transaction.
        view: the view.
        now: the newest T is not later; None: the time of the server.
        full: compute every T again.

    Raises:
        psycopg.Error: the server refuses; nothing has changed.
    """
    with connection.transaction():
        # All queries see the same raw rows: those of the checksums are those of the features. LOCK takes no snapshot,
        # so the build sees what the one that it waited for has committed.
        connection.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        wait_for_others(connection)
        _prepare(connection)
        missing = missing_tables(connection, view)
        if missing:
            return FeatureBuild(view.name, missing=missing)
        times = midnights(now or _server_time(connection), view.file.history)
        newest = _newest(connection, view, times)
        if newest is None:
            create_table(connection, view)
        due = times if full or newest is None else _due(connection, view, times, newest)
        rows = _compute(connection, view, due)
        connection.execute(
            f"DELETE FROM {table(view)} WHERE event_timestamp < %s OR event_timestamp > %s".encode(),
            (times[0], times[-1]),
        )
        _remember(connection, view, times)
        version = None if _has_parameters(connection, view) else fit(connection, view, times[-1])
        create_ready_view(connection, view)
        return FeatureBuild(view.name, len(due), rows, parameters=version)


def sample(connection: Connection, view: FeatureView, at: datetime, entity: str | None = None) -> list[dict[str, Any]]:
    """The features of a view at any time, computed now and written nowhere, ordered by the join key.

    Args:
        connection: of a role that may read raw tables.
        view: the view.
        at: T, with a zone.
        entity: only this one.
    """
    with connection.transaction():
        _prepare(connection)
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute(query(view, at, entity).encode()).fetchall()


def missing_tables(connection: Connection, view: FeatureView) -> tuple[str, ...]:
    """The raw tables of a view that do not exist: no file of the dataset was loaded."""
    found = connection.execute(
        b"SELECT s FROM unnest(%s::text[]) AS s WHERE to_regclass('raw.' || quote_ident(s)) IS NULL ORDER BY s",
        (list(view.sources),),
    )
    return tuple(row[0] for row in found.fetchall())


def _prepare(connection: Connection) -> None:
    """Days are UTC days, and a name without a schema is a name of the query itself."""
    connection.execute(b"SET LOCAL timezone = 'UTC'")
    connection.execute(b"SET LOCAL search_path = pg_catalog")


def _server_time(connection: Connection) -> datetime:
    [(now,)] = connection.execute(b"SELECT now()").fetchall()
    return now  # type: ignore[no-any-return]


def _newest(connection: Connection, view: FeatureView, times: list[datetime]) -> datetime | None:
    """The newest time of the last build; None if its rows cannot stay: other SQL, or it did not reach as far back."""
    found = connection.execute(
        b"SELECT digest, oldest, newest FROM ops.feature_build WHERE view = %s", (view.name,)
    ).fetchone()
    exists = connection.execute(b"SELECT to_regclass(%s) IS NOT NULL", (table(view),)).fetchone()
    if found is None or exists != (True,) or found[0] != view.digest or times[0] < found[1]:
        return None
    return found[2]  # type: ignore[no-any-return]


def _due(connection: Connection, view: FeatureView, times: list[datetime], newest: datetime) -> list[datetime]:
    """The times to compute: those that were not built, and those behind the first day with other rows."""
    changed = _first_change(connection, view)
    behind = datetime(changed.year, changed.month, changed.day, tzinfo=UTC) if changed else None
    return [at for at in times if at > newest or (behind is not None and at > behind)]


def _days(view: FeatureView) -> str:
    return "\nUNION ALL ".join(days_query(name, view.datasets[name].time) for name in view.sources)


def _first_change(connection: Connection, view: FeatureView) -> date | None:
    """The first day on which a raw table has other rows than the last build saw."""
    found = connection.execute(
        f"SELECT min(day) FROM (SELECT * FROM ({_days(view)}) AS current FULL JOIN "
        "(SELECT * FROM ops.feature_source_day WHERE view = %s) AS seen USING (dataset, day) "
        "WHERE (current.rows, current.checksum) IS DISTINCT FROM (seen.rows, seen.checksum)) AS changed".encode(),
        (view.name,),
    ).fetchone()
    return found[0] if found else None


def _compute(connection: Connection, view: FeatureView, due: list[datetime]) -> int:
    connection.execute(f"DELETE FROM {table(view)} WHERE event_timestamp = ANY (%s)".encode(), (due,))
    names = quoted_list(["event_timestamp", view.key, *(one.name for one in view.features)])
    rows = 0
    for at in due:
        written = connection.execute(
            f"INSERT INTO {table(view)} ({names}, created_timestamp) "
            f"SELECT {names}, now() FROM ({query(view, at)}) AS computed".encode()
        )
        rows += written.rowcount
    return rows


def _remember(connection: Connection, view: FeatureView, times: list[datetime]) -> None:
    connection.execute(b"DELETE FROM ops.feature_source_day WHERE view = %s", (view.name,))
    connection.execute(
        f"INSERT INTO ops.feature_source_day (view, dataset, day, rows, checksum) SELECT %s, d.* FROM ({_days(view)}) "
        "AS d".encode(),
        (view.name,),
    )
    connection.execute(
        b"INSERT INTO ops.feature_build (view, digest, oldest, newest) VALUES (%s, %s, %s, %s) ON CONFLICT (view) "
        b"DO UPDATE SET digest = excluded.digest, oldest = excluded.oldest, newest = excluded.newest, "
        b"built_at = clock_timestamp()",
        (view.name, view.digest, times[0], times[-1]),
    )


def _has_parameters(connection: Connection, view: FeatureView) -> bool:
    found = connection.execute(
        b"SELECT exists(SELECT FROM features.parameters WHERE view = %s)", (view.name,)
    ).fetchone()
    return found == (True,)
