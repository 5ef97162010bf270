"""The pool of workers: copies of the committed tree with a worker process in each.

The checkout is never changed. Changes that are not committed are ignored, except those of proof/mutation.
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
    """A handle of a worker process, which tries mutants one at a time."""

    def __init__(self, tree: Path, tests: Sequence[str], modules: list[str], log: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INGEST_", "TEST_"))}
        with log.open("w") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of this repository
                [sys.executable, "-m", "proof.mutation.worker", json.dumps({"folders": tests, "modules": modules})],
                cwd=tree,
                # A .pyc file is valid for a second of the source's time stamp; mutants change faster.
                env=kept | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # Ctrl+C does not reach it: it ends when its input ends
            )
        self._log = log
        self._requests = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def wait_for_tests(self) -> list[str]:
        """Wait until the platform runs and the tests are collected; return their names."""
        tests: list[str] = self._answer()["tests"]
        return tests

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        with suppress(BrokenPipeError):  # the worker has ended: reading the answer raises
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"A worker ended unexpectedly. The end of its log:\n{self._log.read_text()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Close its input: the worker stops its platform and ends."""
        with suppress(BrokenPipeError):
            self._requests.close()

    def stop(self) -> None:
        """Terminate the worker without waiting for its trial."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended; kill it after a minute."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def worker_pool(count: int, tests: Sequence[str], modules: list[str]) -> Iterator[tuple[Path, list[Worker]]]:
    """Yield an unchanged copy of the tree and the workers; remove everything at the end."""
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
                signal.signal(kind, signal.SIG_IGN)  # a second signal must not stop the clean-up
            for worker in workers:
                worker.end()
            for worker in workers:
                worker.wait()
