"""`make bench`: start a platform in a temporary folder, measure, print the table, write the JSON."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from local.settings import PlatformSettings, temporary_settings
from local.supervisor.platform import STORES, Platform
from local.temporary import temporary_folder
from proof.bench import airflow, core, streams
from proof.bench.results import Measurement, show, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    rows: Annotated[int, typer.Option(help="rows of the two large files")] = 2_000_000,
    memory_rows: Annotated[int, typer.Option(help="rows of a third, larger file; 0: none")] = 0,
    messages: Annotated[int, typer.Option(help="messages of a topic; 0: none")] = 300_000,
    drops: Annotated[int, typer.Option(help="single drops through Airflow; 0: none")] = 5,
    files: Annotated[int, typer.Option(help="small files at once through Airflow")] = 1000,
) -> None:
    """Run the benchmarks."""
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    status = Console(stderr=True, highlight=False)
    measurements: list[Measurement] = []
    with _platform() as (platform, folder), status.status("starting") as spinner:

        def say(text: str) -> None:
            spinner.update(text)
            if not status.is_terminal:
                status.print(text)

        platform.up(STORES)
        measurements.extend(core.measure(platform, rows, folder, say))
        if memory_rows:
            measurements.extend(core.measure_memory(platform, memory_rows, folder, say))
        if messages:
            measurements.extend(streams.measure(platform, messages, folder, say))
        if drops:
            say("starting Airflow")
            platform.up()
            measurements.extend(airflow.measure(platform, drops, files, folder, say))
    show(measurements, console)
    target = PlatformSettings().platform_home / "bench.json"
    write(measurements, target)
    console.print(f"\nWritten to {target}")


@contextmanager
def _platform() -> Iterator[tuple[Platform, Path]]:
    """Yield a temporary platform and its folder: figures do not depend on rows of another platform."""
    with temporary_folder("bench-") as folder:
        platform = Platform(temporary_settings(folder / "home"))
        try:
            yield platform, folder
        finally:
            platform.down()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()
