"""Where the work is done: copies of the committed tree, a worker in each, and the questions put to them.

The checkout is never touched. What is not committed is not looked at, but for this program itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from local.temporary import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/unit/contracts", "tests/unit/ingestion", "tests/integration/ingestion")
_END_SECONDS = 60


class Worker:
    """A process that tries mutants, one at a time."""

    def __init__(self, tree: Path, tests: Sequence[str], modules: list[str], log: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INGEST_", "TEST_"))}
        with log.open("w") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "proof.mutation.worker", json.dumps({"folders": tests, "modules": modules})],
                cwd=tree,
                # Compiled files are told apart by seconds, and mutants come faster.
                env=kept | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # an interrupt of ours is not theirs: they end when their input ends
            )
        self._log = log
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def wait_for_tests(self) -> list[str]:
        """The names of all tests, once the platform runs and they are collected."""
        tests: list[str] = self._answer()["tests"]
        return tests

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order, wait for the answer."""
        with suppress(BrokenPipeError):  # then there is no answer either
            self._orders.write(json.dumps(order) + "\n")
            self._orders.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"A worker ended by itself; it said:\n{self._log.read_text()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """No more orders: it takes its platform down and ends."""
        with suppress(BrokenPipeError):
            self._orders.close()

    def stop(self) -> None:
        """Give up what it has in hand, and end."""
        self._process.terminate()

    def wait(self) -> None:
        """Until it has ended; not for ever."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def workplace(count: int, tests: Sequence[str], modules: list[str]) -> Iterator[tuple[Path, list[Worker]]]:
    """The first copy of the tree, unchanged but by trials, and the workers; all gone at the end."""
    with temporary_folder("mutation-") as home:
        workers: list[Worker] = []
        try:
            archive = home / "tree.tar"
            subprocess.run(  # noqa: S603
                ["git", "archive", "--output", str(archive), "HEAD"],  # noqa: S607
                cwd=ROOT, check=True, timeout=60,
            )  # fmt: skip
            for number in range(count + 1):
                tree = home / f"tree-{number}"
                shutil.unpack_archive(archive, tree, filter="data")
                shutil.copytree(Path(__file__).parent, tree / "proof" / "mutation", dirs_exist_ok=True)
                if number:
                    workers.append(Worker(tree, tests, modules, home / f"worker-{number}.log"))
            yield home / "tree-0", workers
        finally:
            for kind in (signal.SIGINT, signal.SIGTERM):
                signal.signal(kind, signal.SIG_IGN)  # a second one must not leave a platform behind
            for worker in workers:
                worker.end()
            for worker in workers:
                worker.wait()
