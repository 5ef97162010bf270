"""The steady load: small, large, bad and duplicate files of several datasets and formats, and messages.

What belongs here: what is dropped, when, and its expected status. What does not: reading the platform's state.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from include.contracts.reader import read_contract
from include.samples.badness import Bad, BadKind, SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR
from include.stores.object_store import ObjectStore
from include.streams.produce import RowProducer

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import KafkaConfig, S3Config

BUCKET, TOPIC = "landing", "transactions"
DATASETS = ("sales", "inventory")
_FORMATS = (SampleFormat.CSV, SampleFormat.NDJSON, SampleFormat.PARQUET, SampleFormat.CSV_GZ)
_SMALL_ROWS, _LARGE_ROWS, _MESSAGES, _PARTITIONS = 200, 100_000, 20, 2
# Every n-th file is large, bad or a duplicate; the other files are small and good.
_LARGE_EVERY, _BAD_EVERY, _COPY_EVERY = 25, 6, 8


class Kind(StrEnum):
    """The kind of a file; it decides the expected status."""

    SMALL = "small"
    LARGE = "large"
    BAD = "bad"
    COPY = "duplicate"


# The expected final status of each kind. Of a file and its duplicate either one may be loaded: they may be claimed
# together.
STATUS = {Kind.SMALL: "archived", Kind.LARGE: "archived", Kind.BAD: "validation_failed", Kind.COPY: "duplicate"}


@dataclass(frozen=True)
class Dropped:
    """A file that was dropped. `at` is in seconds since the epoch; `rows` and `bad_rows` are what it holds.

    `original` is the key of the file that has the same bytes, if this one is its duplicate.
    """

    key: str
    dataset: str
    kind: Kind
    at: float
    rows: int
    bad_rows: int
    original: str = ""


@dataclass
class Load:
    """Drops a file every `every` seconds, and messages with every third one, until it is stopped."""

    s3: S3Config
    kafka: KafkaConfig
    folder: Path
    every: float
    dropped: list[Dropped] = field(default_factory=list)
    messages: int = 0
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self._objects, self._stopped = ObjectStore(self.s3), threading.Event()
        self._contracts = {name: read_contract(CONTRACTS_DIR / f"{name}.yaml") for name in (*DATASETS, TOPIC)}
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._next_row = dict.fromkeys((*DATASETS, TOPIC), 1)
        self._last_good: tuple[Path, Dropped] | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop dropping, and wait for the current drop.

        Raises:
            Exception: the error that ended the load earlier.
        """
        self._stopped.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    @property
    def counts(self) -> Counter[Kind]:
        """The number of files of each kind."""
        return Counter(one.kind for one in self.dropped)

    def _run(self) -> None:
        try:
            number = 0
            while not self._stopped.is_set():
                begun = time.monotonic()
                self._drop(number)
                if number % 3 == 0:
                    self._publish(number)
                number += 1
                self._stopped.wait(max(0.0, self.every - (time.monotonic() - begun)))
        except Exception as error:  # `stop` raises it
            self.failure = error

    def _drop(self, number: int) -> None:
        kind, dataset = kind_of(number), DATASETS[number % len(DATASETS)]
        if kind is Kind.COPY and self._last_good is not None:
            path, of = self._last_good
            name = f"{of.dataset}_{number:05}_again.{path.name.partition('.')[2]}"
            found = Dropped(f"incoming/{of.dataset}/{name}", of.dataset, kind, time.time(), of.rows, 0, of.key)
        else:
            kind = Kind.SMALL if kind is Kind.COPY else kind
            path, found = self._make(number, kind, dataset)
        self._objects.upload(path, BUCKET, found.key)
        self.dropped.append(found)
        if kind is Kind.SMALL:
            kept = self.folder / f"last{path.name[path.name.index('.') :]}"
            shutil.copy(path, kept)
            self._last_good = (kept, found)
        if kind is not Kind.COPY:
            path.unlink()

    def _make(self, number: int, kind: Kind, dataset: str) -> tuple[Path, Dropped]:
        file_format = _FORMATS[number // len(DATASETS) % len(_FORMATS)]
        rows = _LARGE_ROWS if kind is Kind.LARGE else _SMALL_ROWS
        # Half of the rows are bad, which exceeds every error budget.
        bad = [Bad(BadKind.MISSING_KEY, rows // 2)] if kind is Kind.BAD else []
        path = self.folder / f"{dataset}_{number:05}.{file_format}"
        sample = Sample(self._contracts[dataset], rows, bad=bad, start=self._next_row[dataset])
        report = write_sample(sample, path, file_format)
        self._next_row[dataset] += rows
        key = f"incoming/{dataset}/{path.name}"
        return path, Dropped(key, dataset, kind, time.time(), report.rows, len(report.bad_rows))

    def _publish(self, number: int) -> None:
        path = self.folder / f"messages_{number:05}.csv"
        write_sample(Sample(self._contracts[TOPIC], _MESSAGES, start=self._next_row[TOPIC]), path)
        self._next_row[TOPIC] += _MESSAGES
        done = RowProducer(self.kafka, TOPIC, self._contracts[TOPIC], partitions=_PARTITIONS).produce_file(path)
        self.messages += done.messages
        path.unlink()


def kind_of(number: int) -> Kind:
    """Return the kind of the file with that number: the mix is the same at any time."""
    if number % _LARGE_EVERY == _LARGE_EVERY - 1:
        return Kind.LARGE
    if number % _BAD_EVERY == _BAD_EVERY - 1:
        return Kind.BAD
    return Kind.COPY if number % _COPY_EVERY == _COPY_EVERY - 1 else Kind.SMALL
