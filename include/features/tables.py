"""The tables and views of the schema `features`: their DDL, and the parameters of normalisation.

What belongs here: features.<view>, features.<view>_ready, features.parameters. What does not: the queries that compute
features (`compiler`), and which rows are computed when (`build`).
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from include.features.compiler import TYPES
from include.features.definition import Constant
from include.stores.sql_text import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.features.compiler import FeatureView
    from include.features.definition import Feature
    from include.stores.warehouse import Connection

FITTED_DAYS = 28
SCHEMA = "features"


def table(view: FeatureView) -> str:
    """The quoted name of the view's table."""
    return quoted(SCHEMA, view.name)


def create_table(connection: Connection, view: FeatureView) -> None:
    """Create the table of a view, empty, instead of one with other columns. The ready view is dropped with it."""
    columns = ",\n".join(f"{quoted(one.name)} {TYPES[one.type]}" for one in view.features)
    key = quoted(view.key)
    connection.execute(f"DROP TABLE IF EXISTS {table(view)} CASCADE".encode())
    connection.execute(
        f'CREATE TABLE {table(view)} ({key} text COLLATE "C" NOT NULL, event_timestamp timestamptz NOT NULL,\n'
        f"{columns},\ncreated_timestamp timestamptz NOT NULL, PRIMARY KEY ({key}, event_timestamp))".encode()
    )
    connection.execute(f"CREATE INDEX ON {table(view)} (event_timestamp)".encode())
    connection.execute(f"GRANT SELECT ON {table(view)} TO reader, feast".encode())
    for comment in _comments(view):
        connection.execute(comment.encode())


def wait_for_others(connection: Connection) -> None:
    """Wait for other builds and fits; until the end of the transaction, others wait for this one. Readers do not."""
    connection.execute(b"LOCK TABLE ops.feature_build IN SHARE ROW EXCLUSIVE MODE")


def create_ready_view(connection: Connection, view: FeatureView) -> None:
    """Create features.<view>_ready: missing values replaced, then normalised, by the newest parameters.

    A view with the same definition stays: to replace it would wait for every query that reads it.
    """
    name = quoted(SCHEMA, f"{view.name}_ready")
    parameters = ", ".join(
        f"max({column}) FILTER (WHERE feature = {literal(one.name)}) AS {_parameter(one, column)}"
        for one in view.features
        if one.is_number
        for column in ("mean", "stddev", "minimum", "maximum", "median")
    )
    columns = ", ".join(f"{_ready(one)} AS {quoted(one.name)}" for one in view.features)
    dropped = " AND ".join(f"r.{quoted(one.name)} IS NOT NULL" for one in view.features if one.missing == "drop")
    definition = (
        f"CREATE VIEW {name} AS WITH p AS (SELECT {parameters or '1'} FROM features.parameters "
        f"WHERE view = {literal(view.name)} AND version = (SELECT max(version) FROM features.parameters "
        f"WHERE view = {literal(view.name)})) SELECT r.{quoted(view.key)}, r.event_timestamp, {columns}, "
        f"r.created_timestamp FROM {table(view)} AS r CROSS JOIN p WHERE {dropped or 'true'}"
    )
    digest = hashlib.sha256(definition.encode()).hexdigest()[:16]
    about = f"{view.file.description} Missing values are replaced, then values are normalised: features.parameters."
    comment = f"{about} Definition {digest}."
    if connection.execute(b"SELECT obj_description(to_regclass(%s), 'pg_class')", (name,)).fetchone() == (comment,):
        return
    connection.execute(f"DROP VIEW IF EXISTS {name} CASCADE".encode())
    connection.execute(definition.encode())
    connection.execute(f"GRANT SELECT ON {name} TO reader".encode())
    connection.execute(f"COMMENT ON VIEW {name} IS {literal(comment)}".encode())


def fit(connection: Connection, view: FeatureView, until: datetime) -> int:
    """Compute the parameters of every number in [until - 28 d, until) and add them as a new version.

    Args:
        connection: of the role `transform`.
        view: the view; its table exists.
        until: with a zone.

    Returns:
        The version. Without values, mean and the others are null.
    """
    since = until - timedelta(days=FITTED_DAYS)
    numbers = [one.name for one in view.features if one.is_number]
    values = ", ".join(f"({literal(name)}, r.{quoted(name)}::double precision)" for name in numbers)
    with connection.transaction():
        # Two fits at once would take the same version.
        wait_for_others(connection)
        [(version,)] = connection.execute(
            b"SELECT coalesce(max(version), 0) + 1 FROM features.parameters WHERE view = %s", (view.name,)
        ).fetchall()
        connection.execute(
            # The deviation of equal values is 0, which a sum of rounded squares may miss.
            "INSERT INTO features.parameters (view, feature, version, fitted_from, fitted_until, rows, mean, stddev, "
            "minimum, maximum, median) "
            "SELECT %(view)s, f.feature, %(version)s, %(since)s, %(until)s, count(v.x), avg(v.x), "
            "CASE WHEN min(v.x) = max(v.x) THEN 0 ELSE stddev_pop(v.x) END, min(v.x), max(v.x), "
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY v.x) "
            "FROM unnest(%(features)s::text[]) AS f (feature) LEFT JOIN ("
            f"SELECT n.feature, n.x FROM {table(view)} AS r CROSS JOIN LATERAL (VALUES {values}) AS n (feature, x) "
            "WHERE r.event_timestamp >= %(since)s AND r.event_timestamp < %(until)s"
            ") AS v ON v.feature = f.feature GROUP BY f.feature".encode(),
            {"view": view.name, "version": version, "since": since, "until": until, "features": numbers},
        )
    return int(version)


def _parameter(feature: Feature, column: str) -> str:
    return quoted(f"{feature.name}.{column}")


def _ready(feature: Feature) -> str:
    """A feature as a model gets it."""
    if not feature.is_number:
        return f"r.{quoted(feature.name)}"
    mean, deviation, low, high, median = (
        f"p.{_parameter(feature, column)}" for column in ("mean", "stddev", "minimum", "maximum", "median")
    )
    raw = f"r.{quoted(feature.name)}::double precision"
    match feature.missing:
        case Constant(constant=number):
            value = f"coalesce({raw}, {number!r})"
        case "zero":
            value = f"coalesce({raw}, 0)"
        case "mean":
            value = f"coalesce({raw}, {mean})"
        case "median":
            value = f"coalesce({raw}, {median})"
        case _:
            value = raw
    if feature.normalize == "none":
        is_own_type = feature.missing not in ("mean", "median")
        whole = not isinstance(feature.missing, Constant) or feature.missing.constant.is_integer()
        return f"({value})::{TYPES[feature.type]}" if is_own_type and whole else value
    base, divisor = (mean, deviation) if feature.normalize == "zscore" else (low, f"({high} - {low})")
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {divisor} = 0 THEN 0 ELSE ({value} - {base}) / {divisor} END"


def _comments(view: FeatureView) -> Iterator[str]:
    about = f"{view.file.description} Owner: {view.file.owner}. Written by filegate features build."
    yield f"COMMENT ON TABLE {table(view)} IS {literal(about)}"
    yield (
        f"COMMENT ON COLUMN {table(view)}.event_timestamp IS "
        "'T: the features know the rows of raw tables before this time.'"
    )
    yield f"COMMENT ON COLUMN {table(view)}.created_timestamp IS 'When the row was computed.'"
    for one in view.features:
        text = one.description + (f" Unit: {one.unit}." if one.unit else "") + f" Formula: {one.source}."
        yield f"COMMENT ON COLUMN {table(view)}.{quoted(one.name)} IS {literal(text)}"
