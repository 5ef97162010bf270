"""A process that collects an element and is killed at one step of its run, as by a machine that runs out of memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from element_world import ElementWorld, Steps

from include.sources import run
from include.sources.topic import RecordMessages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from include.settings import KafkaConfig, S3Config, WarehouseConfig
    from include.stores.warehouse import Connection

# One process that has imported everything and is forked for each collector: a new interpreter takes seconds. It does
# not find modules of the tests, so this is what `element_world` imports.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "pytest", "include.contracts.reader", "include.ingestion.claim", "include.ingestion.pipeline",
        "include.ingestion.settle", "include.sources.definition", "include.sources.run", "include.sources.topic",
    ]
)  # fmt: skip


class KillingSteps(Steps):
    """Steps at one of which the process ends: no handler and no `finally` runs, no connection is closed properly."""

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class _Addresses:
    """What a world needs of its platform, and another process can receive."""

    s3_config: S3Config
    warehouse: WarehouseConfig

    def warehouse_config(self) -> WarehouseConfig:
        return self.warehouse


@dataclass(frozen=True)
class Work:
    """A run of an element. `options` are changes of the definition, `changes` those of the contract."""

    addresses: _Addresses
    name: str
    buckets: tuple[str, str]
    folder: Path
    kafka: KafkaConfig | None
    records: list[int]
    element: str
    changes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def world(self) -> ElementWorld:
        """The same world in this process, without the connection of the owner."""
        made = ElementWorld(
            self.addresses, self.name, *self.buckets, None, self.folder, self.kafka, records=self.records
        )  # type: ignore[arg-type]
        made.changes = self.changes
        return made


def kill_before(step: int, world: ElementWorld, element: str, **options: Any) -> bool:
    """Collect an element in another process, which is killed before this step.

    Steps are what the process asks of others: each request, each call of the bucket, each statement and each commit of
    the warehouse, each message; the last one is the end of the run, while it still holds its lock.

    Returns:
        Whether the run has so many steps. If not, it has succeeded.
    """
    addresses = _Addresses(world.platform.s3_config, world.platform.warehouse_config())
    buckets = (world.raw_bucket, world.landing_bucket)
    work = Work(
        addresses, world.name, buckets, world.folder, world.kafka, world.records, element, world.changes, options
    )  # fmt: skip
    process = _PROCESSES.Process(target=_collect, args=(step, work))
    process.start()
    process.join(60)
    assert process.exitcode in {-signal.SIGKILL, 0}, f"step {step}: the process ended with {process.exitcode}"
    return process.exitcode != 0


def _collect(step: int, work: Work) -> None:
    world = work.world()
    with pytest.MonkeyPatch.context() as patch, world.steps(patch, step, kind=KillingSteps) as steps:
        patch.setattr(run, "connect", _with_commits(run.connect, steps))
        for owner, name in ((run, "publish"), (RecordMessages, "of"), (run._Attempt, "_collected")):
            patch.setattr(owner, name, _as_step(getattr(owner, name), steps))
        world.collect(work.element, **work.options)


def _as_step(call: Callable[..., Any], steps: Steps) -> Callable[..., Any]:
    def step(*given: Any) -> Any:
        steps.do(lambda: None)
        return call(*given)

    return step


def _with_commits(connect: Callable[..., Any], steps: Steps) -> Callable[..., Any]:
    """Make each commit of a transaction a step, too."""

    @contextmanager
    def connected(config: WarehouseConfig) -> Iterator[Connection]:
        with connect(config) as connection:
            begin = connection.transaction

            @contextmanager
            def transaction() -> Iterator[Any]:
                with begin() as begun:
                    yield begun
                    steps.do(lambda: None)

            connection.transaction = transaction
            yield connection

    return connected
