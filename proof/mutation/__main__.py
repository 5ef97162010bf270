"""`filegate dev mutation [--only include/ingestion/claim.py] [--mutants 600] [--seed 1]`.

Every mutant is tried with the tests that reach its lines on the unchanged code: first those that detected another
mutant of the same function, then the quick ones, until one fails or `--patience` seconds of tests have passed. A slow
test might still detect a survivor, so the score is a lower bound. After every 40th trial of a worker follows a control,
the same tests on the unchanged code. If a control fails, tests are flaky and the score means little.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from proof.mutation.mutants import Mutant, mutants_of
from proof.mutation.results import PASS_SCORE, MutantVerdict, Results, diff, interval, score, state_of, table
from proof.mutation.worker_pool import ROOT, TESTS, Worker, worker_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PACKAGES = ("include/ingestion", "include/contracts")
_OUT = ROOT / ".local.proof" / "mutation"
_WORKERS = 2
_PROGRESS_EVERY = 10.0  # seconds
_CONTROL_EVERY = 40  # trials of a worker

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Reach:
    """Which tests reach which line of the unchanged code, and how many seconds each test takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._tests: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._noticed: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, traced: dict[str, Any]) -> None:
        """Add the trace of one worker."""
        for test in traced["traced"]:
            self.seconds[test["traced"]] = test["seconds"]
            if test["failed"]:
                self.failed.add(test["traced"])
        for module, lines in traced["lines"].items():
            for line, names in lines.items():
                self._tests[module, int(line)].update(names)

    def noticed(self, mutant: Mutant, test: str) -> None:
        """Remember the test that detected a mutant: other mutants of that function are tried with it first."""
        if test in self.seconds and test not in (known := self._noticed[mutant.module, mutant.function]):
            known.insert(0, test)

    def tests_for(self, mutant: Mutant, patience: float) -> list[tuple[str, float]]:
        """Return the tests that reach the mutant with their seconds, in the order of trial; at least one, if any."""
        first, last = mutant.lines
        names = {name for line in range(first, last + 1) for name in self._tests.get((mutant.module, line), ())}
        before = self._noticed[mutant.module, mutant.function]
        ordered = [name for name in before if name in names]
        ordered += sorted(names - set(ordered), key=lambda name: (self.seconds[name], name))
        chosen: list[tuple[str, float]] = []
        for name in ordered:
            if name in self.failed:
                continue
            patience -= self.seconds[name]
            if chosen and patience < 0:
                break
            chosen.append((name, self.seconds[name]))
        return chosen


@app.command()
def main(
    only: Annotated[list[str] | None, typer.Option(help="a module, as include/ingestion/claim.py; repeatable")] = None,
    mutants: Annotated[int, typer.Option(help="size of a random sample; 0: all mutants")] = 0,
    seed: Annotated[int, typer.Option(help="seed of the sample")] = 1,
    patience: Annotated[float, typer.Option(help="seconds of tests for one mutant")] = 20,
    out: Annotated[Path, typer.Option(help="folder of the results and survivors")] = _OUT,
) -> None:
    """Change the core's code and check that a test fails. Exit code 1: the score is too low, or a control failed."""
    signal.signal(signal.SIGTERM, _interrupt)
    out.mkdir(parents=True, exist_ok=True)
    failed_controls = 0
    with worker_pool(_WORKERS, TESTS, _modules(ROOT, only or ())) as (tree, workers):
        modules = _modules(tree, only or ())
        found = [mutant for module in modules for mutant in mutants_of(module, (tree / module).read_text())]
        chosen = found
        if mutants and mutants < len(found):
            chosen = random.Random(seed).sample(found, mutants)  # noqa: S311 - no secret
        results = Results(out / "results.jsonl", f"{state_of(tree, (*TESTS, *PACKAGES))}-{_WORKERS}-{patience:g}")
        open_ones = [mutant for mutant in chosen if results.get(mutant.key) is None]
        _say(
            f"{len(found)} mutants in {len(modules)} modules; {len(chosen)} of them to try, "
            f"{len(open_ones)} not yet known."
        )
        try:
            if open_ones:
                reach = _trace(workers, out / f"reach-{results.tests}-{state_of(tree, modules)}.json")
                failed_controls = Trial(reach, results, patience).run(open_ones, workers)
        except KeyboardInterrupt:
            _say("Interrupted. Run the same command again to continue. The results until now:")
    raise typer.Exit(_report(chosen, results, out, failed_controls, sampled=len(chosen) < len(found)))


