"""Runs of sources for tests of what shows them, written as the runs of `collect_<source>` write them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, RetryableError
from include.ingestion.records import AirflowRun
from include.sources.listing import Listing, Position, Traffic
from include.sources.positions import Positions
from include.sources.runs import AirflowAttempt, SourceRuns, run_figures
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from include.errors import PipelineError
    from include.settings import WarehouseConfig

# Requests left and the end of the limit, as GitHub counts them.
LEFT, RESET = 4711, datetime(2026, 12, 1, 11, tzinfo=UTC)
AWAY = RetryableError(Code.SOURCE_UNAVAILABLE, "The API of shop answers 503.")
DENIED = PermanentError(Code.SOURCE_REFUSED, "The API of shop answers 401.")


@dataclass(frozen=True)
class Attempt:
    """One attempt of an element; without an error it succeeds, and has a stand-in's answer if it is of `/stand-in`."""

    element: str
    read: int = 0
    written: int = 0
    failed: int = 0
    error: PipelineError | None = None
    watermark: str | None = None
    run: str = "run-1"


# Of two elements: the first fails and its retry succeeds, the second fails; the third is a stand-in's.
ATTEMPTS = (
    Attempt("/north", 10, 0, 2, AWAY),
    Attempt("/north", 30, 28, 1, watermark="2026-12-01T09:00:00Z"),
    Attempt("/south", 5, 0, 0, DENIED),
    Attempt("/stand-in", 7, 7),
)


def write_source_runs(config: WarehouseConfig, source: str, attempts: tuple[Attempt, ...] = ATTEMPTS) -> None:
    """Write the attempts in their order. Each has 3 requests, 1 retry, 1,000 bytes and waited 1.5 seconds.

    Args:
        config: of the role `ingest`.
        source: name of the definition.
        attempts: what they read.
    """
    for attempt in attempts:
        traffic = Traffic(3, 1, 1000, 1.5, LEFT, RESET, is_stand_in=attempt.element == "/stand-in")
        position = Position(attempt.watermark)
        listing = Listing(position, 1, attempt.read, attempt.failed, error=attempt.error)
        with connect(config) as connection:
            positions = Positions(connection, source, attempt.element)
            runs = SourceRuns(connection, source, attempt.element)
            version = positions.begin(positions.read().version, None)
            number, _ = runs.begin(AirflowAttempt(AirflowRun(f"collect_{source}", attempt.run)))
            if attempt.error is None:
                positions.commit(version, position, None)
            runs.end(number, run_figures(listing, traffic, attempt.written), has_arrived=attempt.error is None)


def delete_source_runs(owner: WarehouseConfig, source: str) -> None:
    """Delete the runs and positions of a source."""
    with connect(owner) as connection:
        for table in ("source_run", "source_position"):
            connection.execute(f"DELETE FROM ops.{table} WHERE source = %s".encode(), [source])
