"""Asset-aware scheduling: the assets by which one DAG starts another, missed events, and the cool-down after a run.

Airflow keeps no asset events for a paused DAG (`AssetManager.register_asset_change`): rows loaded meanwhile would wait
for the next event. So DAGs that asset events start also have a time schedule, and their first task checks with a cheap
query whether anything was loaded since the last run started. The state seen by the last run is the `extra` of an asset
event. A failed run is not repeated by the time schedule: the next event or a user starts the next run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetOrTimeSchedule, BaseOperator, DeltaTriggerTimetable, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.asset import BaseAsset

# An unpaused DAG starts at most this long after the last scheduled run.
PAUSE = timedelta(minutes=5)
LONGEST_COOLDOWN = timedelta(minutes=10)


def rows_of(dataset: str) -> Asset:
    """Return the asset whose events say that the raw table of a dataset has new rows."""
    return Asset(name=f"raw.{dataset}", uri=f"postgres://warehouse/warehouse/raw/{dataset}", group="raw")


def build_started() -> Asset:
    """Return the asset whose events say that a dbt build started; `extra` identifies the loads it includes."""
    return Asset(name="analytics.build", uri="postgres://warehouse/warehouse/analytics/build", group="analytics")


def live_build_started() -> Asset:
    """Return the asset whose events say that a build of the live marts started; `extra` identifies the loads."""
    return Asset(
        name="analytics.live_build", uri="postgres://warehouse/warehouse/analytics/live_build", group="analytics"
    )


def live_marts() -> Asset:
    """Return the asset whose events say that the marts of the live sources were built."""
    return Asset(
        name="analytics.live_marts", uri="postgres://warehouse/warehouse/analytics/live_marts", group="analytics"
    )


def training_started() -> Asset:
    """Return the asset whose events say that a training started; `extra` identifies the features it uses."""
    return Asset(name="models.training", uri="mlflow://models/training", group="models")


def marts() -> Asset:
    """Return the asset whose events say that the models of schema analytics were built."""
    return Asset(name="analytics.marts", uri="postgres://warehouse/warehouse/analytics/marts", group="analytics")


def features() -> Asset:
    """Return the asset whose events say that analytics.ml_features was built with new commits."""
    return Asset(
        name="analytics.ml_features", uri="postgres://warehouse/warehouse/analytics/ml_features", group="analytics"
    )


def feature_view(name: str) -> Asset:
    """Return the asset whose events say that rows of features.<name> were computed."""
    return Asset(name=f"features.{name}", uri=f"postgres://warehouse/warehouse/features/{name}", group="features")


def online_features() -> Asset:
    """Return the asset whose events say that the online store of features has new values."""
    return Asset(name="features.online", uri="postgres://warehouse/feast/online/features", group="features")


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


def cooldown_length(began: datetime | None, now: datetime, least_cycle: timedelta = timedelta(0)) -> timedelta:
    """Return the duration of the run so far, at most LONGEST_COOLDOWN.

    Args:
        began: start of the run; None if unknown.
        now: current time, with time zone.
        least_cycle: from the start of the run to the end of the cool-down, at least.
    """
    if began is None:
        return timedelta(0)
    so_far = max(now - began, timedelta(0))
    return max(min(so_far, LONGEST_COOLDOWN), least_cycle - so_far)


class Cooldown(BaseOperator):
    """Wait in the triggerer, without a worker slot, for as long as the run has taken, also if tasks of it failed.

    In a DAG with `max_active_runs=1` the next run starts after this task, so the DAG works at most half of the time,
    unless a run takes longer than LONGEST_COOLDOWN. The pause is at the end of the run and not at the start of the next
    one, because Airflow finds the previous run only by its logical date, and a run started by asset events has none.

    Make it a leaf next to the other leaf tasks: as the only leaf it would make a failed run successful. A run that no
    asset event started skips the task; with `least_cycle`, one that a user started.

    Args:
        least_cycle: from the start of the run to the end of the cool-down, at least.
        options: arguments of BaseOperator.
    """

    def __init__(self, *, least_cycle: timedelta = timedelta(0), **options: Any) -> None:
        super().__init__(**options | {"trigger_rule": TriggerRule.ALL_DONE})
        self.least_cycle = least_cycle

    def execute(self, context: Context) -> None:
        """Compute the cool-down and defer until its end; the trigger ends the task."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        is_regular = bool(self.least_cycle) and is_by_clock(context)
        if not context["triggering_asset_events"] and not is_regular:
            raise AirflowSkipException("No cool-down: no asset event started this run.")
        now = datetime.now(UTC)
        pause = cooldown_length(context["dag_run"].start_date, now, self.least_cycle)
        self.log.info(
            "Cooling down for %.0f s; asset events that arrive meanwhile start one run after it.", pause.total_seconds()
        )
        self.defer(
            trigger=DateTimeTrigger(moment=now + pause, end_from_trigger=True),
            method_name=self.end_of_cooldown.__name__,
        )

    def end_of_cooldown(self, context: Context, event: Any) -> None:
        """Do nothing: Airflow requires a method name, but the trigger ends the task without calling it."""
