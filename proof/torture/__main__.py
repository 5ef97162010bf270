"""`filegate dev torture`: inject faults at random moments and check the result; exit code 1 if a check fails."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer
from rich.console import Console

from local.console import Report
from local.settings import PlatformSettings
from proof.torture.disk import enter_private_mounts
from proof.torture.report import LOG, by_kind, show, write
from proof.torture.run import Trial, torture

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    faults: Annotated[int, typer.Option(min=1, help="number of faults")] = 200,
    seed: Annotated[int, typer.Option(help="seed of faults, files and messages")] = 1,
    large_rows: Annotated[int, typer.Option(min=1000, help="rows of each large file")] = 500_000,
    out: Annotated[Path | None, typer.Option(help="folder of the report; by default the platform's home")] = None,
    keep: Annotated[bool, typer.Option(help="keep the platform's folder with its logs")] = False,
) -> None:
    """Inject faults into a platform under load, then check the result."""
    folder = out or PlatformSettings().platform_home
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    log.unlink(missing_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    status = Console(stderr=True, highlight=False)
    begun = time.monotonic()

    with Report(status) as progress:

        def say(text: str) -> None:
            progress.note(f"{time.monotonic() - begun:6.0f} s  {text}")

        outcome = torture(Trial(faults, seed, large_rows, keep), log, progress, say)
    kinds = by_kind(outcome.done, outcome.loads)
    show(console, kinds, outcome.checks)
    report = write(folder, seed, outcome.counts, kinds, outcome.checks)
    console.print("\n" + ", ".join(f"{name}: {value}" for name, value in outcome.counts.items() if value != ""))
    console.print(f"Seed {seed}. Written to {report} and {log}", soft_wrap=True)
    if not all(check.ok for check in outcome.checks):
        raise SystemExit(1)


if __name__ == "__main__":
    # These signals stop the platform, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    enter_private_mounts()
    app()
