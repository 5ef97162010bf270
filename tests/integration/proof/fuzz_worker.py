"""A worker process for hostile files: its time and memory are watched, and it is killed and replaced if necessary.

What belongs here: the process and its limits. What does not: the files and their expected outcomes.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from include.ingestion import pipeline as stages
from include.ingestion.attempt import open_stores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ingest_pipeline import Pipeline

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.ingestion.records import FileEntry, Loaded
    from include.settings import IngestSettings, S3Config, WarehouseConfig

FILE_SECONDS = 60
GROWTH_BYTES = 700 * 1024**2
_LOOK_SECONDS = 0.1
# A process with all imports is forked for each worker: a new interpreter takes seconds.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["include.ingestion.pipeline"])


@dataclass
class Watched:
    """Measurements of a batch: seconds by file, the reason by file that ended its worker, and growth of memory."""

    seconds: dict[int, float] = field(default_factory=dict)
    ended: dict[int, str] = field(default_factory=dict)
    growth_bytes: int = 0


def work_through(pipeline: Pipeline, file_ids: list[int]) -> Watched:
    """Ingest the files in workers; a file that ends its worker is left out, and a new worker takes the others."""
    watched = Watched()
    left = list(file_ids)
    while left:
        at_work = _one_worker(pipeline, left, watched)
        left = [file_id for file_id in left if file_id not in watched.seconds and file_id not in watched.ended]
        assert not left or at_work, "a worker ended without a file at work"
    return watched


def _one_worker(pipeline: Pipeline, file_ids: list[int], watched: Watched) -> bool:
    """Whether a file ended the worker."""
    ours, theirs = _PROCESSES.Pipe()
    work = _Work(pipeline.contract, pipeline.s3, pipeline.warehouse, pipeline.settings, file_ids)
    process = _PROCESSES.Process(target=_work, args=(theirs, work))
    process.start()
    theirs.close()
    try:
        reason, at_work = _watch(ours, psutil.Process(process.pid), watched)
    finally:
        process.kill()
        process.join()
        ours.close()
    if at_work is not None:
        watched.ended[at_work] = reason or f"its worker ended with {process.exitcode}"
    return at_work is not None


def _watch(pipe: Connection, process: psutil.Process, watched: Watched) -> tuple[str, int | None]:
    """Watch until the worker is done or must be ended. Returns the reason and the file under way."""
    base: int | None = None
    at_work: int | None = None
    begun = time.monotonic()
    while True:
        try:
            if pipe.poll(_LOOK_SECONDS):
                event, file_id = pipe.recv()
                if event == "done":
                    return "", None
                if event == "begin":
                    at_work, begun = file_id, time.monotonic()
                    base = base or process.memory_info().rss
                else:
                    watched.seconds[file_id] = time.monotonic() - begun
                    at_work = None
        except EOFError:
            return "", at_work
        with suppress(psutil.Error):
            growth = process.memory_info().rss - (base if base is not None else 2**60)
            watched.growth_bytes = max(watched.growth_bytes, growth)
            if growth > GROWTH_BYTES:
                return f"its worker grew by {growth / 1024**2:.0f} MB", at_work
        if at_work is not None and time.monotonic() - begun > FILE_SECONDS:
            return f"it was not done after {FILE_SECONDS} s", at_work


@dataclass(frozen=True)
class _Work:
    """What the worker needs of a pipeline, and the files that it ingests."""

    contract: Contract
    s3: S3Config
    warehouse: WarehouseConfig
    settings: IngestSettings
    file_ids: list[int]


def _work(pipe: Connection, work: _Work) -> None:
    ingest_file = stages.ingest_file

    def report_and_ingest(
        contract: Contract, entry: FileEntry, stores: Stores, settings: IngestSettings
    ) -> Loaded | None:
        pipe.send(("begin", entry.file_id))
        try:
            return ingest_file(contract, entry, stores, settings)
        finally:
            pipe.send(("end", entry.file_id))

    replaced: Any = stages
    replaced.ingest_file = report_and_ingest
    with open_stores(work.s3, work.warehouse) as stores:
        stages.ingest_batch(work.contract, work.file_ids, stores, work.settings)
    pipe.send(("done", 0))
