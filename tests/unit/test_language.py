"""Plain language: words that no tracked text file may contain, and words that no name in Python and SQL may contain.

Names in snake_case and CamelCase are split into words. Use the words of Airflow, Kafka, PostgreSQL and dbt instead.
"""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

# Forbidden everywhere: in prose, messages, names, and names of files.
WORDS = frozenset({
    "told", "tells", "road", "roads", "door", "doors", "mend", "mends", "mended", "mending", "mender", "anew",
    "whoever", "somebody", "loser", "losers", "doubled", "news",
})  # fmt: skip
# Forbidden in names of Python and SQL: they do not say what a value is. In prose they are ordinary English.
NAMES = frozenset({
    "way", "place", "rest", "facts", "stock", "suspect", "killer", "lost", "returned", "span", "people",
})  # fmt: skip

# REST, the kind of an API: `RestSource`, include/sources/rest/.
_REST = re.compile(r"\bRest(?=[A-Z])|\brest(?=/)")

# These migrations were applied before this test existed, and an applied migration must not change.
APPLIED = ("0003", "0004", "0005", "0006", "0007", "0010")
LOCK_FILES = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt", "ml_api/requirements.txt")
EXEMPT = (
    *(f"sql/migrations/versions/{number}_" for number in APPLIED),
    "tests/resources/warehouse_before_0013.sql",  # recorded data: a database that those migrations made
    "tests/unit/test_language.py",
)
# Columns of 0005, by their old names: in the migration that renames them, and in its tests.
OLD_COLUMNS = re.compile(r"\b(told_until|told_at)\b")
WITH_OLD_COLUMNS = {
    "sql/migrations/versions/0013_plain_names.sql",
    "tests/integration/ingestion/test_upgraded_warehouse.py",
    "tests/integration/warehouse/test_plain_names.py",
}

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SQL_SKIPPED = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}|'(?:[^']|'')*'", re.DOTALL)
_SQL_NAME = re.compile(r"[A-Za-z_]\w*")
# In capitals, as all statements here: a sentence may begin with "Select" or "With".
_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|MERGE|COPY|COMMENT|GRANT)\s")


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case; names are split at underscores and capitals."""
    yield from (found[0].lower() for found in _WORD.finditer(text))


def words_in_text(text: str) -> list[tuple[int, str]]:
    """Return line and word of each forbidden word."""
    lines = enumerate(text.splitlines(), start=1)
    return [(number, word) for number, line in lines for word in words_of(line) if word in WORDS]


def has_forbidden_name(name: str) -> bool:
    return not NAMES.isdisjoint(words_of(_REST.sub("", name)))


def names_in_python(source: str) -> list[tuple[int, str]]:
    """Return line and name of each name with a forbidden word that a Python source defines."""
    return [(line, name) for line, name in _defined_names(_parsed(source)) if has_forbidden_name(name)]


@lru_cache(maxsize=1)  # names and SQL are read of one file after the other
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield node.lineno, name


def names_in_sql(statement: str) -> list[tuple[int, str]]:
    """Return line and name of each identifier with a forbidden word; comments and literals are skipped."""
    # Blanks instead of skipped text keep the numbers of lines.
    code = _SQL_SKIPPED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), statement)
    return [
        (code.count("\n", 0, found.start()) + 1, found[0])
        for found in _SQL_NAME.finditer(code)
        if not NAMES.isdisjoint(words_of(found[0]))
    ]


def names_in_embedded_sql(source: str) -> list[tuple[int, str]]:
    """Return line and name of each forbidden name in the SQL statements that a Python source has as strings."""
    return [
        (start + line - 1, name)
        for start, statement in _strings(_parsed(source))
        if _STATEMENT.match(statement)
        for line, name in names_in_sql(statement)
    ]


def _strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string; `?` stands for a value in an f-string."""
    parts: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=values):
                parts.update(values)
                texts = [part.value if isinstance(part, ast.Constant) else "?" for part in values]
                yield node.lineno, "".join(map(str, texts))
            case ast.Constant(value=str(text)) if node not in parts:
                yield node.lineno, text


