"""Writes docs/reason-codes.md from the registry: `python -m include.errors`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.errors.codes import Code
from include.errors.reason import Kind
from include.errors.registry import REASONS

if TYPE_CHECKING:
    from include.errors.reason import Reason

PAGE = Path(__file__).parents[2] / "docs" / "reason-codes.md"

_HEAD = """\
# Reference: reason codes

Every refusal has one of these codes: in the ledger (`error_code`), in `ops.rejected_rows`, in `<name>.report.json` and
in `<name>.rejects.csv`; `filegate errors ID` shows them with what to do. The names are stable; build alerts and queries
on them. This page is generated from [`include/errors/`](../include/errors/registry.py).
"""
_ABOUT = {
    Kind.CELL: """\
Found by *validate*. Each refuses one row, with line, column, message and raw text. The contract's error budget decides
whether the file still loads; if not, the file ends as `error-budget-exceeded`.
""",
    Kind.ROW: "Found by *validate*; treated like a cell. `duplicate-columns` of a file may refuse a row too.\n",
    Kind.MESSAGE: """\
Found when a message is decoded; it becomes a dead letter. Its fields are then judged as cells and rows.
""",
    Kind.FILE: "Found by *validate* unless the text names another stage.\n",
    Kind.WORK: """\
Not the file's fault. If a retry can help, the file or batch waits with the code in the ledger, for as long as it takes:
after `INGEST_RETRIES` the task is skipped, and the next try comes within a minute; after `ALERTS_WAITING_MINUTES` an
alert is sent. If a retry cannot help, the file ends in the stage where the work stopped; remove the cause and run
`reprocess_failed`. `bucket-refused` fails the run instead, and the files wait.
""",
}


def page() -> str:
    """The page's Markdown: a table for each kind, in the order of `Code`."""
    return "\n".join([_HEAD, *(f"## {kind}\n\n{_ABOUT[kind]}\n{_table(kind)}" for kind in Kind)])


def _table(kind: Kind) -> str:
    heads = ["code", "title", *(["retried"] if kind is Kind.WORK else []), "meaning", "what to do"]
    rows = [_cells(code, REASONS[code]) for code in Code if REASONS[code].kind is kind]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [heads, ["---"] * len(heads), *rows])


def _cells(code: Code, reason: Reason) -> list[str]:
    retried = [reason.retried] if reason.kind is Kind.WORK else []
    return [f"`{code}`", reason.title, *retried, reason.meaning, reason.remedy]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
