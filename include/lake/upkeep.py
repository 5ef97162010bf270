"""The lake's upkeep: small files become large ones, and what no snapshot needs any more is deleted.

What belongs here: DuckLake's maintenance, in the one order in which it works. What does not: updates (`update`).

Nothing younger than `writer_hours` is deleted: a file of a writer that has not committed yet belongs to no snapshot,
and its rows would be lost without an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.lake.errors import lake_errors
from include.lake.progress import create_progress, trim_progress

if TYPE_CHECKING:
    import duckdb

    from include.settings import LakeSettings

_REWRITE_SHARE = 0.1  # of a file's rows that were deleted: then it is written again without them


def maintain_lake(engine: duckdb.DuckDBPyConnection, settings: LakeSettings) -> dict[str, int]:
    """Merge and rewrite files, delete old snapshots and the files that only they need.

    Returns:
        How many files were written again, and how many snapshots and files were deleted.

    Raises:
        RetryableError: a server does not answer, or an update of the lake was faster; the next upkeep continues.
    """
    snapshots = f"now() - INTERVAL '{round(settings.keep_days * 86_400)} seconds'"
    files = f"now() - INTERVAL '{round(settings.writer_hours * 3600)} seconds'"
    with lake_errors():
        create_progress(engine)
        trim_progress(engine)
        engine.execute("CALL ducklake_flush_inlined_data('lake')")
        done = {
            "merged": "CALL ducklake_merge_adjacent_files('lake')",
            "rewritten": f"CALL ducklake_rewrite_data_files('lake', delete_threshold => {_REWRITE_SHARE})",
            "snapshots": f"CALL ducklake_expire_snapshots('lake', older_than => {snapshots})",
            "files": f"CALL ducklake_cleanup_old_files('lake', older_than => {files})",
            "orphans": f"CALL ducklake_delete_orphaned_files('lake', older_than => {files})",
        }
        return {name: len(engine.execute(call).fetchall()) for name, call in done.items()}
