"""Where `filegate contract draft` and `filegate source draft` write a contract, and what they say then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from include.cli.output import fail

if TYPE_CHECKING:
    from pathlib import Path


def refuse_existing(target: Path) -> None:
    """End the command if there is a contract already, which is never overwritten."""
    if target.exists():
        fail(f"{target} exists already; remove it, or choose another --dataset")


def write_contract(text: str, target: Path) -> None:
    """Write a drafted contract, and print how to check it.

    Raises:
        typer.Exit: it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        fail(f"cannot write {target}: {error.strerror}")
    reviews = sum("REVIEW" in line for line in text.splitlines())
    typer.echo(f"{target}: drafted; {reviews} lines are marked REVIEW. Look at each, correct it, remove the mark:")
    typer.echo(f"  filegate contract check {target}")
