"""The expected content of a dataset's table after several files.

What belongs here: keys, which of two rows is newer, the counts of a load. What does not: judging a file (`judge`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING

from include.contracts.model import Deletes
from include.errors import Code
from tests.oracle.judge import RESCUED
from tests.oracle.verdict import Counts, GoodRow, Outcome, Value, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Contract
    from tests.oracle.archives import ArchiveVerdict

Key = tuple[Value, ...]


@dataclass
class Table:
    """The rows that must be in `raw.<dataset>`, by key, each with all its columns but the lineage.

    `apply` the verdicts in the order in which the files are loaded. Files of a batch are loaded one by one. The key of
    appended rows is their position in the table. `marked` are the keys of rows that are marked as deleted.
    """

    contract: Contract
    rows: dict[Key | int, dict[str, Value]] = field(default_factory=dict)
    marked: set[Key | int] = field(default_factory=set)
    extra: list[str] = field(default_factory=list)
    _loaded: set[str] = field(default_factory=set)
    _last: str = ""
    _archives: set[str] = field(default_factory=set)
    _last_archive: str = ""
    _read: list[int] = field(default_factory=list)

    def key(self, values: Mapping[str, Value]) -> Key:
        """The key of a row."""
        return tuple(values[name] for name in self.contract.key)

    def apply(self, verdict: Verdict) -> Outcome:
        """Load the good rows of a verdict. A refused file changes nothing, nor does one that was loaded before.

        Where no column says which row is newer, and with snapshots, a content may be loaded again after another one.
        """
        before = {self._last} if self._loads_again else self._loaded
        if verdict.sha256 and verdict.sha256 in before:
            return Outcome(Code.DUPLICATE_CONTENT)
        if verdict.code is not None:
            return Outcome(verdict.code)
        if self._is_short(verdict.read):
            return Outcome(Code.TOO_FEW_ROWS)
        winners = self._winners(verdict)
        missing = self._missing(winners, verdict)
        skipped = len(missing) if None in verdict.refused_keys else 0
        deleted = len(missing) - skipped
        if deleted > Decimal(str(self.contract.max_delete_share)) * (len(self.rows) - len(self.marked)):
            return Outcome(Code.TOO_MANY_DELETES)
        self._loaded.add(verdict.sha256)
        self._last, self._last_archive = verdict.sha256, ""
        self._read.append(verdict.read)
        self._widen(verdict)
        if not skipped:
            self._delete(missing)
        inserted, updated = self._merge(winners)
        unchanged = len(winners) - inserted - updated
        duplicate = len(verdict.rows) - len(winners)
        counts = Counts(verdict.read, inserted, updated, unchanged, duplicate, verdict.rejected, deleted, skipped)
        return Outcome(None, counts)

    def apply_archive(self, archive: ArchiveVerdict) -> list[Outcome]:
        """Load the members of an archive; the outcomes of the archive itself and of each member.

        An archive that was loaded before has no outcomes of members, as one that is refused.
        """
        before = {self._last_archive} if self._loads_again else self._archives
        if archive.code is not None or archive.sha256 in before:
            return [Outcome(archive.code or Code.DUPLICATE_CONTENT)]
        outcomes = [Outcome(None)]
        for _, verdict in archive.members:
            outcomes.append(self.apply(verdict))
            if outcomes[-1].code is None:
                self._last_archive = archive.sha256
        self._archives.add(archive.sha256)
        return outcomes

    @property
    def _loads_again(self) -> bool:
        return self.contract.is_snapshot or not (self.contract.newest_by or self.contract.appends)

    def _is_short(self, read: int) -> bool:
        """Whether a file has far fewer rows than the last ten, from three on."""
        share, last = self.contract.min_share_of_usual, self._read[-10:]
        return share is not None and len(last) >= 3 and read < Decimal(str(share)) * Decimal(str(median(last)))

    def _missing(self, winners: Mapping[Key | int, GoodRow], verdict: Verdict) -> set[Key | int]:
        """The keys of the rows that a snapshot lacks."""
        if not self.contract.is_snapshot:
            return set()
        return self.rows.keys() - self.marked - winners.keys() - set(verdict.refused_keys)

    def _delete(self, missing: set[Key | int]) -> None:
        if self.contract.deletes is Deletes.SOFT:
            self.marked |= missing
            return
        for key in missing:
            del self.rows[key]

    def _merge(self, winners: Mapping[Key | int, GoodRow]) -> tuple[int, int]:
        """Insert and update rows; how many of each. A marked row that is sent again is updated."""
        inserted = updated = 0
        for key, row in winners.items():
            known = self.rows.get(key)
            if known is None:
                self.rows[key] = dict.fromkeys(self.extra) | dict(row.values)
                inserted += 1
                continue
            stays = self._is_late(row.values, known) or all(same(known[name], row.values[name]) for name in row.values)
            updated += not stays or key in self.marked
            self.marked.discard(key)
            if not stays:
                known.update(row.values)
        return inserted, updated

    def _widen(self, verdict: Verdict) -> None:
        for name in verdict.extra:
            if name not in self.extra:
                self.extra.append(name)
                for row in self.rows.values():
                    row[name] = None

    def _winners(self, verdict: Verdict) -> dict[Key | int, GoodRow]:
        """The newest row of each key; of equally new ones the last."""
        if self.contract.appends:
            return dict(enumerate(verdict.rows, len(self.rows)))
        winners: dict[Key | int, GoodRow] = {}
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
