"""What every benchmark has around its measurements: a platform of its own, progress, and the report.

What belongs here: these three. What does not: measuring, and the forms of table and file (`results`).
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from local.settings import PlatformSettings, temporary_settings
from local.supervisor.platform import Platform
from local.temporary import temporary_folder
from proof.bench.results import Measurement, show, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proof.bench.core import Say


@contextmanager
def temporary_platform() -> Iterator[tuple[Platform, Path]]:
    """Yield a temporary platform and its folder: figures do not depend on rows of another platform."""
    with temporary_folder("bench-") as folder:
        platform = Platform(temporary_settings(folder / "home"))
        try:
            yield platform, folder
        finally:
            platform.down()


@contextmanager
def progress() -> Iterator[Say]:
    """Yield a function that shows what is measured now: a spinner, or lines where the output is no terminal."""
    status = Console(stderr=True, highlight=False)
    with status.status("starting") as spinner:

        def say(text: str) -> None:
            spinner.update(text)
            if not status.is_terminal:
                status.print(text)

        yield say


def report(measurements: list[Measurement], name: str) -> None:
    """Print the table, and write the measurements into the file `name` of the platform's folder."""
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    show(measurements, console)
    target = PlatformSettings().platform_home / name
    write(measurements, target)
    console.print(f"\nWritten to {target}")
