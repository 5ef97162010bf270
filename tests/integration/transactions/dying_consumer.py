"""Consumers that die: by kill -9 in their own process, at a named point of the pipeline, or from one message."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.ingestion import load
from include.ingestion.ledger import Ledger
from include.streams import consume
from include.streams.batch_consumer import BatchConsumer
from include.streams.consume import KafkaBatchSource, TopicConsumer
from include.streams.message_ledger import MessageLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from topic_pipeline import TopicPipeline

    from include.ingestion.records import SpooledFile

# A process with all imports is forked for each consumer: a new interpreter takes seconds.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["include.streams.consume", "include.streams.batch_consumer", "include.stores.ml_service"]
)


def die(*_: object, **__: object) -> None:
    """End the process as kill -9 does: no handler, no finally, no closed connections."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: type | Any, name: str) -> None:
    """Die right after the function."""
    original: Callable[..., Any] = getattr(owner, name)

    def call_and_die(*values: Any, **named: Any) -> None:
        original(*values, **named)
        die()

    setattr(owner, name, call_and_die)


TRAPS: dict[str, Callable[[], None]] = {
    "claimed": lambda: _after(MessageLedger, "claim_range"),
    "begun": lambda: _after(Ledger, "begin"),
    "validated": lambda: _after(Ledger, "validated"),
    "processed": lambda: _after(Ledger, "processed"),
    "dead letters published": lambda: _after(consume, "publish"),
    "merged, not committed": lambda: _after(Ledger, "loaded"),
    "committed, staging table not dropped": lambda: _after(load, "_publish"),
    "committed in the warehouse, not in the broker": lambda: _after(consume, "ingest"),
    "committed in the broker, not settled": lambda: _after(BatchConsumer, "commit"),
    "poison message published, not noted": lambda: _after(TopicConsumer, "_dead_letter"),
}


def _work(point: str, pipeline: TopicPipeline) -> None:
    TRAPS[point]()
    pipeline.consume("dying")


def die_at(point: str, pipeline: TopicPipeline) -> None:
    """Consume in another process until it dies at this point.

    Raises:
        AssertionError: the process did not die.
    """
    process = _PROCESSES.Process(target=_work, args=(point, replace(pipeline, owner=None)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"'{point}' was not reached: the worker ended with {process.exitcode}"


class KilledError(BaseException):
    """Ends a worker in this process: unlike after a kill, the broker notices at once that the consumer has left."""


@contextmanager
def deadly(value: bytes) -> Iterator[None]:
    """In the block, a batch with this message ends its worker."""
    original = KafkaBatchSource.spool

    def spool(source: KafkaBatchSource, folder: Path) -> SpooledFile:
        if any(one.value == value for one in source.batch.messages):
            raise KilledError
        return original(source, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KafkaBatchSource, "spool", spool)
        yield


def deaths_until_consumed(pipeline: TopicPipeline, most: int = 20) -> list[int]:
    """Consume until no worker dies any more. Returns the number of messages in the batch of each death."""
    died_with: list[int] = []
    while len(died_with) < most:
        try:
            pipeline.consume()
        except KilledError:
            (entry,) = [entry for entry in pipeline.entries() if entry["settled_at"] is None]
            died_with.append(entry["last_offset"] - entry["first_offset"] + 1)
        else:
            return died_with
    raise AssertionError(died_with)
