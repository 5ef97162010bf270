"""File patterns match as their plain translation does, in a bounded number of steps."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from include.contracts.file_patterns import pattern_regex

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
CPU_SECONDS = 20
# Each of them takes a backtracking matcher hours.
HARD = {
    "eight stars": ("*" * 8 + ".x", "a" * 60),
    "eight stars and a letter": ("*" * 8 + "a", "a" * 59 + "b"),
    "stars between the same character": ("*_" * 40 + "x", "_" * 500),
    "stars between letters": ("*a" * 500 + "b", "a" * 1000),
    "stars between question marks": ("*?" * 300 + "b", "a" * 1000),
    "stars in folders": ("*a*a*a*a*a*a*a/" * 8 + "b", ("a" * 60 + "/") * 8 + "c"),
}


def plain_regex(pattern: str) -> re.Pattern[str]:
    """The plain translation, which is exact and may take exponential time."""
    wild = {"*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in pattern))


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a*.csv", "a/b.csv", False),
        ("a/*.csv", "a/b.csv", True),
        ("*/b*.csv", "a/ab.csv", False),
        ("a?.csv", "ab.csv", True),
        ("a?.csv", "a/.csv", False),
        ("a.csv", "abcsv", False),
        ("a+.csv", "aa.csv", False),
        ("**a", "ba", True),
        ("*a*", "a", True),
        ("*ab*b", "ab", False),
        ("*ab*b", "aab\nb", True),
    ],
)
def test_wildcards_stay_in_their_folder(pattern: str, key: str, matches: bool) -> None:
    assert bool(pattern_regex(pattern).fullmatch(key)) is matches


def test_matches_are_those_of_the_plain_translation() -> None:
    chance = random.Random(7)
    matched = 0
    for _ in range(60_000):
        pattern = "".join(chance.choices("ab/*?.", weights=(4, 3, 1, 4, 1, 1), k=chance.randint(1, 9)))
        key = "".join(chance.choices("ab/.", weights=(5, 4, 1, 1), k=chance.randint(0, 12)))
        expected = plain_regex(pattern).fullmatch(key) is not None
        matched += expected
        assert (pattern_regex(pattern).fullmatch(key) is not None) is expected, (pattern, key)
    assert matched > 1_000


@pytest.mark.parametrize(("pattern", "key"), HARD.values(), ids=list(HARD))
def test_hard_pattern_ends(pattern: str, key: str) -> None:
    """In another process with a limit of CPU time, so that the load of the machine does not matter."""
    program = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))\n"
        "from include.contracts.file_patterns import pattern_regex\n"
        "print(pattern_regex(sys.argv[1]).fullmatch(sys.argv[2]) is not None)\n"
    )
    command = [sys.executable, "-c", program, pattern, key]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
