"""What each run of an element read and wrote: the rows of ops.source_run.

What belongs here: a run's row and its figures. What does not: how far the element was read (`positions`).

A row is written when a run begins, so that a run whose process died is seen: the next run of the element notes it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import Code, PipelineError, visible
from include.errors.registry import message
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from include.ingestion.records import AirflowRun
    from include.settings import WarehouseConfig
    from include.sources.listing import Listing, Traffic

log = logging.getLogger(__name__)


@dataclass
class AirflowAttempt:
    """One attempt of a task of Airflow to read an element.

    Attributes:
        run: the Airflow run.
        source_run_id: of its row in ops.source_run; None before it has begun one.
    """

    run: AirflowRun
    source_run_id: int | None = None


class SourceRuns:
    """Writes the rows of one element's runs."""

    def __init__(self, connection: Connection, source: str, element: str) -> None:
        self._connection, self._element = connection, {"source": source, "element": element}

    def begin(self, attempt: AirflowAttempt) -> tuple[int, datetime]:
        """Begin the row of an attempt, and note those that died. The caller holds the element's lock.

        Returns:
            Its number, and when it began by the clock of the warehouse.
        """
        died = {"code": Code.WORKER_DIED.value, "message": message(Code.WORKER_DIED, "source")}
        values = {"dag_id": attempt.run.dag_id, "run_id": attempt.run.run_id}
        with warehouse_errors():
            self._connection.execute(statement("fail_dead_source_runs"), {**self._element, **died})
            row = self._connection.execute(statement("begin_source_run"), {**self._element, **values}).fetchone()
        assert row is not None  # noqa: S101 - the statement returns the row
        attempt.source_run_id = row[0]
        return row[0], row[1]

    def end(self, source_run_id: int, figures: Mapping[str, Any], *, has_arrived: bool) -> None:
        """Write the figures of a run that ends.

        Args:
            source_run_id: its number.
            figures: as `run_figures` makes them.
            has_arrived: what it read was delivered. Then a run that has ended already gets its figures, too, and keeps
                status, error and time. Else nothing of it is changed.
        """
        values = {**figures, "source_run_id": source_run_id, "has_arrived": has_arrived}
        with warehouse_errors():
            self._connection.execute(statement("end_source_run"), values)


@contextmanager
def failures_recorded(
    find_warehouse: Callable[[], WarehouseConfig], source: str, element: str, run: AirflowRun
) -> Iterator[AirflowAttempt]:
    """Note an attempt that fails inside, if it has no row of its own: it failed before it could begin.

    The error is re-raised. If the failure cannot be noted, the reason is logged.

    Args:
        find_warehouse: returns address and login of the role `ingest`. It is called only for a failure.
        source: name of the definition.
        element: name of the element.
        run: the Airflow run.

    Yields:
        The attempt, for the task that reads the element.
    """
    attempt = AirflowAttempt(run)
    try:
        yield attempt
    except PipelineError as error:
        values = {
            "source": source, "element": element, "dag_id": run.dag_id, "run_id": run.run_id,
            "code": error.code.value, "message": visible(error.message),
            "source_run_id": attempt.source_run_id,
        }  # fmt: skip
        try:
            with connect(find_warehouse()) as connection, warehouse_errors():
                connection.execute(statement("record_failed_attempt"), values)
        except Exception as other:  # the first error is the one to raise
            log.warning("The failure is not in ops.source_run. %s: %s", type(other).__name__, other)
        raise


def run_figures(listing: Listing, traffic: Traffic, written: int = 0, key: str | None = None) -> dict[str, Any]:
    """The figures of a run, as values of JSON.

    Args:
        listing: what was read.
        traffic: what the requests cost.
        written: records that were delivered.
        key: of the delivered file.
    """
    reset_at = traffic.limit_resets_at
    return {
        **_status(listing.error),
        "records_read": listing.records_read,
        "records_written": written,
        "records_failed": listing.records_failed,
        "bytes": traffic.bytes,
        "requests": traffic.requests,
        "retries": traffic.retries,
        "waited_seconds": round(traffic.waited_seconds, 3),
        "rate_limit_remaining": traffic.limit_remaining,
        "rate_limit_reset_at": reset_at.isoformat() if reset_at else None,
        "watermark": listing.position.watermark,
        "object_key": key,
        "stand_in": traffic.is_stand_in,
    }


def _status(error: PipelineError | None) -> dict[str, str | None]:
    if error is None:
        return {"status": "success", "error_code": None, "error_message": None}
    return {"status": "failed", "error_code": error.code.value, "error_message": visible(error.message)}
