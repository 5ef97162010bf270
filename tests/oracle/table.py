"""The expected content of a dataset's table after several files.

What belongs here: keys, which of two rows is newer, the counts of a load. What does not: judging a file (`judge`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.errors import Code
from tests.oracle.judge import RESCUED
from tests.oracle.verdict import Counts, GoodRow, Outcome, Value, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Contract

Key = tuple[Value, ...]


@dataclass
class Table:
    """The rows that must be in `raw.<dataset>`, by key, each with all its columns but the lineage.

    `apply` the verdicts in the order in which the files are loaded. Files of a batch are loaded one by one.
    """

    contract: Contract
    rows: dict[Key, dict[str, Value]] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    _loaded: set[str] = field(default_factory=set)
    _last: str = ""

    def key(self, values: Mapping[str, Value]) -> Key:
        """The key of a row."""
        return tuple(values[name] for name in self.contract.key)

    def apply(self, verdict: Verdict) -> Outcome:
        """Load the good rows of a verdict. A refused file changes nothing, nor does one that was loaded before.

        Where no column says which row is newer, a content may be loaded again after another content was loaded.
        """
        before = self._loaded if self.contract.newest_by else {self._last}
        if verdict.sha256 and verdict.sha256 in before:
            return Outcome(Code.DUPLICATE_CONTENT)
        if verdict.code is not None:
            return Outcome(verdict.code)
        self._loaded.add(verdict.sha256)
        self._last = verdict.sha256
        self._widen(verdict)
        winners = self._winners(verdict)
        inserted = updated = 0
        for key, row in winners.items():
            known = self.rows.get(key)
            if known is None:
                self.rows[key] = dict.fromkeys(self.extra) | dict(row.values)
                inserted += 1
            elif self._is_late(row.values, known) or all(same(known[name], row.values[name]) for name in row.values):
                continue
            else:
                known.update(row.values)
                updated += 1
        unchanged = len(winners) - inserted - updated
        duplicate = len(verdict.rows) - len(winners)
        return Outcome(None, Counts(verdict.read, inserted, updated, unchanged, duplicate, verdict.rejected))

    def _widen(self, verdict: Verdict) -> None:
        for name in verdict.extra:
            if name not in self.extra:
                self.extra.append(name)
                for row in self.rows.values():
                    row[name] = None

    def _winners(self, verdict: Verdict) -> dict[Key, GoodRow]:
        """The newest row of each key; of equally new ones the last."""
        winners: dict[Key, GoodRow] = {}
        for row in verdict.rows:
            key = self.key(row.values)
            rival = winners.get(key)
            if rival is None or not self._is_late(row.values, rival.values):
                winners[key] = row
        return winners

    def _is_late(self, row: Mapping[str, Value], known: Mapping[str, Value]) -> bool:
        """Whether a new row is older than the known one. A row without a time is the oldest."""
        name = self.contract.newest_by
        if name is None:
            return False
        new, old = row[name], known[name]
        if new is None or old is None:
            return new is None and old is not None
        return bool(new < old)  # type: ignore[operator]


def same(one: Value, other: Value) -> bool:
    """Whether two values are equal in the warehouse."""
    return one == other and isinstance(one, bool) is isinstance(other, bool)


__all__ = ["RESCUED", "Key", "Table", "same"]
