"""Runs that a DAG would have missed while it was paused.

Airflow keeps no asset event for a DAG that is paused (`AssetManager.register_asset_change`): what came meanwhile would
wait for the next event. So these DAGs also start by the clock, and their first task looks, cheaply, whether anything
came since the last run began. What the last run found is kept as the extra of an asset event. A run that failed is not
repeated by the clock: the next event, or a person, starts the next one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.bases.asset import BaseAsset

# After this at the latest, an unpaused DAG starts; at once if it was paused for longer.
PAUSE = timedelta(minutes=5)


def events_or_clock(assets: BaseAsset | list[Asset]) -> AssetOrTimeSchedule:
    """A schedule by events of assets, and by the clock for events that were missed."""
    return AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(PAUSE), assets=assets)


def is_by_clock(context: Any) -> bool:
    """Whether the clock has started a run, and neither an event nor a person."""
    return str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)) == "scheduled"


def last_extra(context: Any, asset: Asset) -> dict[str, Any]:
    """The extra of an asset's newest event; empty if there is none. The task has to name the asset as an inlet."""
    for event in context["inlet_events"][asset].ascending(ascending=False).limit(1):
        return dict(event.extra)
    return {}
