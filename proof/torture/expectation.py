"""The expected rows of the tables: the oracle judges each file alone, then the newest row of each key is kept.

What belongs here: converting files and messages to rows that can be compared with the warehouse's. No two files have
the same version of a key (`workload`), so the order of loads does not matter.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from multiprocessing import get_context
from typing import TYPE_CHECKING

from include.contracts.model import ErrorBudget
from include.contracts.reader import read_contract
from proof.torture.proxied_platform import TOPIC
from proof.torture.workload import Sort
from tests.oracle.documents import Document
from tests.oracle.judge import RESCUED, judge
from tests.oracle.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from include.contracts.model import Contract
    from proof.torture.workload import Drop

Key = tuple[str, ...]
# A row for comparison: the value of the newestBy column, and a digest of all its values.
Row = tuple[datetime, str]

_PROCESSES = 2
_NICE = 15


@dataclass(frozen=True)
class Judged:
    """The oracle's verdict on a file: the code if it is refused, the numbers of rows read and rejected, the rows."""

    code: str
    read: int
    rejected: int
    rows: Mapping[Key, Row]


class Judges:
    """A pool of processes with low priority that judge files while others are dropped."""

    def __init__(self, contracts: Path) -> None:
        self._contracts = contracts
        self._pool = ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn"), initializer=_lower_priority)
        self._judged: dict[Path, Future[Judged]] = {}

    def begin(self, drops: Iterable[Drop]) -> None:
        """Submit the files that are not submitted yet."""
        for drop in drops:
            if drop.sort is not Sort.UNMATCHED and drop.path not in self._judged:
                contract = self._contracts / f"{drop.dataset}.yaml"
                self._judged[drop.path] = self._pool.submit(_judge_file, contract, drop.path)

    def of(self, drop: Drop) -> Judged:
        """Wait for the verdict on a file and return it."""
        return self._judged[drop.path].result()

    @property
    def left(self) -> int:
        """The number of files that are not judged yet."""
        return sum(not judged.done() for judged in self._judged.values())

    def close(self) -> None:
        """Kill the processes."""
        for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - the pool has no public method for this
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def messages_rows(contract: Contract, bodies: list[bytes]) -> Mapping[Key, Row]:
    """Return the rows of the good messages, judged without an error budget."""
    if not bodies:
        return {}
    return _judged(replace(contract, budget=ErrorBudget(share=1.0)), b"\n".join([*bodies, b""]), TOPIC).rows


def merge(into: dict[Key, Row], rows: Mapping[Key, Row]) -> None:
    """Add the rows to `into`; the newer row of a key is kept."""
    for key, row in rows.items():
        if key not in into or into[key][0] < row[0]:
            into[key] = row


def row_of(contract: Contract, values: Mapping[str, object]) -> tuple[Key, Row]:
    """Return the key and the comparable form of a row of the oracle or of the warehouse."""
    names = [*(column.name for column in contract.columns if column.enriched is None), RESCUED]
    text = "\x1f".join(_text(values[name]) for name in names)
    newest = values[contract.newest_by or ""]
    if not isinstance(newest, datetime):
        raise TypeError(newest)
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    return tuple(_text(values[name]) for name in contract.key), (newest, hashlib.sha256(text.encode()).hexdigest())


def from_warehouse(contract: Contract, values: Mapping[str, object]) -> dict[str, object]:
    """Return a row of the warehouse with its documents, which were selected as text, parsed by the oracle."""
    documents = {column.name for column in contract.columns if column.type.is_document} | {RESCUED}
    return {
        name: Document.of_text(value) if name in documents and isinstance(value, str) else value
        for name, value in values.items()
    }


def _lower_priority() -> None:
    os.nice(_NICE)


def _judge_file(contract: Path, path: Path) -> Judged:
    return _judged(read_contract(contract), path.read_bytes(), path.name)


def _judged(contract: Contract, body: bytes, name: str) -> Judged:
    verdict = judge(contract, body, name)
    table = Table(contract)
    table.apply(verdict)
    rows = dict(row_of(contract, values) for values in table.rows.values())
    return Judged(str(verdict.code or ""), verdict.read, verdict.rejected, rows)


def _text(value: object) -> str:
    match value:
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
        case date():
            return value.isoformat()
        case bool() | None:
            return repr(value)
        case Decimal():
            return format(value.normalize(), "f")
        case Document():
            return _stable(value.canonical)
        case _:
            return str(value)


def _stable(canonical: object) -> str:
    """Return the same text for the same document in every process: the order of sets depends on the hash seed."""
    match canonical:
        case frozenset():
            return "{" + ",".join(sorted(map(_stable, canonical))) + "}"
        case tuple():
            return "(" + ",".join(map(_stable, canonical)) + ")"
        case _:
            return _text(canonical)
