"""The custom property `dialect`: how the files of a dataset are written.

What belongs here: every option of the block, with its JSON Schema, which `docs/dialect.md` describes. What does not:
reading files (`include.ingestion.readers`), and options of a column (`columns`). All options are optional; a contract
without the block reads files as one with an empty block does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from include.contracts.file_patterns import MAX_LENGTH, pattern_fault
from include.contracts.number_format import NumberFormat
from include.contracts.paths import PATH_SCHEMA, path_steps
from include.contracts.text_encodings import encoding_named, shown_encodings
from include.contracts.type_values import FALSE_WORDS, TRUE_WORDS

if TYPE_CHECKING:
    from include.contracts.model import Column
    from include.contracts.problems import Findings

_MOST_LINES = 10_000
_MOST_WORDS = 100


def _sign(description: str, *, may_be_none: bool = False) -> dict[str, Any]:
    sign = {"type": "string", "minLength": 1, "maxLength": 1, "pattern": r"^[^\r\n\u0000\ufeff]\Z"}
    if may_be_none:
        return {"anyOf": [sign, {"type": "null"}, {"const": ""}], "description": description}
    return sign | {"description": description}


def _words(description: str) -> dict[str, Any]:
    word = {"type": "string", "minLength": 1, "maxLength": 100}
    return {"type": "array", "items": word, "minItems": 1, "maxItems": _MOST_WORDS, "description": description}


# Each option by its name in the contract: its JSON Schema, whose `description` is what a message says about it.
OPTIONS: dict[str, dict[str, Any]] = {
    "encoding": {
        "type": "string",
        "maxLength": 50,
        "description": f"the name of a character encoding, such as {shown_encodings()}",
    },
    "delimiter": _sign('the one character between two fields, in quotes, such as ";" or "\\t"'),
    "quote": _sign('the one character around a field, such as "\'", or null for none', may_be_none=True),
    "escape": _sign('the one character before a character that has no other meaning, such as "\\\\"'),
    "header": {
        "anyOf": [
            {"type": "boolean"},
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 1000},
                "minItems": 1,
                "maxItems": 10_000,
            },
        ],
        "description": "true for a header line, false for none (columns in the contract's order), or a list of the "
        "names of a file's columns that has none",
    },
    "skipLines": {
        "type": "integer",
        "minimum": 0,
        "maximum": _MOST_LINES,
        "description": f"the number of lines (rows of a workbook) before the header, at most {_MOST_LINES:,}",
    },
    "footerLines": {
        "type": "integer",
        "minimum": 0,
        "maximum": _MOST_LINES,
        "description": f"the number of lines (rows of a workbook) after the last record, at most {_MOST_LINES:,}",
    },
    "comment": {
        "type": "string",
        "minLength": 1,
        "maxLength": 20,
        "pattern": r"^[^\r\n\u0000\ufeff]+\Z",
        "description": 'what a line that is no record begins with, such as "#"',
    },
    "decimal": {"enum": [".", ","], "description": 'the decimal mark, "." or ","'},
    "thousands": {
        "enum": [".", ",", "'", "\u2019", " ", "\u00a0", "\u202f"],
        "description": 'the thousands separator: ".", ",", "\'", " ", or a space that does not break',
    },
    "trailingMinus": {"type": "boolean", "description": "true if a minus may be behind its number, as in 12.50-"},
    "nullValues": _words('a list of cells that mean that there is no value, such as ["NULL", "\\\\N"]'),
    "trueValues": _words('a list of words for true, such as ["ja"]'),
    "falseValues": _words('a list of words for false, such as ["nein"]'),
    "sheet": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "the name of the sheet to read of a workbook, as text; without it, the only visible one is read",
    },
    "member": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LENGTH,
        "description": 'a pattern of the members to load of a ZIP or TAR archive, such as "sales_*.csv" or '
        '"2026/*/sales.csv"; with a slash it is of the whole path, else of the last part; without it, all are loaded',
    },
    "recordPath": {**PATH_SCHEMA, "description": "the path of the records in a JSON document, as response.stations"},
    "keyColumn": {
        "type": "string",
        "minLength": 1,
        "description": "the column that receives the key of each record of a JSON object of records",
    },
}


@dataclass(frozen=True)
class Dialect:
    """How a file is written, as far as its content does not say it.

    Without `has_header`, the names of the columns are `header`, or those of the contract if that is empty. `quote` is
    empty if no field has quotes.
    `record_path` leads to the records of a JSON document. `key_column` receives the keys of records that are the
    members of one object. `sheet` is the one that is read of a workbook. `member` is a file pattern of the members that
    are loaded of an archive.
    """

    record_path: str | None = None
    key_column: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    has_header: bool = True
    header: tuple[str, ...] = ()
    skip_lines: int = 0
    footer_lines: int = 0
    comment: str | None = None
    decimal: str = "."
    thousands: str | None = None
    trailing_minus: bool = False
    null_values: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    sheet: str | None = None
    member: str | None = None

    @property
    def numbers(self) -> NumberFormat:
        """How the cells of a text table write numbers."""
        return NumberFormat(self.decimal, self.thousands, self.trailing_minus)

    @property
    def record_steps(self) -> tuple[str, ...]:
        """The steps of the record path; none without one."""
        return path_steps(self.record_path) if self.record_path is not None else ()

    @property
    def options(self) -> dict[str, Any]:
        """The options that differ from their defaults, by their names in a contract."""
        usual = Dialect()
        names = [field.name for field in fields(self) if field.name not in {"has_header", "header"}]
        found = {_option(name): getattr(self, name) for name in names if getattr(self, name) != getattr(usual, name)}
        return found if self.has_header else {**found, "header": list(self.header) or False}

    @property
    def has_documents(self) -> bool:
        """Whether JSON files are documents with the records inside, however their lines are."""
        return self.record_path is not None or self.key_column is not None


def _option(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def read_dialect(value: object, path: str, findings: Findings) -> Dialect:
    """The dialect of a contract: the value of the custom property, checked; problems are added to `findings`.

    Args:
        value: what the contract has.
        path: where it stands in the contract, for messages.
        findings: receives every problem.
    """
    from jsonschema import Draft202012Validator  # slow to import

    if not isinstance(value, dict):
        findings.add(path, "not a mapping", f"write a mapping with {', '.join(OPTIONS)}")
        return Dialect()
    findings.unknown_keys(path, map(str, value), OPTIONS)
    good = {}
    for name, schema in OPTIONS.items():
        if name not in value:
            continue
        faults = list(Draft202012Validator(schema).iter_errors(value[name]))
        for fault in faults[:1]:
            findings.add(f"{path}.{name}", fault.message[:200], f"write {schema['description']}")
        if not faults:
            good[name] = value[name]
    dialect = _compiled(good, path, findings)
    _check_signs(dialect, path, findings)
    _check_words(dialect, path, findings)
    if dialect.member is not None and (fault := pattern_fault(dialect.member)):
        findings.add(f"{path}.member", f"'{dialect.member}' {fault}", f"write {OPTIONS['member']['description']}")
    return dialect


def _compiled(given: dict[str, Any], path: str, findings: Findings) -> Dialect:
    encoding = given.get("encoding")
    if encoding is not None and (encoding := encoding_named(encoding)) is None:
        what = f"'{given['encoding']}' is not a character encoding that can be declared"
        findings.add(f"{path}.encoding", what, f"write {OPTIONS['encoding']['description']}")
    header = given.get("header", True)
    return Dialect(
        encoding=encoding,
        delimiter=given.get("delimiter"),
        quote=given.get("quote", '"') or "",
        escape=given.get("escape"),
        has_header=header is True,
        header=tuple(header) if isinstance(header, list) else (),
        skip_lines=int(given.get("skipLines", 0)),
        footer_lines=int(given.get("footerLines", 0)),
        comment=given.get("comment"),
        decimal=given.get("decimal", "."),
        thousands=given.get("thousands"),
        trailing_minus=given.get("trailingMinus", False),
        null_values=tuple(given.get("nullValues", ())),
        true_values=tuple(given.get("trueValues", ())),
        false_values=tuple(given.get("falseValues", ())),
        record_path=given.get("recordPath"),
        key_column=given.get("keyColumn"),
        sheet=given.get("sheet"),
        member=given.get("member"),
    )


def _check_signs(dialect: Dialect, path: str, findings: Findings) -> None:
    """Each character has one meaning."""
    meanings = {"delimiter": dialect.delimiter, "quote": dialect.quote, "escape": dialect.escape}
    given = {name: sign for name, sign in meanings.items() if sign}
    for name, sign in given.items():
        if sign.isalnum():
            findings.add(f"{path}.{name}", f"'{sign}' is a letter or a digit", "write a character that no name has")
        earlier = next((other for other in given if given[other] == sign), name)
        if earlier != name:
            remedy = "change one"
            if name == "escape":
                remedy = "leave the escape out: two quotes inside quotes are always read as one"
            findings.add(f"{path}.{name}", f"'{sign}' is the {earlier} too", remedy)
    if dialect.comment and dialect.comment[0] in given.values():
        findings.add(f"{path}.comment", f"'{dialect.comment}' begins with a sign of fields", "change one")
    if dialect.decimal == dialect.thousands:
        remedy = 'write decimal: "," too, or another separator' if dialect.decimal == "." else "change one"
        findings.add(f"{path}.thousands", f"'{dialect.decimal}' is the decimal mark too", remedy)
    if len(set(dialect.header)) < len(dialect.header):
        findings.add(f"{path}.header", "a name is in the list more than once", "give each column a name of its own")
    if any("\0" in name for name in dialect.header):
        findings.add(f"{path}.header", "a name holds a NUL character", "remove it")


def _check_words(dialect: Dialect, path: str, findings: Findings) -> None:
    """No word means both true and false, and none has blanks at its ends, which cells lose."""
    true, false = ({word.lower() for word in words} for words in (dialect.true_values, dialect.false_values))
    for name, own, others in (
        ("trueValues", dialect.true_values, false.union(FALSE_WORDS)),
        ("falseValues", dialect.false_values, true.union(TRUE_WORDS)),
    ):
        for word in own:
            if word.lower() in others:
                other = "false" if name == "trueValues" else "true"
                findings.add(f"{path}.{name}", f"'{word}' means {other} already", "remove it")
            if word != word.strip(" \t\r\n"):
                findings.add(f"{path}.{name}", f"'{word}' has blanks at its ends", "remove them")


def check_header(dialect: Dialect, columns: tuple[Column, ...], findings: Findings) -> None:
    """A list of names must have each required column, by its name or its source name."""
    from include.contracts.source_names import SourceNames  # it reads columns, whose model has a dialect

    if not dialect.header:
        return
    names = SourceNames.of(columns)
    found = {names.column_of(name) for name in dialect.header}
    missing = [column.name for column in columns if column.required and column.is_sent and column.name not in found]
    if missing:
        remedy = "add them, in the order of the file; a column's sourceName may be its word"
        findings.add("customProperties.dialect.header", f"the list lacks {', '.join(missing[:10])}", remedy)
