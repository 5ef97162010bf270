"""Consumers that die: of kill -9 in a process of their own, at a named point of a batch's road, or of one message."""

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
from include.streams.consume import TopicConsumer, _MessageDoor
from include.streams.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from topic_pipeline import TopicPipeline

    from include.ingestion.records import SpooledFile

# One process that has imported everything and is forked for each death: a fresh interpreter takes seconds.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["include.streams.consume", "include.streams.intake", "include.stores.ml_service"])


def die(*_: object, **__: object) -> None:
    """What kill -9 does: no handler, no finally, no goodbye to the database or the broker."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: type | Any, name: str) -> None:
    """Die when the function has returned."""
    original: Callable[..., Any] = getattr(owner, name)

    def returned(*values: Any, **named: Any) -> None:
        original(*values, **named)
        die()

    setattr(owner, name, returned)


def _instead(owner: type | Any, name: str) -> None:
    """Die in place of the function."""
    setattr(owner, name, die)


TRAPS: dict[str, Callable[[], None]] = {
    "claimed": lambda: _after(Ledger, "claim_messages"),
    "begun": lambda: _after(Ledger, "begin"),
    "validated": lambda: _after(Ledger, "validated"),
    "processed": lambda: _after(Ledger, "processed"),
    "dead letters published": lambda: _after(consume, "publish"),
    "merged, not committed": lambda: _after(Ledger, "loaded"),
    "committed, staging table not dropped": lambda: _after(load, "_publish"),
    "committed in the warehouse, not in the broker": lambda: _after(consume, "ingest"),
    "committed in the broker, not settled": lambda: _after(Intake, "commit"),
    "killer set aside, not noted": lambda: _after(TopicConsumer, "_set_aside"),
}


def _work(point: str, pipeline: TopicPipeline) -> None:
    TRAPS[point]()
    pipeline.consume("dying")


def die_at(point: str, pipeline: TopicPipeline) -> None:
    """Consume in a process of its own until it dies.

    Raises:
        AssertionError: the process lived on.
    """
    process = _PROCESSES.Process(target=_work, args=(point, replace(pipeline, owner=None)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"'{point}' was not reached: the worker ended with {process.exitcode}"


class KilledError(BaseException):
    """The end of a worker, without the wait until the broker has given a killed process up."""


@contextmanager
def deadly(value: bytes) -> Iterator[None]:
    """Until the end of the block, a batch with this message ends its worker."""
    original = _MessageDoor.spool

    def spool(door: _MessageDoor, folder: Path) -> SpooledFile:
        if any(one.value == value for one in door.batch.messages):
            raise KilledError
        return original(door, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MessageDoor, "spool", spool)
        yield


def deaths_until_consumed(pipeline: TopicPipeline, most: int = 20) -> list[int]:
    """Consume again and again until no worker dies of it; with how many messages each died."""
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
