"""Mutation testing: which changes it makes, what it excludes, and that changed code runs."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from proof.mutation.mutants import mutants_of
from proof.mutation.results import MutantVerdict, Results, interval, score, table
from proof.mutation.worker import replace_code

pytestmark = pytest.mark.unit


def changed_lines(source: str) -> set[str]:
    original = source.splitlines()
    return {
        line.strip()
        for mutant in mutants_of("m.py", source)
        for line in mutant.source().splitlines()
        if line not in original
    }


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("return a < b", "return a <= b"),
        ("return a and b", "return a or b"),
        ("return f'x IS NULL AND {a}'", "return f'x IS NULL OR {a}'"),
        ("return f'x IS NULL AND {a}'", "return f'x IS NOT NULL AND {a}'"),
        ("a.close()", "pass"),
        ("return 'code'", "return 'XXcodeXX'"),
    ],
)
def test_mutants_of_changes_a_function(body: str, wanted: str) -> None:
    assert wanted in changed_lines(f"def f(a, b):\n    {body}\n")


@pytest.mark.parametrize(
    "source",
    [
        "LIMIT = 5\n",
        "def f(a: int = 1) -> None: ...\n",
        "def f():\n    assert a > 1\n",
        "def f():\n    raise ValueError\n",
        "if TYPE_CHECKING:\n    x = 1\n",
        "def f(a):\n    log.info('%s', a + 1)\n",
        "def f():\n    return 'The file is empty.'\n",
    ],
    ids=["constant", "default", "assertion", "bare raise", "imports for types", "log call", "wording"],
)
def test_mutants_of_excludes_code_that_no_test_checks(source: str) -> None:
    assert mutants_of("m.py", source) == []


def test_replace_code_changes_a_function_that_was_imported_before(tmp_path: Path) -> None:
    file = tmp_path / "under_test.py"
    source = "class A:\n    def f(self, a):\n        return a + 1\n"
    file.write_text(source)
    module = ModuleType("under_test")
    exec(compile(source, str(file), "exec"), module.__dict__)
    imported = module.A().f
    replace_code(file, source, source.replace("a + 1", "a - 1"))
    assert imported(1) == 0
    with pytest.raises(ValueError, match="the same code"):
        replace_code(file, source, source + "# no change\n")
    assert "under_test" not in sys.modules


def test_results_keep_detected_mutants_and_survivors_of_the_same_tests_only(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    old = Results(file, "old")
    old.add(MutantVerdict("1", "m.py", "f", "killed", "test_a", "old"))
    old.add(MutantVerdict("2", "m.py", "f", "survived", "", "old"))
    assert [Results(file, "old").get(key) is not None for key in "12"] == [True, True]
    assert [Results(file, "new").get(key) is not None for key in "12"] == [True, False]


def test_score_counts_mutants_without_a_test_and_not_invalid_ones() -> None:
    verdicts = ("killed", "timeout", "survived", "no test", "invalid")
    results = [MutantVerdict(str(n), "m.py", "f", verdict) for n, verdict in enumerate(verdicts)]
    assert score(results) == (2, 4)
    assert table(results)[-1].split() == ["all", "4", "1", "1", "1", "1", "50.0%"]
    low, high = interval(80, 100)
    assert (round(low, 3), round(high, 3)) == (0.711, 0.867)
