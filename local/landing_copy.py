"""The landing bucket of a backup: brought to the moment of the ledger's snapshot.

Files travel while they are copied: from incoming/ to processed/ or failed/, and back. The bucket is copied before the
databases, so that no file can be gone that the ledger does not know as loaded yet; and once more after them, so that
no file is missing that came in between. Where the two copies and the ledger's snapshot disagree, the ledger decides:
what is not settled in it lies in incoming/ again, where the next run finds it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from local.mirror import Mirror
    from local.postgres import Row

_SETTLED = re.compile(r"^(?:processed|failed/[a-z]+_failed)/[^/]+/(\d+)/(.+)$")
_INCOMING = "incoming/"
# A file that the first round misses because it moves on has come to rest before the second.
_ROUNDS = 2

# A settled file that was put back has no such key until it is settled again.
_SETTLED_THEN = """
SELECT file_id FROM ops.file_ingestion_log WHERE file_id = ANY(%s) AND settled_key IS NOT NULL
"""
_OBJECT_KEY = "SELECT object_key FROM ops.file_ingestion_log WHERE file_id = %s"
_DONE_WITH = """
SELECT coalesce(bool_and(settled_key IS NOT NULL), FALSE) FROM ops.file_ingestion_log
WHERE bucket = %s AND object_key = %s AND sha256 = %s
"""
# Its report and its rejected rows lie beside it, under names that begin with its own.
_LAY_THERE = "SELECT 1 FROM ops.file_ingestion_log WHERE file_id = %s AND starts_with(%s, settled_key)"


class LandingCopy:
    """The copy of the landing bucket, the ledger at the snapshot, and the ledger as it is now."""

    def __init__(
        self, mirror: Mirror, bucket: str, snapshot: psycopg.Connection[Row], now: psycopg.Connection[Row]
    ) -> None:
        self._mirror, self._bucket, self._snapshot, self._now = mirror, bucket, snapshot, now

    def complete(self) -> None:
        """Add what came since the first copy, and put every file where the snapshot expects it."""
        for _ in range(_ROUNDS):
            self._round()

    def _round(self) -> None:
        mirror, there = self._mirror, self._mirror.names()
        mirror.refresh(there)
        later = self._settled_later(list(mirror.sums))
        for name in set(mirror.sums).difference(there, later):
            if not self._is_needed(name):
                mirror.forget(name)
        # The newest first: of two that bore the same name, the older one is what the snapshot waits for.
        for name in sorted(later, key=lambda name: later[name], reverse=True):
            self._back_to_incoming(name, later[name])

    def _settled_later(self, names: list[str]) -> dict[str, int]:
        """The settled files, by name, that are not settled for the snapshot."""
        ids = {name: int(match[1]) for name in names if (match := _SETTLED.match(name))}
        rows = self._snapshot.execute(_SETTLED_THEN, [sorted(set(ids.values()))]).fetchall()
        then = {row[0] for row in rows}
        return {name: file_id for name, file_id in ids.items() if file_id not in then}

    def _is_needed(self, name: str) -> bool:
        """Whether a file that has left its place since it was copied belongs there for the snapshot."""
        if name.startswith(_INCOMING):
            row = self._snapshot.execute(_DONE_WITH, [self._bucket, name, self._mirror.sums[name]]).fetchone()
            return not (row and row[0])
        if match := _SETTLED.match(name):
            return self._snapshot.execute(_LAY_THERE, [int(match[1]), name]).fetchone() is not None
        return True

    def _back_to_incoming(self, name: str, file_id: int) -> None:
        row = self._now.execute(_OBJECT_KEY, [file_id]).fetchone()
        key, match = str(row[0]) if row else "", _SETTLED.match(name)
        if match and key.rsplit("/", maxsplit=1)[-1] == match[2]:
            self._mirror.move(name, key)
        else:
            self._mirror.forget(name)
