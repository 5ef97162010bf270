"""`filegate contract`: check, describe, draft, and activate a drafted contract."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated

import typer

from include.cli.output import fail
from include.contracts.__main__ import app
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.settings import ingest_settings

_STATUS = re.compile(r"^status:[ \t]*[\"']?draft[\"']?(?=[ \t]*(?:#|$))", re.MULTILINE)
_REVIEW = re.compile(r"^.*\bREVIEW\b.*$", re.MULTILINE)

__all__ = ["app"]


@app.command()
def activate(
    dataset: Annotated[str, typer.Argument(help="The drafted dataset.", metavar="NAME")],
    reviewed: Annotated[bool, typer.Option("--reviewed", help="Although lines are still marked REVIEW.")] = False,
) -> None:
    """Turn a draft into an active contract: its DAG appears, and files that wait for it are ingested."""
    folder = ingest_settings().contracts_dir
    path = folder / f"{dataset}.yaml"
    if not path.is_file():
        known = sorted(found.stem for found in folder.glob("*.yaml"))
        near = get_close_matches(dataset, known, n=3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        fail(f"there is no contract {path}; {meant}datasets: {', '.join(known) or 'none'}")
    try:
        contract = read_contract(path)
    except ContractError as error:
        fail(str(error))
    if not contract.is_draft:
        typer.echo(f"{path}: is active already")
        return
    text = path.read_text(encoding="utf-8")
    marked = [text.count("\n", 0, found.start()) + 1 for found in _REVIEW.finditer(text)]
    if marked and not reviewed:
        lines = ", ".join(map(str, marked[:10]))
        fail(
            f"{path}: {len(marked)} lines are marked REVIEW: {lines}. "
            "Look at them and remove the mark, or use --reviewed"
        )
    changed, count = _STATUS.subn("status: active", text, count=1)
    if not count:
        fail(f"{path}: the line `status: draft` was not found at the top level; write `status: active` there")
    path.write_text(changed, encoding="utf-8")
    typer.echo(f"{path}: active. Airflow shows ingest_{dataset} within a minute.")
