"""Contracts made to block, exhaust or mislead the reader: each is refused, and the others are still read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from include.contracts.catalog import read_catalog
from include.contracts.expression_rules import tree_problem
from include.contracts.model import Contract
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.errors import Code
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

RULE = "schema[0].quality[0].implementation.expression"
PATTERN = "schema[0].properties[0].logicalTypeOptions.pattern"
DERIVED = "schema[0].properties[2].customProperties"


def document(*, rule: str = "n > 0", pattern: str = ".*", derived: str = "t") -> str:
    """A contract of a text, a number and a derived column, which is sound with the default arguments."""
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


# --- odd files in the folder


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(10 * 1024**2)


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "not a plain file"),
    "pipe without a writer": (os.mkfifo, "not a plain file"),
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

    catalog = read_catalog(tmp_path, mentions=mentions)

    assert set(catalog.contracts) == {"sales"}
    if mentions and not catalog.broken:
        return  # its text is readable and does not contain the word
    (error,) = catalog.broken
    assert (error.code, error.file.name) == (Code.CONTRACT_INVALID, "odd.yaml")
    assert any(what in problem.what for problem in error.problems)
    assert all(problem.remedy for problem in error.problems)


# --- hostile content

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
SESSION = {
    "now": "now() > TIMESTAMPTZ '2026-01-01 00:00:00Z'",
    "now of a schema": "main.now() > TIMESTAMPTZ '2026-01-01 00:00:00Z'",
    "current_timestamp": "current_timestamp > TIMESTAMPTZ '2026-01-01 00:00:00Z'",
    "current_date": "current_date > DATE '2026-01-01'",
    "localtimestamp": "localtimestamp > TIMESTAMP '2026-01-01 00:00:00'",
    "today": "today() > DATE '2026-01-01'",
    "age of now": "age(TIMESTAMP '2026-01-01 00:00:00') > INTERVAL 1 DAY",
    "current_user": "current_user = 'ingest'",
    "user": "user = 'ingest'",
    "session_user": "session_user = 'ingest'",
    "current_user before a JSON path": "current_user -> '$.a' IS NULL",
    "current_user as a list": "len(list_transform(current_user -> '$.a', lambda a: a)) > 0",
    "current_schema": "current_schema() = 'main'",
    "current_database": "current_database() = 'memory'",
    "version": "version() = 'v1.5.5'",
    "random": "random() > 0.5",
    "uuid": "uuid() IS NOT NULL",
    "nextval": "nextval('s') > 0",
    "setting": "current_setting('threads') = '1'",
    "variable": "getvariable('x') = 1",
    "row's position": "rowid > 0",
    "aggregate in a function": "list_aggregate([t], 'string_agg', ',') = ''",
    "SQL in a function": "json_execute_serialized_sql('{}') IS NULL",
    "plan": "json_serialize_plan('SELECT 1') IS NULL",
    "log": "write_log('x') IS NULL",
    "function that no list names": "st_astext(t) = ''",
    "distinct": "concat(DISTINCT t) = ''",
    "cast to a fixed list": "(t::INTEGER[3])[1] = 1",
    "cast to an enum": "t::ENUM('a') = 'a'",
    "cast to a struct": "(t::STRUCT(a INTEGER)).a = 1",
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
    "twice as long with each step": "length(list_reduce(['x', '', '', ''], lambda a, b: a || a)) > 0",
    "replaced by more and more": "length(replace(replace(t, 'a', 'aaaaaaaa'), 'a', 'aaaaaaaa')) > 0",
    "encoded twice": "length(hex(hex(t))) > 0",
    "many lambdas": "len(" + "list_transform(" * 9 + "[t]" + ", lambda a: a || a)" * 9 + ") > 0",
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
    for kind, expressions in (("reaches out", REACHES_OUT), ("session", SESSION), ("grows", GROWS), ("deep", DEEP))
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


def test_derived_column_has_the_same_limits(tmp_path: Path) -> None:
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
def test_expression_of_bounded_length_is_accepted(tmp_path: Path, expression: str) -> None:
    assert read(tmp_path, document(derived=expression)).by_name["d"].derived == expression


ALLOWED = {
    "comparison": "n BETWEEN 1 AND 5 AND t <> '' AND t IN ('a', 'b') AND NOT n IS NULL",
    "case and cast": "CASE WHEN n > 1 THEN TRY_CAST(t AS DATE) IS NOT NULL ELSE CAST(n AS VARCHAR) = t END",
    "column in upper case": "N > 0 AND length(T) > 1",
    "arithmetic": "abs(n - round(n / 3, 1)) <= greatest(1, n % 7, n // 2) + n ** 2",
    "text": "upper(trim(t)) LIKE 'A%' AND split_part(t, '-', 1) <> '' AND regexp_matches(t, '^[a-z]')",
    "time": "date_trunc('month', try_strptime(t, '%Y-%m-%d')) + INTERVAL 1 MONTH > TIMESTAMP '2026-01-01 00:00:00'",
    "parts of a time": "extract(year FROM TRY_CAST(t AS TIMESTAMPTZ)) > 2000 AND isodow(TRY_CAST(t AS DATE)) < 6",
    "zone": "hour(timezone('UTC', TRY_CAST(t AS TIMESTAMPTZ))) < 24",
    "list": "list_contains(string_split(t, ','), 'a') OR list_has_any(string_split(t, ','), ['a', 'b'])",
    "list comprehension": "len([part FOR part IN string_split(t, ',') IF part > 'a']) > 1",
    "JSON": "json_extract_string(t, '$.a') = 'x' OR TRY_CAST(t AS JSON) ->> '$.b' = 'y' OR json_array_length(t) > 1",
    "lambda": "list_sum(list_transform(string_split(t, ','), lambda part: length(part) + n)) > 0",
    "own function of the row": "md5(t) <> '' AND coalesce(nullif(t, ''), 'x') IS NOT NULL AND ifnull(n, 1) > 0",
}


@pytest.mark.parametrize("expression", ALLOWED.values(), ids=list(ALLOWED))
def test_expression_over_the_row_alone_is_accepted(tmp_path: Path, expression: str) -> None:
    assert read(tmp_path, document(rule=expression)).row_rules[0].expression == expression


YAML = {
    "alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep lists": "a: " + "[" * 10_000 + "]" * 10_000,
    "deep mappings": "".join(" " * level + "a:\n" for level in range(600)),
    "tag": "a: !!python/object/apply:os.system ['true']\n",
    "long number": "a: " + "9" * 100_000,
    "many keys": "".join(f"k{number}: 1\n" for number in range(20_000)),
    "many properties": "schema:\n- name: x\n  properties:\n" + "  - {name: a, logicalType: x}\n" * 5_000,
    "a list": "- a\n",
    "numbers as names": "1: 2\n3.5: null\n",
    "odd types": "kind: 1\nid: []\nversion: {}\nstatus: true\nschema: {a: 1}\nteam: 5\ncustomProperties: [null, 1]\n",
    "infinity": "a: 1e99999\n",
    "nothing": "",
}


@pytest.mark.parametrize("text", YAML.values(), ids=list(YAML))
def test_hostile_yaml_is_refused_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "hostile.yaml").write_text(text)
    (tmp_path / "sales.yaml").symlink_to(CONTRACTS_DIR / "sales.yaml")
    found = read_catalog(tmp_path)
    assert set(found.contracts) == {"sales"}
    assert [error.file.name for error in found.broken] == ["hostile.yaml"]


def mutated(key: str, value: object) -> str:
    """The document with one value, anywhere in it, replaced by one of another type."""
    content = yaml.safe_load(document())

    def replaced(node: object) -> object:
        if isinstance(node, dict):
            return {name: value if name == key else replaced(item) for name, item in node.items()}
        return [replaced(item) for item in node] if isinstance(node, list) else node

    return yaml.safe_dump(replaced(content))


KEYS = ("schema", "name", "properties", "logicalType", "primaryKey", "logicalTypeOptions", "pattern", "property",
        "value", "quality", "type", "engine", "implementation", "expression", "column", "customProperties")  # fmt: skip


@pytest.mark.parametrize("value", [None, 7, [], [[]], {}, {"a": {"b": []}}, "", True], ids=str)
@pytest.mark.parametrize("key", KEYS)
def test_value_of_another_type_never_breaks_the_reader(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "x.yaml").write_text(mutated(key, value))
    found = read_catalog(tmp_path)
    for error in found.broken:
        assert all("cannot be compiled" not in problem.what for problem in error.problems), str(error)


def test_growth_is_checked_before_anything_is_calculated() -> None:
    """DuckDB would calculate the value while it parses the expression, however long that takes."""
    two = {"class": "CONSTANT", "value": {"value": 2_000_000_000}}
    text = {"class": "CONSTANT", "value": {"value": "x"}}
    tree = {"class": "FUNCTION", "function_name": "LPAD", "children": [text, two, text]}
    assert "1,000" in tree_problem(tree, frozenset())


PATTERNS = {
    "nested": "(" * 5_000 + "x" + ")" * 5_000,
    "repeated too often": "(x{1000}){1000}",
    "look-behind": "(?<=a)b",
    "back-reference": r"(a)\1",
    "NUL": "a\0b",
    "number too large": "a{99999999999999999999}",
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_pattern_that_an_engine_cannot_compile_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, document(pattern=pattern))
    assert {problem.path for problem in caught.value.problems} == {PATTERN}
