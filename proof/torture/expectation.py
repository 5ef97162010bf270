"""What the tables must hold in the end, by the oracle: each file judged alone, then the newest row of each key.

What belongs here: the way from bodies to rows that can be compared with the warehouse's. No two files tie (`workload`),
so the order in which they were loaded does not matter, and the newest row wins.
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

from include.contracts.model import ColumnType, ErrorBudget
from include.contracts.reader import read_contract
from proof.torture.stand import TOPIC
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
# A row as far as it is compared: what decides which is newer, and a digest of all its values.
Row = tuple[datetime, str]

_PROCESSES = 2
_NICE = 15


@dataclass(frozen=True)
class Judged:
    """A file: why it is refused, if it is, how many rows it has and how many are refused; the rows it brings."""

    code: str
    read: int
    rejected: int
    rows: Mapping[Key, Row]


class Judges:
    """Processes that judge files while others are dropped, in what time the platform leaves them."""

    def __init__(self, contracts: Path) -> None:
        self._contracts = contracts
        self._pool = ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn"), initializer=_give_way)
        self._judged: dict[Path, Future[Judged]] = {}

    def begin(self, drops: Iterable[Drop]) -> None:
        """Judge what is not being judged yet."""
        for drop in drops:
            if drop.sort is not Sort.STRANGER and drop.path not in self._judged:
                contract = self._contracts / f"{drop.dataset}.yaml"
                self._judged[drop.path] = self._pool.submit(_judge_file, contract, drop.path)

    def of(self, drop: Drop) -> Judged:
        """The verdict on a file; waits for it."""
        return self._judged[drop.path].result()

    @property
    def left(self) -> int:
        """How many are not judged yet."""
        return sum(not judged.done() for judged in self._judged.values())

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - the pool has no way to end one
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def messages_rows(contract: Contract, bodies: list[bytes]) -> Mapping[Key, Row]:
    """What good messages bring. A batch has a budget, a message has none."""
    if not bodies:
        return {}
    return _judged(replace(contract, budget=ErrorBudget(share=1.0)), b"\n".join([*bodies, b""]), TOPIC).rows


def merge(into: dict[Key, Row], rows: Mapping[Key, Row]) -> None:
    """Newer rows win."""
    for key, row in rows.items():
        if key not in into or into[key][0] < row[0]:
            into[key] = row


def row_of(contract: Contract, values: Mapping[str, object]) -> tuple[Key, Row]:
    """A row of the oracle or of the warehouse as it is compared."""
    names = [*(column.name for column in contract.columns if column.enriched is None), RESCUED]
    text = "\x1f".join(_text(values[name]) for name in names)
    newest = values[contract.newest_by or ""]
    if not isinstance(newest, datetime):
        raise TypeError(newest)
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    return tuple(_text(values[name]) for name in contract.key), (newest, hashlib.sha256(text.encode()).hexdigest())


def from_warehouse(contract: Contract, values: Mapping[str, object]) -> dict[str, object]:
    """A row of the warehouse with its documents, selected as text, read as the oracle reads them."""
    documents = {column.name for column in contract.columns if column.type is ColumnType.JSON} | {RESCUED}
    return {
        name: Document.of_text(value) if name in documents and isinstance(value, str) else value
        for name, value in values.items()
    }


def _give_way() -> None:
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
    """The same text for the same document in every process: sets have no order, and hashes differ."""
    match canonical:
        case frozenset():
            return "{" + ",".join(sorted(map(_stable, canonical))) + "}"
        case tuple():
            return "(" + ",".join(map(_stable, canonical)) + ")"
        case _:
            return _text(canonical)