@cache
def all_texts() -> dict[str, str]:
    """Return path and text of every tracked text file."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    texts = {}
    for name in filter(None, listed.split("\0")):
        path = REPOSITORY / name
        if path.is_symlink() or not path.is_file():
            continue
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or another binary file
    return texts


def tracked_texts() -> dict[str, str]:
    """Return path and text of every tracked text file that is not exempt."""
    return {path: text for path, text in all_texts().items() if not path.startswith(EXEMPT + LOCK_FILES)}


def without_old_columns(path: str, text: str) -> str:
    return OLD_COLUMNS.sub("", text) if path in WITH_OLD_COLUMNS else text


def failures(found: dict[str, list[tuple[int, str]]]) -> str:
    return "\n".join(f"{path}:{line}: {word}" for path, hits in found.items() for line, word in hits)


def test_tracked_text_has_no_forbidden_word() -> None:
    texts = tracked_texts().items()
    found = failures({path: words_in_text(without_old_columns(path, text)) for path, text in texts})
    assert not found, f"Use a word of the style guide instead.\n{found}"


def test_file_names_have_no_forbidden_word() -> None:
    found = [
        path
        for path in tracked_texts()
        if not WORDS.isdisjoint(words_of(path)) or (Path(path).suffix in {".py", ".sql"} and has_forbidden_name(path))
    ]
    assert not found, "Rename the file.\n" + "\n".join(found)


def test_names_in_python_and_its_sql_have_no_forbidden_word() -> None:
    sources = {path: text for path, text in tracked_texts().items() if path.endswith(".py")}
    found = failures({path: names_in_python(text) + names_in_embedded_sql(text) for path, text in sources.items()})
    assert not found, f"Say in the name what the value is.\n{found}"


def test_sql_names_have_no_forbidden_word() -> None:
    found = failures(
        {path: names_in_sql(text) for path, text in tracked_texts().items() if ".sql" in Path(path).suffixes}
    )
    assert not found, f"Say in the name what the value is.\n{found}"


def test_every_exemption_is_needed() -> None:
    def has_forbidden(path: str, text: str) -> bool:
        return bool(words_in_text(text) or (path.endswith(".sql") and names_in_sql(text)))

    exempt = {path: text for path, text in all_texts().items() if path.startswith(EXEMPT) or path in WITH_OLD_COLUMNS}
    needed = {path for path, text in exempt.items() if has_forbidden(path, text)}
    assert [one for one in EXEMPT if not any(path.startswith(one) for path in needed)] == []
    assert needed >= WITH_OLD_COLUMNS
    assert set(LOCK_FILES) <= set(all_texts())


def test_scan_covers_every_kind_of_text_file() -> None:
    suffixes = {Path(path).suffix for path in tracked_texts()}
    assert {".py", ".sql", ".md", ".yml", ".yaml", ".j2", ".html", ".toml", ".json"} <= suffixes
    assert len(tracked_texts()) > 500


# --- planted words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("one\nthe user was told", [(2, "told")], id="prose"),
        pytest.param("is_told = 1", [(1, "told")], id="snake case"),
        pytest.param("class ToldUser: ...", [(1, "told")], id="camel case"),
        pytest.param("BATCH_DOOR_ROWS", [(1, "door")], id="constant"),
        pytest.param("parseDOORFile", [(1, "door")], id="capitals in camel case"),
        pytest.param("Mend it; News.", [(1, "mend"), (1, "news")], id="capital letter"),
        pytest.param("recommend, newsletter, roadmap, indoors, untold", [], id="parts of other words"),
    ],
)
def test_words_in_text_finds_planted_words(text: str, found: list[tuple[int, str]]) -> None:
    assert words_in_text(text) == found


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("place = 1", "place"),
        ("for one_way in []: ...", "one_way"),
        ("def f(*, rest): ...", "rest"),
        ("def find_people(): ...", "find_people"),
        ("async def f_lost(): ...", "f_lost"),
        ("class StockReader: ...", "StockReader"),
        ("self.facts = 1", "facts"),
        ("import re as span", "span"),
        ("try: ...\nexcept OSError as suspect: ...", "suspect"),
        ("match 1:\n    case killer: ...", "killer"),
        ("match []:\n    case [*rest]: ...", "rest"),
        ("match {}:\n    case {**rest}: ...", "rest"),
        ("first, *rest = []", "rest"),
        ("class TheRest: ...", "TheRest"),
        ("class A:\n    returned: int", "returned"),
        ("lambda way: 1", "way"),
        ("[place for place in []]", "place"),
    ],
)
def test_names_in_python_finds_planted_names(source: str, name: str) -> None:
    assert [found for _, found in names_in_python(source)] == [name]


@pytest.mark.parametrize(
    "source",
    [
        "# the place of people\n'rest'",
        "found.span()",
        "replaced = restore = spanned = 1",
        "from x import place",
        "class RestSource: ...",
    ],
    ids=["prose", "attribute of a library", "other words", "name of a library", "kind of an API"],
)
def test_names_in_python_ignores_what_a_source_does_not_name(source: str) -> None:
    assert names_in_python(source) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT\n    row_number() AS place\nFROM t", [(2, "place")]),
        ("SELECT %(lost_rows)s", [(1, "lost_rows")]),
        ("-- the place\nSELECT 'in place', /* rest */ a\nFROM people", [(3, "people")]),
        ("SELECT 'it''s a way' AS a", []),
        ("{#- the\nrest -#}\nSELECT span FROM {{ ref('stock') }}", [(3, "span")]),
    ],
    ids=["alias", "placeholder", "comments and literals", "quote in a literal", "template"],
)
def test_names_in_sql_finds_planted_names(statement: str, found: list[tuple[int, str]]) -> None:
    assert names_in_sql(statement) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('a = 1\nb = """\nSELECT 1 AS a,\n    2 AS place"""', [(4, "place")]),
        ('f"SELECT {way} AS lost FROM t"', [(1, "lost")]),
        ('("WITH people AS "\n "(SELECT 1) SELECT 2")', [(1, "people")]),
        ("'Select a place'", []),
        ("'With the rest'", []),
    ],
    ids=["statement of several lines", "f-string", "string in two parts", "sentence", "another sentence"],
)
def test_names_in_embedded_sql_finds_planted_names(source: str, found: list[tuple[int, str]]) -> None:
    assert names_in_embedded_sql(source) == found


@pytest.mark.parametrize("path", sorted(WITH_OLD_COLUMNS))
def test_old_columns_are_exempt_in_the_files_that_rename_them_alone(path: str) -> None:
    text = "told_until, told_at, told_ago"
    assert words_in_text(without_old_columns(path, text)) == [(1, "told")]
    assert len(words_in_text(without_old_columns("include/quality/check.py", text))) == 3
