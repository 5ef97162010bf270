"""The progress display of the commands: a live table in a terminal, one plain line per step in a pipe."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.console import Console, RenderableType


class Progress(Protocol):
    """Receives the steps of a command."""

    def begin(self, step: str) -> None:
        """A step begins; other steps may run at the same time."""

    def end(self, step: str, outcome: str) -> None:
        """A step ended; `outcome` is a word or two."""

    def note(self, text: str) -> None:
        """Show a message to the user."""


class Silence:
    """Discards all progress: for tests and other programs."""

    def begin(self, step: str) -> None:
        """Do nothing."""

    def end(self, step: str, outcome: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class Report:
    """Shows the steps on a console. Use as a context manager: its end restores the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[str, float] = {}
        self._ended: dict[str, tuple[str, float]] = {}
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def begin(self, step: str) -> None:
        """Add a line with a running clock."""
        self._begun[step] = time.monotonic()

    def end(self, step: str, outcome: str) -> None:
        """Stop the clock of a step; in a pipe, print its line."""
        seconds = time.monotonic() - self._begun[step]
        self._ended[step] = (outcome, seconds)
        if not self._live:
            self._console.print(f"{step:<24} {outcome:<10} {seconds:5.1f} s", highlight=False, markup=False)

    def note(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for step, begun in self._begun.items():
            ended = self._ended.get(step)
            outcome, seconds = ended or ("…", time.monotonic() - begun)
            sign: RenderableType = Text("✓", style="green") if ended else self._spinner
            table.add_row(sign, step, outcome, Text(f"{seconds:5.1f} s", style="dim"))
        return table


@contextmanager
def step(progress: Progress, name: str, outcome: str = "done") -> Iterator[None]:
    """Report a step from its beginning to its end. If the block raises, the step stays unfinished on the screen."""
    progress.begin(name)
    yield
    progress.end(name, outcome)
