"""Catch up on asset events that a DAG missed while it was paused.

Airflow keeps no asset events for a paused DAG (`AssetManager.register_asset_change`): rows loaded meanwhile would wait
for the next event. So these DAGs also have a time schedule, and their first task checks with a cheap query whether
anything was loaded since the last run started. The state seen by the last run is the `extra` of an asset event. A
failed run is not repeated by the time schedule: the next event or a user starts the next run.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.bases.asset import BaseAsset

# An unpaused DAG starts at most this long after the last scheduled run.
PAUSE = timedelta(minutes=5)


def events_or_clock(assets: BaseAsset | list[Asset]) -> AssetOrTimeSchedule:
    """Return a schedule by asset events, and by time for events that were missed."""
    return AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(PAUSE), assets=assets)


def is_by_clock(context: Any) -> bool:
    """Return whether the time schedule started the run, not an asset event or a user."""
    return str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)) == "scheduled"


def last_extra(context: Any, asset: Asset) -> dict[str, Any]:
    """Return the extra of an asset's newest event, or an empty dict. The asset must be an inlet of the task."""
    for event in context["inlet_events"][asset].ascending(ascending=False).limit(1):
        return dict(event.extra)
    return {}
