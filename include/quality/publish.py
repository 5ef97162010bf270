"""Upload the pages to the bucket, and delete old ones.

What belongs here: keys, order, retention. What does not: HTML (`pages`, `history_page`). All pages are rendered to a
temporary folder first, so that a rendering error does not change the bucket. The index page is uploaded last, so that
it never links to a missing page.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.quality.history_page import history_page
from include.quality.pages import INDEX, index_page, table_page
from include.quality.results import history_key, page_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.quality.records import TableReport
    from include.quality.results import CheckRun
    from include.stores.object_store import ObjectStore

# Number of checks per table whose pages are kept: half a day with a check every 15 minutes.
KEPT = 50
_HTML = "text/html; charset=utf-8"


def publish(reports: Sequence[TableReport], runs: Sequence[CheckRun], objects: ObjectStore, bucket: str) -> list[str]:
    """Upload the pages of these reports and a new index page; delete pages of checks that are not in `runs`.

    Args:
        reports: results of this check, each with its table's history.
        runs: the checks to show, including those of `reports`.
        objects: the object store.
        bucket: bucket of the pages; it must not be used for anything else.

    Returns:
        The keys of all existing pages.
    """
    shown = {run.key for run in runs} | {history_key(run.dataset) for run in runs}
    before = {info.key for info in objects.list(bucket, "")}
    new = {page_key(report.dataset, report.checked_at) for report in reports}
    new |= {history_key(report.dataset) for report in reports if report.history}
    present = frozenset((before & shown) | new)
    with TemporaryDirectory(prefix="quality-pages-") as folder:
        files: dict[str, Path] = {}
        for key, html in _pages(reports, present):
            files[key] = Path(folder) / f"{len(files)}.html"
            files[key].write_text(html, encoding="utf-8")
        for key, path in files.items():
            objects.put(bucket, key, path.read_bytes(), _HTML)
        objects.put(bucket, INDEX, index_page(runs, present).encode(), _HTML)
    for key in before - present - {INDEX}:
        if key.endswith(".html"):
            objects.delete(bucket, key)
    return sorted(present | {INDEX})


def _pages(reports: Sequence[TableReport], present: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Key and HTML of each new page of a table."""
    for report in reports:
        yield page_key(report.dataset, report.checked_at), table_page(report)
        if report.history:
            yield history_key(report.dataset), history_page(report.history, present)
