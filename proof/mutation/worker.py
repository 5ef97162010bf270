"""A worker process: a pytest session that has imported all tests and tries each mutant in a fork of itself.

It runs in a copy of the tree. Its trials share one PostgreSQL and one S3 server. In the fork, every function object
with the original code gets the mutant's code; the file in the copy is changed too, for processes that tests start.
Requests and answers are lines of JSON on standard input and standard output. What tests print goes to standard error.

What belongs here: running tests. What does not: choosing tests and mutants (`__main__`).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TextIO

import coverage
import pytest
from _pytest.runner import runtestprotocol

from tests.integration.own_platform import PLATFORM_HOME, RUN, own_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

# The time limit of a test is its usual time, times _SLOWER, plus _SECONDS_MORE for a loaded machine.
_SLOWER = 10
_SECONDS_MORE = 15.0


class Trials:
    """The pytest plugin that replaces pytest's loop over the tests."""

    def __init__(self, requests: TextIO, answers: TextIO, modules: list[str]) -> None:
        self._requests, self._answers, self._modules = requests, answers, modules
        self._items: dict[str, pytest.Item] = {}
        self._number = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Send the names of all tests, then answer requests until standard input ends."""
        if session.testsfailed:
            raise session.Interrupted("Not all tests can be collected.")
        self._items = {item.nodeid: item for item in session.items}
        self._answer({"tests": list(self._items)})
        for line in self._requests:
            request = json.loads(line)
            if "trace" in request:
                self._answer(self._forked(functools.partial(self._trace, request["trace"]), [600.0]))
            else:
                self._answer(self._try(request))
        return True

    def _answer(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _try(self, request: dict[str, Any]) -> dict[str, Any]:
        """Try `{"module", "source", "tests": [[name, seconds], ...]}`; without a module, the unchanged code."""
        limits = [seconds * _SLOWER + _SECONDS_MORE for _, seconds in request["tests"]]
        names = [name for name, _ in request["tests"]]
        if "module" not in request:
            return self._forked(functools.partial(self._run, names), limits)
        file = Path(request["module"]).resolve()
        original = file.read_text()
        work = functools.partial(self._run_mutated, file, original, request["source"], names)
        file.write_text(request["source"])
        try:
            return self._forked(work, limits)
        finally:
            file.write_text(original)

    def _forked(self, work: Any, limits: list[float]) -> dict[str, Any]:
        """Do work in a fork with its own process group; end it if it reports no test within the limit (seconds)."""
        self._number += 1
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(reading)
            status = 1
            try:
                with os.fdopen(writing, "w") as pipe:
                    work(pipe)
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        try:
            return _listen(reading, limits)
        finally:
            os.close(reading)
            _end_group(child)

    # --- in the fork

    def _run_mutated(self, file: Path, original: str, source: str, names: list[str], pipe: TextIO) -> None:
        try:
            replace_code(file, original, source)
        except (SyntaxError, ValueError) as error:
            _send(pipe, {"verdict": "invalid", "why": str(error)})
            return
        self._run(names, pipe)

    def _run(self, names: list[str], pipe: TextIO) -> None:
        for name, following in self._in_order(names):
            if self._has_failed(name, following):
                _send(pipe, {"verdict": "killed", "by": name})
                return
            _send(pipe, {"passed": name})
        _send(pipe, {"verdict": "survived"})

    def _in_order(self, names: list[str]) -> Iterator[tuple[str, pytest.Item | None]]:
        """Yield each test with the following one: pytest keeps the fixtures that the following one needs."""
        yield from zip(names, [*(self._items[name] for name in names[1:]), None], strict=True)

    def _has_failed(self, name: str, following: pytest.Item | None) -> bool:
        item = self._items[name]
        os.environ[RUN] = str(self._number)
        return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))

    def _trace(self, names: list[str], pipe: TextIO) -> None:
        """Run the tests on the unchanged code; send outcome, seconds and reached lines of each."""
        traced = coverage.Coverage(data_file=None, config_file=False, include=self._modules)
        traced.start()
        for name, following in self._in_order(names):
            traced.switch_context(name)
            start = time.monotonic()
            failed = self._has_failed(name, following)
            _send(pipe, {"traced": name, "failed": failed, "seconds": round(time.monotonic() - start, 3)})
        traced.stop()
        data = traced.get_data()
        lines = {
            str(Path(file).relative_to(Path.cwd())): {
                line: [context for context in contexts if context]
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        _send(pipe, {"verdict": "traced", "lines": lines})


def _send(pipe: TextIO, message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def _listen(reading: int, limits: list[float]) -> dict[str, Any]:
    """Read the messages of a fork; return its verdict and the traces of its tests."""
    traced: list[dict[str, Any]] = []
    received, at = b"", 0
    while True:
        limit = limits[min(at, len(limits) - 1)]
        ready, _, _ = select.select([reading], [], [], limit)
        if not ready:
            return {"verdict": "timeout"}
        part = os.read(reading, 1 << 20)
        if not part:
            return {"verdict": "killed", "by": "the process died"}
        *whole, received = (received + part).split(b"\n")
        for line in whole:
            message = json.loads(line)
            if "verdict" in message:
                return {**message, "traced": traced}
            if "traced" in message:
                traced.append(message)
            at += 1


def _end_group(child: int) -> None:
    """Kill a fork and all processes that its tests left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def replace_code(file: Path, original: str, source: str) -> None:
    """Replace the code of every function object of a module by the mutant's code.

    Raises:
        SyntaxError, ValueError: the mutant cannot be compiled, or its function cannot be replaced.
    """
    mutated = compile(source, str(file), "exec", dont_inherit=True)
    before = dict(_functions(compile(original, str(file), "exec", dont_inherit=True)))
    changed = {name_and_line: code for name_and_line, code in _functions(mutated) if before.get(name_and_line) != code}
    if not changed:
        raise ValueError("the mutant compiles to the same code")
    replaced = 0
    for item in gc.get_objects():
        if isinstance(item, FunctionType) and item.__code__.co_filename == str(file):
            code = changed.get((item.__code__.co_qualname, item.__code__.co_firstlineno))
            if code is not None:
                item.__code__ = code
                replaced += 1
        elif isinstance(item, functools._lru_cache_wrapper) and item.__module__.startswith("include."):  # noqa: SLF001
            item.cache_clear()  # it may hold results of the original code
    if not replaced:
        raise ValueError("no function object has the changed code")


def _functions(code: CodeType) -> list[tuple[tuple[str, int], CodeType]]:
    found = []
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found.append(((const.co_qualname, const.co_firstlineno), const))
            found.extend(_functions(const))
    return found


def main(folders: list[str], modules: list[str]) -> int:
    """Answer requests until standard input ends. Started in the copy of the tree."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # The driver ends this process by closing its input, or at once by this signal; both stop the platform.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    base = Path.cwd().parent / f"{Path.cwd().name}-tmp"
    options = [*folders, "-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-o", "addopts=", f"--basetemp={base}"]
    with contextlib.ExitStack() as stack:
        if any("integration" in folder for folder in folders):
            platform = stack.enter_context(own_platform())
            os.environ[PLATFORM_HOME] = str(platform.settings.platform_home)
        return int(pytest.main(options, plugins=[Trials(requests, answers, modules)]))


if __name__ == "__main__":
    raise SystemExit(main(**json.loads(sys.argv[1])))
