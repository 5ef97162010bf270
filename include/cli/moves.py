"""What `reprocess` and `reload` print about files that they moved back to incoming/."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from include.errors import visible

if TYPE_CHECKING:
    from include.ingestion.upkeep.reload import Requeued


def print_moves(done: Requeued, missing: str) -> None:
    """Print each file that was moved, and each that stays with the reason.

    Args:
        done: the result.
        missing: what it means that an object is not there.

    Raises:
        typer.Exit: some files stay.
    """
    left = {
        missing: done.missing,
        "waits for another file of its name; run this again": done.waiting,
        "not served by the bucket; restore it or grant the right to read it": done.refused,
    }
    for key in done.keys:
        typer.echo(f"moved to {visible(key)}")
    for reason, keys in left.items():
        for key in keys:
            typer.echo(f"left {visible(key)}: {reason}", err=True)
    stays = sum(map(len, left.values()))
    typer.echo(f"{len(done.keys):,} of {len(done.keys) + stays:,} files moved")
    if stays:
        raise typer.Exit(1)
