"""Upload the pages to the bucket, and delete old ones.

What belongs here: keys, order, retention. What does not: HTML (`pages`). All pages are rendered to a temporary folder
first, so that a rendering error does not change the bucket. The index page is uploaded last, so that it never links to
a missing page.
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
    from include.quality.results import CheckRun
    from include.stores.object_store import ObjectStore

# Number of checks per table whose pages are kept: half a day with a check every 15 minutes.
KEPT = 50
_HTML = "text/html; charset=utf-8"


def publish(reports: Sequence[TableReport], runs: Sequence[CheckRun], objects: ObjectStore, bucket: str) -> list[str]:
    """Upload the pages of these reports and a new index page; delete pages of checks that are not in `runs`.

    Args:
        reports: results of this check.
        runs: the checks to show, including those of `reports`.
        objects: the object store.
        bucket: bucket of the pages; it must not be used for anything else.

    Returns:
        The keys of all existing pages.
    """
    keys = {page_key(report.dataset, report.checked_at): report for report in reports}
    shown = {run.key for run in runs}
    before = {info.key for info in objects.list(bucket, "")}
    present = frozenset((before & shown) | set(keys))
    with TemporaryDirectory(prefix="quality-pages-") as folder:
        files = {key: Path(folder) / f"{number}.html" for number, key in enumerate(keys)}
        for key, path in files.items():
            path.write_text(table_page(keys[key]), encoding="utf-8")
        for key, path in files.items():
            objects.put(bucket, key, path.read_bytes(), _HTML)
        objects.put(bucket, INDEX, index_page(runs, present).encode(), _HTML)
    for key in before - present - {INDEX}:
        if key.endswith(".html"):
            objects.delete(bucket, key)
    return sorted(present | {INDEX})
