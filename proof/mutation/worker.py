"""One worker: a pytest session that has imported all tests, and tries each mutant in a fork of itself.

It lives in a copy of the tree, with a PostgreSQL and an S3 server of its own that all its trials share. In a fork the
mutant's code takes the place of the original's in every function object that has it, wherever that was imported; for
the processes that a test starts, the file in the copy holds it too. Orders come as lines of JSON on standard input,
answers go as such to standard output; everything that tests print goes to standard error.

What belongs here: running tests. Which tests and which mutants, says the driver.
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

_SLOWER = 10  # so many times its usual time may a test take, and
_SECONDS_MORE = 15.0  # so many seconds, because a loaded machine is not a hanging mutant


class Trials:
    """The plugin that takes the place of pytest's loop over the tests."""

    def __init__(self, orders: TextIO, answers: TextIO, modules: list[str]) -> None:
        self._orders, self._answers, self._modules = orders, answers, modules
        self._items: dict[str, pytest.Item] = {}
        self._number = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Say which tests there are, then do what is told until nothing is told any more."""
        if session.testsfailed:
            raise session.Interrupted("Not all tests can be collected.")
        self._items = {item.nodeid: item for item in session.items}
        self._answer({"tests": list(self._items)})
        for line in self._orders:
            order = json.loads(line)
            if "trace" in order:
                self._answer(self._forked(functools.partial(self._trace, order["trace"]), [600.0]))
            else:
                self._answer(self._try(order))
        return True

    def _answer(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _try(self, order: dict[str, Any]) -> dict[str, Any]:
        """`{"module", "source", "tests": [[name, seconds], ...]}`; without a module, the unchanged code."""
        limits = [seconds * _SLOWER + _SECONDS_MORE for _, seconds in order["tests"]]
        names = [name for name, _ in order["tests"]]
        if "module" not in order:
            return self._forked(functools.partial(self._run, names), limits)
        file = Path(order["module"]).resolve()
        original = file.read_text()
        work = functools.partial(self._run_mutated, file, original, order["source"], names)
        file.write_text(order["source"])
        try:
            return self._forked(work, limits)
        finally:
            file.write_text(original)

    def _forked(self, work: Any, limits: list[float]) -> dict[str, Any]:
        """Do work in a fork, in a process group of its own. It tells of each test; silence beyond the limit ends it."""
        self._number += 1
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(reading)
            status = 1
            try:
                with os.fdopen(writing, "w") as told:
                    work(told)
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

    def _run_mutated(self, file: Path, original: str, source: str, names: list[str], told: TextIO) -> None:
        try:
            put_in_place(file, original, source)
        except (SyntaxError, ValueError) as error:
            _tell(told, {"verdict": "invalid", "why": str(error)})
            return
        self._run(names, told)

    def _run(self, names: list[str], told: TextIO) -> None:
        for name, following in self._in_order(names):
            if self._has_failed(name, following):
                _tell(told, {"verdict": "killed", "by": name})
                return
            _tell(told, {"passed": name})
        _tell(told, {"verdict": "survived"})

    def _in_order(self, names: list[str]) -> Iterator[tuple[str, pytest.Item | None]]:
        """Each test with its successor, for which the fixtures of a session stay."""
        yield from zip(names, [*(self._items[name] for name in names[1:]), None], strict=True)

    def _has_failed(self, name: str, following: pytest.Item | None) -> bool:
        item = self._items[name]
        os.environ[RUN] = str(self._number)
        return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))

    def _trace(self, names: list[str], told: TextIO) -> None:
        """Run the tests on the unchanged code; for each its outcome, seconds, and the lines that it reached."""
        traced = coverage.Coverage(data_file=None, config_file=False, include=self._modules)
        traced.start()
        for name, following in self._in_order(names):
            traced.switch_context(name)
            start = time.monotonic()
            failed = self._has_failed(name, following)
            _tell(told, {"traced": name, "failed": failed, "seconds": round(time.monotonic() - start, 3)})
        traced.stop()
        data = traced.get_data()
        lines = {
            str(Path(file).relative_to(Path.cwd())): {
                line: [context for context in contexts if context]
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        _tell(told, {"verdict": "traced", "lines": lines})


def _tell(told: TextIO, what: dict[str, Any]) -> None:
    told.write(json.dumps(what) + "\n")
    told.flush()


def _listen(reading: int, limits: list[float]) -> dict[str, Any]:
    """What the fork says in the end, with what it said of each test on the way."""
    traced: list[dict[str, Any]] = []
    heard, at = b"", 0
    while True:
        limit = limits[min(at, len(limits) - 1)]
        ready, _, _ = select.select([reading], [], [], limit)
        if not ready:
            return {"verdict": "timeout"}
        part = os.read(reading, 1 << 20)
        if not part:
            return {"verdict": "killed", "by": "the process died"}
        *whole, heard = (heard + part).split(b"\n")
        for line in whole:
            said = json.loads(line)
            if "verdict" in said:
                return {**said, "traced": traced}
            if "traced" in said:
                traced.append(said)
            at += 1


def _end_group(child: int) -> None:
    """End a fork and whatever its tests have left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def put_in_place(file: Path, original: str, source: str) -> None:
    """Give every function object of a module the code that it has in the mutant.

    Raises:
        SyntaxError, ValueError: the mutant cannot be compiled, or its function not be put in place.
    """
    mutated = compile(source, str(file), "exec", dont_inherit=True)
    before = dict(_functions(compile(original, str(file), "exec", dont_inherit=True)))
    changed = {place: code for place, code in _functions(mutated) if before.get(place) != code}
    if not changed:
        raise ValueError("the compiler makes the same of it")
    put = 0
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename == str(file):
            code = changed.get((thing.__code__.co_qualname, thing.__code__.co_firstlineno))
            if code is not None:
                thing.__code__ = code
                put += 1
        elif isinstance(thing, functools._lru_cache_wrapper) and thing.__module__.startswith("include."):  # noqa: SLF001
            thing.cache_clear()  # what was remembered at import, the original has said
    if not put:
        raise ValueError("nobody has this function")


def _functions(code: CodeType) -> list[tuple[tuple[str, int], CodeType]]:
    found = []
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found.append(((const.co_qualname, const.co_firstlineno), const))
            found.extend(_functions(const))
    return found


def main(folders: list[str], modules: list[str]) -> int:
    """Serve until standard input ends. Started in the copy of the tree."""
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # The driver ends us by closing our input, or at once by this signal; the platform goes down in either case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    base = Path.cwd().parent / f"{Path.cwd().name}-tmp"
    told = [*folders, "-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-o", "addopts=", f"--basetemp={base}"]
    with contextlib.ExitStack() as stack:
        if any("integration" in folder for folder in folders):
            platform = stack.enter_context(own_platform())
            os.environ[PLATFORM_HOME] = str(platform.settings.platform_home)
        return int(pytest.main(told, plugins=[Trials(orders, answers, modules)]))


if __name__ == "__main__":
    raise SystemExit(main(**json.loads(sys.argv[1])))
