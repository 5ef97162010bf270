"""The files: file number N of a seed is always the same, independent of the platform.

What belongs here: content and name of each file. What does not: when it is dropped (`stream`), and its expected outcome
(`tests.oracle`).

The final tables do not depend on the order of loads: all files of a dataset come from one seed, each has a unique
version, and a later version of a key is newer by the contract's newestBy column.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from include.samples.badness import Bad, BadKind, SampleFormat
from include.samples.writer import Sample, write_sample
from proof.torture.proxied_platform import DATASETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from include.contracts.model import Contract

_FORMATS = {
    "sales": (SampleFormat.CSV, SampleFormat.TSV, SampleFormat.CSV_GZ, SampleFormat.NDJSON, SampleFormat.JSON,
              SampleFormat.PARQUET),
    "inventory": (SampleFormat.CSV, SampleFormat.CSV_ZST, SampleFormat.NDJSON, SampleFormat.PARQUET),
    "events": (SampleFormat.NDJSON, SampleFormat.CSV, SampleFormat.JSON, SampleFormat.PARQUET),
}  # fmt: skip
_ROWS = (50, 2_000)
_KEYS = 6_000  # of the small files together: most of them update rows of each other
_LARGE_KEYS = 10_000_000  # the large files' keys begin here
_LARGE_EVERY = 30
_LAST = 5  # a race chooses among the last files, which are in different phases
_PART_BYTES = 8 * 1024**2
_WITHIN_BUDGET = {"inventory": 0.008, "events": 0.03}
# A required column that is missing, a text that ends in the middle, and so on: each refuses the whole file.
_BAD_FILES = (BadKind.PNG, BadKind.EMPTY, BadKind.MISSING_COLUMN, BadKind.NOT_IN_LIST, BadKind.MISSING_KEY)


class Sort(StrEnum):
    """The purpose of a file."""

    GOOD = "good"
    LARGE = "large"
    BUDGET = "within-budget"
    BAD = "bad"
    COPY = "same content, other name"
    NEW_CONTENT = "same name, new content"
    RACE = "same name, new content, at once"
    UNMATCHED = "of no dataset"


_WEIGHTS = {
    Sort.GOOD: 48, Sort.BUDGET: 14, Sort.BAD: 12, Sort.COPY: 10, Sort.NEW_CONTENT: 12, Sort.RACE: 10,
    Sort.UNMATCHED: 4,
}  # fmt: skip


@dataclass(frozen=True)
class Drop:
    """A file and its object key.

    Attributes:
        after: drop it only once the earlier files of its key are settled. If False, an earlier one may be in any phase:
            not claimed (then it is overwritten and has no entry), read, moved, or settled.
    """

    number: int
    sort: Sort
    dataset: str
    key: str
    path: Path
    etag: str
    size: int
    after: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return self.key.rsplit("/", maxsplit=1)[-1]


class Workload:
    """Makes files in a folder, one after the other."""

    def __init__(self, seed: int, contracts: Mapping[str, Contract], folder: Path, large_rows: int) -> None:
        self._seed, self._contracts, self._folder, self._large_rows = seed, contracts, folder, large_rows
        self._chance = random.Random(f"files {seed}")  # noqa: S311 - repeatable, not secret
        self._versions = dict.fromkeys(DATASETS, 0)
        self.made: list[Drop] = []
        self.raced: set[str] = set()

    def next(self) -> Drop:
        """Make the next file."""
        number = len(self.made) + 1
        sort = self._sort(number)
        earlier = [drop for drop in self.made if drop.sort in {Sort.GOOD, Sort.BUDGET}]
        if sort in {Sort.COPY, Sort.NEW_CONTENT, Sort.RACE} and not earlier:
            sort = Sort.GOOD
        drop = self._make(number, sort, earlier)
        self.made.append(drop)
        return drop

    def _sort(self, number: int) -> Sort:
        if number % _LARGE_EVERY == 3:
            return Sort.LARGE
        return self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]

    def _make(self, number: int, sort: Sort, earlier: list[Drop]) -> Drop:
        if sort is Sort.COPY:
            of = self._chance.choice(earlier)
            key = f"incoming/{of.dataset}/copy{number}_{of.name.partition('_')[2]}"
            return Drop(number, sort, of.dataset, key, of.path, of.etag, of.size)
        if sort is Sort.UNMATCHED:
            return self.unmatched(str(number), number)
        if sort in {Sort.NEW_CONTENT, Sort.RACE}:
            of = self._earlier(sort, earlier)
            kind = next(kind for kind in _FORMATS[of.dataset] if of.name.endswith(f".{kind}"))
            path = self._write(number, sort, of.dataset, kind)
            if sort is Sort.RACE:
                self.raced.add(of.key)
            return _dropped(number, sort, of.key, path, after=sort is Sort.NEW_CONTENT)
        dataset = self._chance.choice(tuple(_WITHIN_BUDGET) if sort is Sort.BUDGET else DATASETS)
        dataset = "sales" if sort is Sort.LARGE else dataset
        kind = SampleFormat.CSV if sort in {Sort.LARGE, Sort.BAD} else self._chance.choice(_FORMATS[dataset])
        path = self._write(number, sort, dataset, kind)
        return _dropped(number, sort, f"incoming/{dataset}/{path.name}", path)

    def unmatched(self, name: str, number: int = 0) -> Drop:
        """Make a file without a dataset."""
        path = self._folder / f"{name}_unmatched.txt"
        path.write_text(f"file {name} of {self._seed} belongs to no dataset\n")
        return _dropped(number, Sort.UNMATCHED, f"incoming/unknown/{path.name}", path)

    def _earlier(self, sort: Sort, earlier: list[Drop]) -> Drop:
        """Choose the file whose name is used again; for a race one of the last, with a key that no held file has."""
        waited_for = {drop.key for drop in self.made if drop.after}
        barred = waited_for if sort is Sort.RACE else self.raced
        free = [drop for drop in earlier if drop.key not in barred]
        return self._chance.choice((free or earlier)[-_LAST if sort is Sort.RACE else 0 :])

    def _write(self, number: int, sort: Sort, dataset: str, kind: SampleFormat) -> Path:
        path = self._folder / f"{number}_{dataset}.{kind}"
        self._versions[dataset] += 1
        # Newer and older versions in turn: 2, 1, 4, 3, ...
        turn = self._versions[dataset]
        version = turn + 1 if turn % 2 else turn - 1
        rows = self._large_rows if sort is Sort.LARGE else self._chance.randint(*_ROWS)
        # A large file shares half of its keys with the large file before.
        start = (
            _LARGE_KEYS + number // _LARGE_EVERY * rows // 2 if sort is Sort.LARGE else self._chance.randrange(_KEYS)
        )
        bad = self._badness(sort, dataset, rows)
        sample = Sample(self._contracts[dataset], rows, seed=self._seed, version=version, start=start, bad=bad)
        write_sample(sample, path, kind)
        return path

    def _badness(self, sort: Sort, dataset: str, rows: int) -> list[Bad]:
        if sort is Sort.BUDGET:
            count = int(rows * _WITHIN_BUDGET[dataset])
            return [Bad(BadKind.MISSING_KEY, count)] if count else []
        if sort is Sort.BAD:
            kinds = [kind for kind in _BAD_FILES if kind is not BadKind.NOT_IN_LIST or dataset == "sales"]
            kind = self._chance.choice(kinds)
            return [Bad(kind, rows // 4 if kind is BadKind.MISSING_KEY else 1)]
        if sort is Sort.GOOD and self._chance.random() < 0.3:
            return [Bad(BadKind.DUPLICATE_KEYS, rows // 10)]
        return []


def _dropped(number: int, sort: Sort, key: str, path: Path, *, after: bool = False) -> Drop:
    body, dataset = path.read_bytes(), key.split("/")[1]
    return Drop(number, sort, dataset, key, path, etag_of(body), len(body), after)


def etag_of(body: bytes) -> str:
    """Return the ETag of an upload by boto3, which sends large files in parts."""
    if len(body) < _PART_BYTES:
        return hashlib.md5(body, usedforsecurity=False).hexdigest()
    starts = range(0, len(body), _PART_BYTES)
    parts = [hashlib.md5(body[start : start + _PART_BYTES], usedforsecurity=False).digest() for start in starts]
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
