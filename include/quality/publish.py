"""Puts the pages into the bucket, and takes away what is too old.

What belongs here: keys, order, what is kept. What does not: HTML (`pages`). Pages are made in a temporary folder first:
a page that cannot be made leaves the bucket as it was. The first page comes last: it never leads to a page that is not
there.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.quality.pages import INDEX, index_page, table_page
from include.quality.results import page_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.quality.records import TableReport
    from include.quality.results import Run
    from include.stores.object_store import ObjectStore

# Checks of a table whose pages are kept: half a day of one each quarter of an hour.
KEPT = 50
_HTML = "text/html; charset=utf-8"


def publish(reports: Sequence[TableReport], runs: Sequence[Run], objects: ObjectStore, bucket: str) -> list[str]:
    """Publish the pages of these reports and a new first page; delete pages of checks that `runs` does not name.

    Args:
        reports: what was checked now.
        runs: the checks to be shown, those of `reports` among them.
        objects: the store.
        bucket: where pages lie. Nothing else may lie there.

    Returns:
        The keys of all pages that there are now.
    """
    keys = {page_key(report.dataset, report.checked_at): report for report in reports}
    shown = {run.key for run in runs}
    before = {info.key for info in objects.list(bucket, "")}
    present = frozenset((before & shown) | set(keys))
    with TemporaryDirectory(prefix="quality-pages-") as folder:
        files = {key: Path(folder) / f"{place}.html" for place, key in enumerate(keys)}
        for key, path in files.items():
            path.write_text(table_page(keys[key]), encoding="utf-8")
        for key, path in files.items():
            objects.put(bucket, key, path.read_bytes(), _HTML)
        objects.put(bucket, INDEX, index_page(runs, present).encode(), _HTML)
    for key in before - present - {INDEX}:
        if key.endswith(".html"):
            objects.delete(bucket, key)
    return sorted(present | {INDEX})
