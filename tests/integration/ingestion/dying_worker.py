"""A worker process that is killed at a named point of the pipeline, as by a machine that runs out of memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from include.ingestion import load
from include.ingestion import pipeline as stages
from include.ingestion import settle as settling
from include.ingestion.attempt import open_stores
from include.ingestion.ledger import Ledger
from include.ingestion.pipeline import ingest_batch
from include.stores import object_moves
from include.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest_pipeline import Pipeline

    from include.contracts.model import Contract
    from include.settings import IngestSettings, S3Config, WarehouseConfig

SETTLES = {"between copy and delete", "after the move, before the note", "after the report, before the move"}
# One process that has imported everything and is forked for each worker: a new interpreter takes seconds.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["include.ingestion.pipeline", "include.ingestion.settle"])


def die(*_: object, **__: object) -> None:
    """Kill this process with SIGKILL: no handler and no `finally` runs, and no connection is closed properly."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: type | Any, name: str, *, calls: int = 1) -> None:
    """Die after the given number of calls of the function."""
    original: Callable[..., Any] = getattr(owner, name)
    left = [calls]

    def then_die(*values: Any, **named: Any) -> Any:
        answer = original(*values, **named)
        left[0] -= 1
        if left[0] == 0:
            die()
        return answer

    setattr(owner, name, then_die)


def _instead(owner: type | Any, name: str) -> None:
    """Die instead of calling the function."""
    setattr(owner, name, die)


TRAPS: dict[str, Callable[[], None]] = {
    "begun, nothing read": lambda: _after(Ledger, "begin"),
    "rejects uploaded, not noted": lambda: _instead(Ledger, "validated"),
    "validated": lambda: _after(Ledger, "validated"),
    "processed": lambda: _after(Ledger, "processed"),
    # the header of the binary format, then the first batch of rows
    "in the middle of the copy": lambda: _after(psycopg.Copy, "write", calls=2),
    "copied and audited, not merged": lambda: _after(Ledger, "quality"),
    "deleted, not merged": lambda: _instead(load, "_merge"),
    "merged, not committed": lambda: _after(Ledger, "loaded"),
    "committed, staging table not dropped": lambda: _after(load, "_publish"),
    "committed": lambda: _after(stages, "load"),
    # of an archive, which is begun before its members
    "before the members are entered": lambda: _instead(stages, "enter_members"),
    "members entered": lambda: _after(stages, "enter_members"),
    "first member begun": lambda: _after(Ledger, "begin", calls=2),
    "second member begun": lambda: _after(Ledger, "begin", calls=3),
    "second member merged, not committed": lambda: _after(Ledger, "loaded", calls=2),
    "second member committed": lambda: _after(stages, "load", calls=2),
    "third member refused": lambda: _after(Ledger, "refused"),
    "before the refused one is kept": lambda: _instead(stages, "keep_refused"),
    "the refused one is kept": lambda: _after(stages, "keep_refused"),
    "archive loaded": lambda: _after(stages, "note_archive_loaded"),
    "between copy and delete": lambda: _instead(object_moves, "_remove"),
    "after the move, before the note": lambda: _after(settling, "move"),
    "after the report, before the move": lambda: _after(ObjectStore, "put"),
}


@dataclass(frozen=True)
class Work:
    """What the worker needs of a pipeline, and the files that it ingests."""

    contract: Contract
    s3: S3Config
    warehouse: WarehouseConfig
    settings: IngestSettings
    file_ids: list[int]


def _work(point: str, work: Work) -> None:
    TRAPS[point]()
    with open_stores(work.s3, work.warehouse) as stores:
        if point in SETTLES:
            settling.settle(work.contract, stores, work.settings)
        else:
            ingest_batch(work.contract, work.file_ids, stores, work.settings)


def die_at(point: str, pipeline: Pipeline, file_ids: Sequence[int] = ()) -> None:
    """Ingest these files, or settle, in a separate process that dies at the point.

    Raises:
        AssertionError: the process did not reach the point.
    """
    work = Work(pipeline.contract, pipeline.s3, pipeline.warehouse, pipeline.settings, list(file_ids))
    process = _PROCESSES.Process(target=_work, args=(point, work))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"'{point}' was not reached: the worker ended with {process.exitcode}"
