"""The cool-down task: it ends a run with a pause as long as its work, so that other DAGs get the CPUs.

What belongs here: the length of the pause. What does not: the work before it. The pause is at the end of the run and
not at the start of the next one, because Airflow finds the previous run only by its logical date, and a run started by
asset events has none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST = timedelta(minutes=10)


def cooldown_length(began: datetime | None, now: datetime) -> timedelta:
    """Return the duration of the run so far, at most LONGEST.

    Args:
        began: start of the run; None if unknown.
        now: current time, with time zone.
    """
    return min(max(now - began, timedelta(0)), LONGEST) if began else timedelta(0)


class Cooldown(BaseOperator):
    """Wait in the triggerer, without a worker slot, for as long as the run has taken, also if tasks of it failed.

    In a DAG with `max_active_runs=1` the next run starts after this task, so the DAG works at most half of the time,
    unless a run takes longer than LONGEST. Make it a leaf next to the other leaf tasks: as the only leaf it would make
    a failed run successful. A run that no asset event started skips the task.

    Args:
        options: arguments of BaseOperator.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"trigger_rule": TriggerRule.ALL_DONE})

    def execute(self, context: Context) -> None:
        """Compute the cool-down and defer until its end; the trigger ends the task."""
        if not context["triggering_asset_events"]:
            raise AirflowSkipException("No cool-down: no asset event started this run.")
        now = datetime.now(UTC)
        pause = cooldown_length(context["dag_run"].start_date, now)
        self.log.info(
            "Cooling down for %.0f s; asset events that arrive meanwhile start one run after it.", pause.total_seconds()
        )
        self.defer(
            trigger=DateTimeTrigger(moment=now + pause, end_from_trigger=True),
            method_name=self.end_of_cooldown.__name__,
        )

    def end_of_cooldown(self, context: Context, event: Any) -> None:
        """Do nothing: Airflow requires a method name, but the trigger ends the task without calling it."""
