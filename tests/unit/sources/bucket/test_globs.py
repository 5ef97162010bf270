"""The patterns of bucket sources: a table of what they match, and what is wrong with some."""

from __future__ import annotations

import fnmatch
import random
import time

import pytest

from include.sources.bucket.globs import MAX_LENGTH, compiled, glob_fault, literal_start

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("pattern", "matched", "unmatched"),
    [
        ("orders.csv", ["orders.csv"], ["Orders.csv", "orders.csv2", "x/orders.csv", "", "orders.csv/"]),
        ("*.csv", ["a.csv", "ä b.csv", "a\nb.csv"], ["a.CSV", "a.csv.gz", "d/a.csv", ".a.csv", ".csv", "/a.csv"]),
        ("*", ["a", "a.csv"], ["d/a", ".a", "/a"]),
        ("orders_*_*.csv", ["orders_a_b.csv", "orders__.csv", "orders_a_b_c.csv"], ["orders_a.csv", "orders_a/_b.csv"]),
        ("a?c", ["abc", "a.c", "aäc"], ["ac", "abbc", "a/c"]),
        ("?a", ["xa"], [".a", "a"]),
        ("[ab]x", ["ax", "bx"], ["cx", "Ax", "x", "[ab]x"]),
        ("[!ab]x", ["cx", "Ax"], ["ax", ".x", "x"]),
        ("[a-c0-9]", ["b", "5"], ["d", "-", "B"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[]a]", ["]", "a"], ["[", "b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[*]", ["*"], ["a", ""]),
        ("a[?]*[[]", ["a?[", "a?x["], ["ab["]),
        ("[{]a[}]", ["{a}"], ["a"]),
        ("[&|~-]", ["&", "|", "~", "-"], ["a"]),
        ("[a&&b]", ["a", "&", "b"], ["c"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("a.c", ["a.c"], ["abc"]),
        ("d/*.csv", ["d/a.csv"], ["d/e/a.csv", "a.csv", "d/.a.csv", "D/a.csv"]),
        ("*/a", ["d/a"], ["a", "d/e/a", ".d/a"]),
        ("**", ["a", "d/a", "d/e/f/a.csv", "/a", "a//b"], [".a", "d/.a", ".d/a", "d/.e/a"]),
        ("**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"], ["a.txt", ".d/a.csv", "d/.a.csv", "d/.e/f/a.csv"]),
        ("d/**", ["d/a", "d/e/a"], ["d", "x/d/a", "d/.a", "d/.e/a"]),
        ("d/**/a", ["d/a", "d/e/a", "d/e/f/a"], ["a", "d/a/b", "d/.e/a"]),
        ("**/d/**/a", ["d/a", "x/d/a", "x/d/y/z/a", "d/d/a", "x/d/y/d/a"], ["a", "d", "x/a", ".x/d/a", "x/d/.y/a"]),
        ("**/**/a", ["a", "d/a", "d/e/a"], ["b", ".d/a"]),
        (".*", [".a", "."], ["a", ".d/a"]),
        (".d/*", [".d/a"], ["d/a", ".d/.a", ".D/a"]),
        ("**/.d/**", [".d/a", "x/.d/a/b", "x/y/.d/a"], ["x/d/a", ".x/.d/a", ".d/.a", ".d/.e/a"]),
        ("**/.*", [".a", "d/.a"], ["a", ".d/a"]),
        ("[.]a", [], [".a"]),
        ("year=*/month=0[1-3]/*.parquet", ["year=2026/month=02/x.parquet"], ["year=2026/month=04/x.parquet"]),
    ],
)  # fmt: skip
def test_pattern_matches(pattern: str, matched: list[str], unmatched: list[str]) -> None:
    assert glob_fault(pattern) is None
    glob = compiled(pattern)
    assert [name for name in matched if not glob.matches(name)] == []
    assert [name for name in unmatched if glob.matches(name)] == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "is empty"),
        ("a" * (MAX_LENGTH + 1), "longer than"),
        ("a\tb", "control character"),
        ("/a", "begins behind the prefix"),
        ("a/", "empty part"),
        ("a//b", "empty part"),
        ("./a", "empty part, . or .."),
        ("a/../b", "empty part, . or .."),
        ("a**", "** beside other characters"),
        ("d/***", "** beside other characters"),
        ("*.{csv,json}", "brace"),
        ("a\\*", "backslash"),
        ("a[b", "bracket that does not end"),
        ("[a/b]", "bracket that does not end"),
        ("[]", "bracket that does not end"),
        ("[!]", "bracket that does not end"),
        ("[z-a]", "range whose end"),
    ],
)
def test_fault_of_a_pattern_has_a_remedy(pattern: str, words: str) -> None:
    what, colon, remedy = (glob_fault(pattern) or "").partition(": ")
    assert words in f"{what}{colon}{remedy}"
    assert colon
    assert remedy


@pytest.mark.parametrize(
    ("pattern", "start"),
    [("**", ""), ("a.csv", "a.csv"), ("d/e_*.csv", "d/e_"), ("d/?", "d/"), ("d[a]", "d"), ("d/**/x", "d/")],
)
def test_literal_start_is_common_to_all_matching_names(pattern: str, start: str) -> None:
    assert literal_start(pattern) == start


def test_part_of_a_pattern_agrees_with_fnmatch() -> None:
    """The standard library matches the same, but for slashes and hidden names."""
    generator = random.Random(7)
    pieces = ["a", "b", "-", "*", "?", "[ab]", "[!a]", "[a-b]", "[*]", ".", "]"]
    compared = 0
    for _ in range(3000):
        pattern = "".join(generator.choices(pieces, k=generator.randint(1, 6))).replace("**", "*")
        if glob_fault(pattern):
            continue
        for _ in range(10):
            name = "".join(generator.choices("ab-*.]", k=generator.randint(1, 7)))
            if name.startswith("."):
                continue
            compared += 1
            assert compiled(pattern).matches(name) == fnmatch.fnmatchcase(name, pattern), (pattern, name)
    assert compared > 10_000


def test_comparison_takes_no_exponential_time() -> None:
    begun = time.perf_counter()
    assert not compiled("*a" * 200 + "b").matches("a" * 1000)
    assert not compiled("**/a/" * 100 + "b").matches("a/" * 500 + "c")
    assert time.perf_counter() - begun < 5
