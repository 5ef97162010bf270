"""Leaving the processors to others: a run that ends with as long a rest as it worked.

What belongs here: how long a run rests. What does not: what it does before. The rest is the end of the run itself, not
the start of the next one: Airflow knows the run before only by a logical date, and a run that news have started has
none.
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


def length_of_rest(began: datetime | None, now: datetime) -> timedelta:
    """As long as the run has taken, and no longer than LONGEST.

    Args:
        began: when the run began; None if nobody knows.
        now: the time, with a zone.
    """
    return min(max(now - began, timedelta(0)), LONGEST) if began else timedelta(0)


class RestAsLong(BaseOperator):
    """Waits, in the triggerer and without a worker slot, for as long as the run has taken, whatever became of it.

    In a DAG with one run at a time the next one begins after this: the work gets half of the time, unless it takes
    longer than LONGEST. Put it beside the tasks that decide how the run ends, not behind them, or a failed run would
    end well. A run that nobody's news have started does not rest.

    Args:
        options: those of every task.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"trigger_rule": TriggerRule.ALL_DONE})

    def execute(self, context: Context) -> None:
        """Look at the clock, and leave the rest to the trigger, which ends the task."""
        if not context["triggering_asset_events"]:
            raise AirflowSkipException("Only a run that an event has started rests.")
        now = datetime.now(UTC)
        rest = length_of_rest(context["dag_run"].start_date, now)
        self.log.info("Resting for %.0f s; news that come meanwhile start one run after it.", rest.total_seconds())
        self.defer(
            trigger=DateTimeTrigger(moment=now + rest, end_from_trigger=True), method_name=self.end_of_rest.__name__
        )

    def end_of_rest(self, context: Context, event: Any) -> None:
        """Nothing is left to do. Airflow wants a name, and the trigger does not call it."""
