"""Results of the mutants: kept from run to run, and shown as a table, a score and diffs."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from proof.mutation.mutants import Mutant

PASS_SCORE = 0.8
NOTICED = ("killed", "timeout")
VERDICTS = ("killed", "timeout", "survived", "no test")


@dataclass(frozen=True)
class MutantVerdict:
    """The verdict on one mutant. `by` is the test that detected it; `tests` the checksum of the tests that ran."""

    key: str
    module: str
    function: str
    verdict: str
    by: str = ""
    tests: str = ""


class Results:
    """The results on disk, one a line. Survivors are tried again when the tests change, detected mutants are not."""

    def __init__(self, file: Path, tests: str) -> None:
        self._file, self.tests = file, tests
        self._known: dict[str, MutantVerdict] = {}
        if file.exists():
            for line in file.read_text().splitlines():
                result = MutantVerdict(**json.loads(line))
                if result.verdict in (*NOTICED, "invalid") or result.tests == tests:
                    self._known[result.key] = result

    def get(self, key: str) -> MutantVerdict | None:
        """Return the known result of a mutant, or None."""
        return self._known.get(key)

    def add(self, result: MutantVerdict) -> None:
        """Append the result to the file at once, so that an interrupted run keeps it."""
        self._known[result.key] = result
        with self._file.open("a") as lines:
            lines.write(json.dumps(asdict(result)) + "\n")


def state_of(tree: Path, folders: Iterable[str]) -> str:
    """Return a checksum over the given files and all files of the given folders."""
    found = [path for folder in folders for path in (tree / folder, *(tree / folder).rglob("*"))]
    files = sorted(path for path in found if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.relative_to(tree).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


def interval(noticed: int, tried: int) -> tuple[float, float]:
    """Return Wilson's interval of 95 % for a sampled share (E. B. Wilson, 1927)."""
    z, share = 1.96, noticed / tried
    middle = (share + z * z / (2 * tried)) / (1 + z * z / tried)
    half = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried)) / (1 + z * z / tried)
    return middle - half, middle + half


def table(results: Iterable[MutantVerdict]) -> list[str]:
    """Return a line for each module, then the sum."""
    by_module: dict[str, Counter[str]] = {}
    for result in results:
        if result.verdict in VERDICTS:
            by_module.setdefault(result.module, Counter())[result.verdict] += 1
    heads = ("mutants", *VERDICTS, "score")
    lines = [f"{'module':<42}" + "".join(f"{head:>10}" for head in heads)]
    whole: Counter[str] = Counter()
    for module in sorted(by_module):
        lines.append(_line(module, by_module[module]))
        whole.update(by_module[module])
    return [*lines, _line("all", whole)] if whole else lines


def _line(name: str, counts: Counter[str]) -> str:
    line = f"{name:<42}{counts.total():>10}" + "".join(f"{counts[verdict]:>10}" for verdict in VERDICTS)
    return f"{line}{sum(counts[verdict] for verdict in NOTICED) / counts.total():>10.1%}"


def score(results: Iterable[MutantVerdict]) -> tuple[int, int]:
    """Return how many mutants were detected, and how many were tried."""
    counts = Counter(result.verdict for result in results)
    return sum(counts[verdict] for verdict in NOTICED), sum(counts[verdict] for verdict in VERDICTS)


def diff(mutant: Mutant, verdict: str) -> str:
    """Return the mutant's change as a unified diff with its verdict."""
    lines = difflib.unified_diff(
        mutant.tree.code.splitlines(), mutant.source().splitlines(), mutant.module, mutant.module, lineterm="", n=1
    )
    return "\n".join((f"# {verdict}: {mutant.function} ({mutant.key})", *lines, ""))
