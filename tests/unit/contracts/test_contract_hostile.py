"""Contracts made to hang, fill or mislead whoever reads them: refused one by one, and the others still read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from include.contracts.catalog import read_catalog
from include.contracts.growth import growth_problem
from include.contracts.model import Contract
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.errors import Code
from include.settings import CONTRACTS_DIR

pytestmark = [pytest.mark.unit, pytest.mark.timeout(60)]

RULE = "schema[0].quality[0].implementation.expression"
PATTERN = "schema[0].properties[0].logicalTypeOptions.pattern"
DERIVED = "schema[0].properties[2].customProperties"


def document(*, rule: str = "n > 0", pattern: str = ".*", derived: str = "t") -> str:
    """A contract of a text, a number and a derived column, which is sound unless it is told something else."""
    rows = {"type": "custom", "engine": "rowRule", "name": "r", "description": "R."}
    return yaml.safe_dump(
        {
            "apiVersion": "v3.1.0", "kind": "DataContract", "id": "x", "version": "1.0.0", "status": "active",
            "schema": [{
                "name": "x",
                "properties": [
                    {"name": "t", "logicalType": "string", "primaryKey": True, "required": True,
                     "logicalTypeOptions": {"pattern": pattern}},
                    {"name": "n", "logicalType": "integer"},
                    {"name": "d", "logicalType": "string",
                     "customProperties": [{"property": "derived", "value": derived}]},
                ],
                "quality": [rows | {"implementation": {"expression": rule, "column": "n"}}],
            }],
        },
        allow_unicode=True,
    )  # fmt: skip


def read(folder: Path, text: str) -> Contract:
    (folder / "x.yaml").write_text(text)
    return read_contract(folder / "x.yaml")


# --- what lies in the folder


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(10 * 1024**2)


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "not a plain file"),
    "pipe nobody writes to": (os.mkfifo, "not a plain file"),
    "endless device": (link("/dev/zero"), "not a plain file"),
    "link to itself": (link("odd.yaml"), "cannot be read"),
    "link to nothing": (link("/no/such/file.yaml"), "cannot be read"),
    "link to a folder": (link("/"), "not a plain file"),
    "link to another file": (link("/etc/passwd"), ""),
    "10 MB": (huge, "larger than 256 KiB"),
    "not UTF-8": (lambda path: path.write_bytes(b"kind: \xff"), "not UTF-8 at byte 6"),
    "UTF-16": (lambda path: path.write_bytes("kind: x".encode("utf-16")), "not UTF-8"),
    "NUL": (lambda path: path.write_bytes(b"kind: a\0b"), "not readable as YAML: unacceptable character"),
}


@pytest.mark.parametrize("mentions", ["", "sales"], ids=["every contract", "one task's contracts"])
@pytest.mark.parametrize(("make", "what"), ODD_FILES.values(), ids=list(ODD_FILES))
def test_odd_file_is_refused_and_the_others_are_read(
    tmp_path: Path, make: Callable[[Path], object], what: str, mentions: str
) -> None:
    make(tmp_path / "odd.yaml")
    (tmp_path / "sales.yaml").symlink_to(CONTRACTS_DIR / "sales.yaml")

    catalog = read_catalog(tmp_path, check_expressions=False, mentions=mentions)

    assert set(catalog.contracts) == {"sales"}
    if mentions and not catalog.broken:
        return  # its text is readable and speaks of something else
    (error,) = catalog.broken
    assert (error.code, error.file.name) == (Code.CONTRACT_INVALID, "odd.yaml")
    assert any(what in problem.what for problem in error.problems)
    assert all(problem.remedy for problem in error.problems)


# --- what is written in them

REACHES_OUT = {
    "file": "(SELECT content FROM read_text('/etc/passwd')) = ''",
    "file as a table": "'root' IN (FROM '/etc/passwd')",
    "files": "EXISTS (FROM glob('/etc/*'))",
    "environment": "getenv('HOME') = ''",
    "PostgreSQL's function": "pg_read_file('/etc/passwd') = ''",
    "attach": "ATTACH '/tmp/x.db' AS y",
    "copy": "COPY (SELECT 1) TO '/tmp/x'",
    "install": "INSTALL httpfs",
    "endless query": "(WITH RECURSIVE r AS (SELECT 1 UNION ALL FROM r) SELECT count(*) FROM r) > 0",
    "NUL": "t = 'a\0b'",
}
GROWS = {
    "range": "len(range(1000000000000)) > 0",
    "range of a column": "len(range(n)) > 0",
    "range behind its start": "len(range(0, 1000000000000)) > 0",
    "repeat": "length(repeat('x', 10000000000)) > 0",
    "repeat of a column": "length(repeat('x', n)) > 0",
    "repeat of a sum": "length(repeat('x', 1000 * 1000000)) > 0",
    "repeat in repeat": "length(repeat(repeat(repeat(repeat('x', 1000), 1000), 1000), 1000)) > 0",
    "named like a method": "length('x'.repeat(10000000000)) > 0",
    "padded": "length(lpad(t, 2000000000, 'y')) > 0",
    "formatted": "format('{:>1000000000}', t) = ''",
    "formatted as wide as a column": "printf('%*d', n, 1) = ''",
    "resized": "len(list_resize([1], 10000000000)) > 0",
    "bits": "bitstring('1', 2000000000) IS NOT NULL",
    "lists in a lambda": "len(list_transform(range(1000), lambda a: range(1000))) > 0",
    "doubled with each step": "length(list_reduce(['x', '', '', ''], lambda a, b: a || a)) > 0",
    "replaced by more and more": "length(replace(replace(t, 'a', 'aaaaaaaa'), 'a', 'aaaaaaaa')) > 0",
    "replaced by itself": r"length(regexp_replace(regexp_replace(t, '(.*)', '\1\1'), '(.*)', '\1\1')) > 0",
}
DEEP = {
    "brackets": "(" * 20_000 + "true" + ")" * 20_000,
    "not": "NOT " * 900 + "true",
    "sum": "1" + " + 1" * 900 + " > 0",
    "calls": "abs(" * 900 + "n" + ")" * 900 + " > 0",
}
EXPRESSIONS = {
    f"{kind}: {title}": expression
    for kind, expressions in (("reaches out", REACHES_OUT), ("grows", GROWS), ("deep", DEEP))
    for title, expression in expressions.items()
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=list(EXPRESSIONS))
def test_rule_that_reaches_out_grows_or_is_deep_is_refused(tmp_path: Path, expression: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, document(rule=expression))
    (problem,) = caught.value.problems
    assert problem.path == RULE
    assert problem.what
    assert problem.remedy


def test_derived_column_is_held_to_the_same(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, document(derived="repeat(t, 1000000000)"))
    assert [problem.path for problem in caught.value.problems] == [DERIVED]


@pytest.mark.parametrize(
    "expression",
    [
        "lpad(t, 10, '0') || rpad(t, 1000, ' ')",
        "replace(replace(t, '.', ''), ',', '.')",
        "regexp_replace(regexp_replace(t, '[^0-9]', '', 'g'), '^0+', '')",
        "format('{:>12.2f}', n) || repeat('-', 3)",
        "array_to_string(list_transform(string_split(t, ','), lambda part: trim(part)), ';')",
    ],
)
def test_expression_of_bounded_length_is_taken(tmp_path: Path, expression: str) -> None:
    assert read(tmp_path, document(derived=expression)).by_name["d"].derived == expression


def test_growth_is_asked_before_anything_is_calculated() -> None:
    """DuckDB would calculate it while it reads the expression, however long that takes."""
    two = {"class": "CONSTANT", "value": {"value": 2_000_000_000}}
    text = {"class": "CONSTANT", "value": {"value": "x"}}
    assert "1,000" in growth_problem({"class": "FUNCTION", "function_name": "LPAD", "children": [text, two, text]})


PATTERNS = {
    "nested": "(" * 5_000 + "x" + ")" * 5_000,
    "repeated too often": "(x{1000}){1000}",
    "look-behind": "(?<=a)b",
    "back-reference": r"(a)\1",
    "NUL": "a\0b",
    "number too large": "a{99999999999999999999}",
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_pattern_that_no_engine_bears_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, document(pattern=pattern))
    assert {problem.path for problem in caught.value.problems} == {PATTERN}
