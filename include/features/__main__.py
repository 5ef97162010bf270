"""Writes docs/features.md from the shipped views: `python -m include.features`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.contracts.describe import cell
from include.features.definition import Constant
from include.features.reader import read_features
from include.settings import FEATURES_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.features.compiler import FeatureView
    from include.features.definition import Feature

PAGE = Path(__file__).parents[2] / "docs" / "features.md"
_INTRODUCTION = """\
# Reference: features

A view `features/<view>.yaml` becomes the table `features.<view>`: its join key, `event_timestamp` T, the features,
`created_timestamp`. T is each midnight (UTC) of the last `history` days. A row knows only rows of raw tables with
`updated_at` or `occurred_at` before T. Nulls are kept.

- `filegate features describe [VIEW]`: views and features
- `filegate features build [VIEW]`: new midnights, and those that late, changed or deleted rows concern; the DAG
  `build_features` does the same on new rows
- `filegate features sample VIEW --at T [--entity ID] [--json]`: the features at any time; nothing is written
- `filegate features fit VIEW --until T`: a new version of `features.parameters`, of the 28 days before T

`features.<view>_ready` replaces missing values, then normalises, by the newest parameters: `zscore` is
(x - mean)/stddev, `minmax` is (x - minimum)/(maximum - minimum), and 0 where the divisor is 0. A feature without any
value in those 28 days is null there.

Feast serves the newest values. Install it once with `filegate feast setup` (600 MB, a virtualenv of its own); until
then the DAG `materialize_features` is skipped. Its registry and online store are the database `feast`.

- `filegate feast materialize`: new rows into the online store, as that DAG does. Rows older than 2 days do not count
- `filegate feast get VIEW ENTITY`, or the ML service's `GET /features/{view}/{entity}`: the online values
- `filegate feast repository`: writes feature_store.yaml and definitions.py, without a login
- the DAG `train_task_delay` trains the model `task_delay`; `GET /task-delay/{task_id}` says whether a task will be late

Steps that views share are in `features/shared.yaml`. Their SQL names datasets without a schema: `tasks` is the state of
each task at T, `tasks_history` each row before T, `activity` each event before T. The keys are those of
`include/features/definition.py`. Try the shipped views with `filegate generate users --drop`, and likewise tasks,
projects, teams and activity.

This page is generated: `python -m include.features`.
"""


def page() -> str:
    """The text of the page."""
    views = read_features(FEATURES_DIR).views
    return "\n".join([_INTRODUCTION, *(line for name in sorted(views) for line in _section(views[name]))])


def _section(view: FeatureView) -> Iterator[str]:
    yield f"## {view.name}\n\n{view.file.description} Join key `{view.key}`. Reads {', '.join(view.sources)}.\n"
    yield "| feature | type | unit | formula | missing | normalize |\n|---|---|---|---|---|---|"
    for one in view.features:
        cells = (f"`{one.name}`", one.type, one.unit, one.source, _missing(one), one.normalize)
        yield f"| {' | '.join(map(cell, cells))} |"
    yield ""


def _missing(feature: Feature) -> str:
    return f"constant {feature.missing.constant:g}" if isinstance(feature.missing, Constant) else feature.missing


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