def _modules(tree: Path, only: Sequence[str]) -> list[str]:
    found = sorted(path.relative_to(tree).as_posix() for package in PACKAGES for path in (tree / package).rglob("*.py"))
    unknown = set(only) - set(found)
    if unknown:
        raise SystemExit(f"No module of {' or '.join(PACKAGES)}: {', '.join(sorted(unknown))}")
    return [module for module in found if not only or module in only]


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _trace(workers: list[Worker], kept: Path) -> Reach:
    """Run all tests on the unchanged code once, shared among the workers; or read the trace of an earlier run."""
    reach = Reach()
    start = time.monotonic()

    def share(worker: Worker, number: int) -> dict[str, Any]:
        names = worker.wait_for_tests()
        return known[number] if known else worker.ask({"trace": names[number :: len(workers)]})

    known = json.loads(kept.read_text()) if kept.exists() else []
    answers = _at_once(share, workers)
    for traced in answers:
        if traced.get("verdict") != "traced":
            raise RuntimeError(f"The tests on the unchanged code did not finish: {traced}")
        reach.add(traced)
    kept.write_text(json.dumps(answers))
    _say(f"{len(reach.seconds)} tests on the unchanged code in {time.monotonic() - start:.0f} s.")
    for name in sorted(reach.failed):
        _say(f"  not used, because it fails on the unchanged code: {name}")
    return reach


def _at_once(work: Callable[[Worker, int], Any], workers: list[Worker]) -> list[Any]:
    """Do the same work with each worker; stop all workers when one fails or the run is interrupted."""
    with ThreadPoolExecutor(len(workers)) as pool:
        futures = [pool.submit(work, worker, number) for number, worker in enumerate(workers)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for worker in workers:
                worker.stop()
            raise


class Trial:
    """The trials of one run, shared among workers."""

    def __init__(self, reach: Reach, results: Results, patience: float) -> None:
        self._reach, self._results, self._patience = reach, results, patience
        self._lock = threading.Lock()
        self._open: list[Mutant] = []
        self._trusted: set[str] = set()
        self._done, self._survived, self._failed_controls = 0, 0, 0
        self._start = self._last_progress = time.monotonic()

    def run(self, mutants: list[Mutant], workers: list[Worker]) -> int:
        """Try all mutants; return how many controls failed."""
        self._open = list(reversed(mutants))
        _at_once(lambda worker, _: self._work(worker, len(mutants)), workers)
        return self._failed_controls

    def _work(self, worker: Worker, whole: int) -> None:
        for number in range(1, whole + 1):
            with self._lock:
                if not self._open:
                    return
                mutant = self._open.pop()
                tests = self._reach.tests_for(mutant, self._patience)
            result = self._try(worker, mutant, tests)
            if tests and number % _CONTROL_EVERY == 0:
                self._has_failed_control(worker, tests)
            with self._lock:
                self._results.add(result)
                self._reach.noticed(mutant, result.by)
                self._done += 1
                self._survived += result.verdict in {"survived", "no test"}
                self._report_progress(whole)

    def _try(self, worker: Worker, mutant: Mutant, tests: list[tuple[str, float]]) -> MutantVerdict:
        def result(verdict: str, by: str = "") -> MutantVerdict:
            return MutantVerdict(mutant.key, mutant.module, mutant.function, verdict, by, self._results.tests)

        source = mutant.source()
        try:
            compile(source, mutant.module, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return result("invalid")
        if not tests:
            return result("no test")
        answer = worker.ask({"module": mutant.module, "source": source, "tests": tests})
        by = answer.get("by", "")
        if by in self._reach.seconds and by not in self._trusted:
            # The first failure of this test: check that it still passes on the unchanged code.
            if self._has_failed_control(worker, [(by, self._reach.seconds[by])]):
                self._reach.failed.add(by)
                return self._try(worker, mutant, [test for test in tests if test[0] != by])
            self._trusted.add(by)
        return result(answer["verdict"], answer.get("by", ""))

    def _has_failed_control(self, worker: Worker, tests: list[tuple[str, float]]) -> bool:
        answer = worker.ask({"tests": tests})
        if answer["verdict"] != "survived":
            with self._lock:
                self._failed_controls += 1
                _say(f"  a control failed on the unchanged code: {answer}")
        return bool(answer["verdict"] != "survived")

    def _report_progress(self, whole: int) -> None:
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_EVERY or self._done == whole:
            self._last_progress = now
            minutes = (now - self._start) / 60
            _say(f"  {self._done} of {whole} in {minutes:.1f} min, {self._survived} not detected")


def _report(mutants: list[Mutant], results: Results, out: Path, failed_controls: int, *, sampled: bool) -> int:
    ends = [(mutant, end) for mutant in mutants if (end := results.get(mutant.key)) is not None]
    found = [result for _, result in ends]
    survivors = out / "survivors.diff"
    survivors.write_text(
        "\n".join(diff(mutant, end.verdict) for mutant, end in ends if end.verdict in {"survived", "no test"})
    )
    _say("\n".join(table(found)))
    noticed, tried = score(found)
    if not tried:
        _say("No mutants.")
        return 1
    low, high = interval(noticed, tried)
    partly = sampled or len(ends) < len(mutants)
    chance = f", 95 % interval {low:.1%} to {high:.1%}" if partly else ""
    _say(f"Score {noticed / tried:.1%} ({noticed} of {tried} detected{chance}); survivors are in {survivors}")
    if failed_controls:
        _say(f"{failed_controls} controls failed: tests are flaky.")
    if len(ends) < len(mutants):
        _say(f"{len(mutants) - len(ends)} mutants were not tried.")
    return int(noticed / tried < PASS_SCORE or failed_controls > 0 or len(ends) < len(mutants))


if __name__ == "__main__":
    app(prog_name="python -m proof.mutation")
