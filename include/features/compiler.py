"""Compiles a view of features into SQL that is correct at a point in time.

What belongs here: the text of queries. What does not: running them (`build`), and the keys of the files (`definition`).

The compiler alone names raw tables, and takes only rows with time < T of them. Steps read these rows by name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from include.stores.sql_text import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from include.features.definition import Feature, FeatureDataset, FeatureFile, FeatureStep

HISTORY = "_history"
TYPES = {"double": "double precision", "bigint": "bigint", "int": "integer", "text": "text"}
# Columns that change whenever a row is loaded.
_OF_THE_PIPELINE = ("_file_id", "_source_row", "_loaded_at", "_rescued")
_T = re.compile(r"(?<!:):T\b")


@dataclass(frozen=True)
class FeatureView:
    """A view with the datasets and steps that it may read.

    Attributes:
        file: its definition.
        datasets: by name.
        steps: by name, its own and the shared ones, each behind those that it reads.
    """

    file: FeatureFile
    datasets: Mapping[str, FeatureDataset]
    steps: Mapping[str, FeatureStep]

    @property
    def name(self) -> str:
        """The name of the view and its table."""
        return self.file.view

    @property
    def key(self) -> str:
        """The join key."""
        return self.file.join_key

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every feature, in the order of the columns."""
        return tuple(one for feature in self.file.features for one in feature.expanded())

    @cached_property
    def needed(self) -> frozenset[str]:
        """The names of all datasets, histories and steps that the view reads, directly or through steps."""
        found: set[str] = set()
        waiting = list(self.file.rows.reads)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.steps[name].reads if name in self.steps else ()
        return frozenset(found)

    @property
    def sources(self) -> tuple[str, ...]:
        """The datasets that the view reads, sorted."""
        return tuple(sorted(name for name in self.datasets if {name, name + HISTORY} & self.needed))

    @cached_property
    def digest(self) -> str:
        """Changes with the SQL and the columns of the view: rows of another digest must be computed again."""
        text = _template(self) + "".join(f"{one.name} {one.type}\n" for one in self.features)
        return hashlib.sha256(text.encode()).hexdigest()


def query(view: FeatureView, at: datetime, entity: str | None = None) -> str:
    """SQL for the rows of a view at a time: the join key, event_timestamp and the features, ordered by the key.

    Args:
        view: the view.
        at: T, with a zone.
        entity: only the row of this one.
    """
    text = _T.sub(lambda _: f"timestamptz '{at.isoformat()}'", _template(view))
    chosen = f"WHERE {quoted(view.key)} = {literal(entity)}\n" if entity is not None else ""
    return f"{text}{chosen}ORDER BY {quoted(view.key)}"


def days_query(dataset: str, time: str) -> str:
    """SQL for the rows of a raw table by UTC day: day, number of rows, and a checksum over their values.

    Late, changed and deleted rows change the checksum of a day. Loading the same row again does not.
    """
    values = f"to_jsonb(r) - ARRAY[{', '.join(map(literal, _OF_THE_PIPELINE))}]"
    return (
        f"SELECT {literal(dataset)} AS dataset, ({quoted(time)} AT TIME ZONE 'UTC')::date AS day, count(*) AS rows, "
        f"sum(hashtextextended(({values})::text, 0)::numeric) AS checksum FROM {quoted('raw', dataset)} AS r GROUP BY 2"
    )


def _template(view: FeatureView) -> str:
    """The query with :T in it."""
    queries = [*_known_rows(view), *_steps(view)]
    with_ = ",\n".join(f"{quoted(name)} AS (\n{sql.strip()}\n)" for name, sql in queries)
    columns = ",\n".join(f"({one.sql.strip()}\n)::{TYPES[one.type]} AS {quoted(one.name)}" for one in view.features)
    return (
        f"WITH {with_},\nfeature_rows AS (\n{view.file.rows.sql.strip()}\n)\n"
        f"SELECT {quoted(view.key)}, :T AS event_timestamp,\n{columns}\nFROM feature_rows\n"
    )


def _known_rows(view: FeatureView) -> Iterator[tuple[str, str]]:
    """The rows of raw tables that are known at T. Nothing else reads these tables."""
    for name in view.sources:
        dataset = view.datasets[name]
        time, key = quoted(dataset.time), quoted(dataset.key)
        known = f"SELECT * FROM {quoted('raw', name)} WHERE {time} < :T"
        if dataset.kind == "events":
            yield name, known
            continue
        if name + HISTORY in view.needed:
            yield name + HISTORY, known
        if name in view.needed:
            yield name, f"SELECT DISTINCT ON ({key}) * FROM ({known}) AS states ORDER BY {key}, {time} DESC"


def _steps(view: FeatureView) -> Iterator[tuple[str, str]]:
    for name, step in view.steps.items():
        if name in view.needed:
            yield name, step.sql


def in_order(steps: Mapping[str, FeatureStep]) -> dict[str, FeatureStep]:
    """The steps, each behind those that it reads.

    Raises:
        ValueError: two steps read each other; the message names one.
    """
    ordered: dict[str, FeatureStep] = {}
    waiting = dict(steps)
    while waiting:
        ready = [name for name, step in waiting.items() if not set(step.reads) & set(waiting)]
        if not ready:
            raise ValueError(next(iter(waiting)))
        ordered |= {name: waiting.pop(name) for name in ready}
    return ordered
