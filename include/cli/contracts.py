"""`filegate contract`: check, describe, draft, compare with the table, and activate a drafted contract."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from include.cli.contract_diff import diff
from include.cli.contract_draft import draft
from include.cli.contract_lookup import catalog, found_in
from include.cli.output import fail
from include.contracts.__main__ import app
from include.contracts.review_marks import marked_lines

_STATUS = re.compile(r"^status:[ \t]*[\"']?(?:draft|proposed)[\"']?(?=[ \t]*(?:#|$))", re.MULTILINE)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["app"]

app.command()(diff)
app.command()(draft)


@app.command()
def activate(
    dataset: Annotated[str, typer.Argument(help="The drafted dataset.", metavar="NAME")],
    reviewed: Annotated[bool, typer.Option("--reviewed", help="Although REVIEW or TODO is still there.")] = False,
) -> None:
    """Turn a draft into an active contract: its DAG appears, and files that wait for it are ingested."""
    contract = found_in(catalog(), dataset)
    path = contract.path
    if not contract.is_draft:
        typer.echo(f"{path}: is active already")
        return
    with path.open(encoding="utf-8", newline="") as stream:  # line ends stay as they are
        text = stream.read()
    marked = marked_lines(text)
    if marked and not reviewed:
        lines = ", ".join(map(str, marked[:10]))
        fail(f"{path}: marked REVIEW or TODO: line {lines}. Look at each and remove the mark, or use --reviewed")
    changed, count = _STATUS.subn("status: active", text, count=1)
    if not count:
        fail(f"{path}: no top-level line `status: draft` or `status: proposed`; write `status: active`")
    _replace(path, changed)
    typer.echo(f"{path}: active. Airflow shows ingest_{dataset} within a minute.")


def _replace(path: Path, text: str) -> None:
    """Write the file in one step: Airflow may read it at any moment."""
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        shutil.copymode(path, draft)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        fail(f"cannot write {path}: {error.strerror}")
