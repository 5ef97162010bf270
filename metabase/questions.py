"""Questions: one .sql file each, with a header that defines how the answer is shown.

What belongs here: reading and checking the files, and the two forms of their SQL, for PostgreSQL and for Metabase.
What does not: Metabase's settings for a chart (see `metabase.bodies`) and the report's (see `metabase.charts`).
metabase/README.md describes the files.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Collection

QUESTIONS_DIR = Path(__file__).parent / "questions"

_HEADER = re.compile(r"(?:--[^\n]*\n)+")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_FILTER_LINE = re.compile(r"^(?P<indent>\s*)(?P<condition>AND\s.+)$")
_OF_METABASE = ("{{", "}}", "[[", "]]")


class Chart(StrEnum):
    """How an answer is drawn. The names are Metabase's."""

    LINE = "line"
    AREA = "area"
    BAR = "bar"
    ROW = "row"
    PIE = "pie"
    SCALAR = "scalar"
    TABLE = "table"


class Format(StrEnum):
    """How a column's values are written."""

    TEXT = "text"
    DATE = "date"
    TIME = "time"
    INTEGER = "integer"
    AMOUNT = "amount"  # two decimals
    DECIMAL = "decimal"  # one decimal
    SHARE = "share"  # from 0 to 1, shown in percent


class FilterType(StrEnum):
    """The type of a filter's value."""

    DATE = "date"
    TEXT = "text"


class Column(BaseModel):
    """A column of the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(min_length=1)
    format: Format = Format.TEXT


class Question(BaseModel):
    """A question: its header, and its SQL in psycopg's form, without the header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str = Field(min_length=1)
    description: str | None = Field(None, min_length=1)
    chart: Chart
    x: str | None = Field(None, description="the column of the axis, or of the slices")
    y: tuple[str, ...] = Field((), description="the measured columns")
    series: str | None = Field(None, description="the column whose values each get a colour")
    stacked: bool = False
    columns: dict[str, Column] = Field(min_length=1, description="every column of the answer, in order")
    filters: dict[str, FilterType] = Field(default_factory=dict)
    sql: str = Field(min_length=1)

    @model_validator(mode="after")
    def _chart_has_its_columns(self) -> Self:
        used = {name for name in (self.x, self.series, *self.y) if name}
        if unknown := used - set(self.columns):
            raise ValueError(f"{_listed(unknown)}: not under columns")
        match self.chart:
            case Chart.TABLE:
                wrong = bool(used)
            case Chart.SCALAR:
                wrong = len(self.y) != 1 or bool(self.x or self.series)
            case Chart.PIE:
                wrong = len(self.y) != 1 or not self.x or bool(self.series)
            case _:
                wrong = not self.y or not self.x or (self.series is not None and len(self.y) != 1)
        if wrong:
            raise ValueError(
                f"a {self.chart} needs other columns: a table has no x, y and series, a scalar has one y, a pie x and "
                "one y, every other chart x and y, and with series one y"
            )
        if self.stacked and self.chart not in {Chart.AREA, Chart.BAR, Chart.ROW}:
            raise ValueError(f"a {self.chart} cannot be stacked")
        return self

    @model_validator(mode="after")
    def _filters_can_be_left_out(self) -> Self:
        if found := [sign for sign in _OF_METABASE if sign in self.sql]:
            raise ValueError(f"{_listed(found)}: write a filter as %(name)s; Metabase's signs are added by the reader")
        if "%" in _PLACEHOLDER.sub("", self.sql).replace("%%", ""):
            raise ValueError("write a % that is no placeholder as %%")
        if ";" in self.sql:
            raise ValueError("a question is one statement, without a semicolon")
        named: set[str] = set()
        for line in self.sql.splitlines():
            if names := set(_PLACEHOLDER.findall(line)):
                named |= names
                if not _FILTER_LINE.match(line) or len(names) > 1 or "--" in line:
                    raise ValueError(f"a filter must be on a separate line that begins with AND: {line.strip()}")
        if named != set(self.filters):
            raise ValueError(f"{_listed(named ^ set(self.filters))}: must be in the SQL and under filters")
        return self

    def for_metabase(self) -> str:
        """Return the SQL for Metabase: each filter is an optional clause with a variable of its name."""
        lines = []
        for line in self.sql.splitlines():
            written = _PLACEHOLDER.sub(r"{{\1}}", line).replace("%%", "%")
            if _PLACEHOLDER.search(line) and (found := _FILTER_LINE.match(written)):
                written = f"{found['indent']}[[{found['condition']}]]"
            lines.append(written)
        return "\n".join(lines)

    def for_postgres(self, given: Collection[str] = ()) -> bytes:
        """Return the SQL for psycopg, without the lines of filters that have no value."""
        lines = [line for line in self.sql.splitlines() if set(_PLACEHOLDER.findall(line)) <= set(given)]
        return "\n".join(lines).encode()


def read_questions(folder: Path = QUESTIONS_DIR) -> dict[str, Question]:
    """Return the questions of a folder by name, which is the file's name.

    Raises:
        PermanentError: a file is no valid question; the message has file and problem.
    """
    return {path.stem: read_question(path) for path in sorted(folder.glob("*.sql"))}


def read_question(path: Path) -> Question:
    """Return the question of a file. Raises what `read_questions` does."""
    text = path.read_text(encoding="utf-8")
    header = _HEADER.match(text)
    if header is None:
        raise refusal(path, "a question begins with a header: lines of -- title: …, -- chart: … and so on")
    try:
        settings = yaml.safe_load("\n".join(line[2:].removeprefix(" ") for line in header[0].splitlines()))
        if not isinstance(settings, dict):
            raise refusal(path, "the header is not a list of names and values")
        return Question.model_validate(settings | {"name": path.stem, "sql": text[header.end() :].strip()})
    except (yaml.YAMLError, ValidationError) as error:
        raise refusal(path, problem_of(error)) from error


def refusal(path: Path, problem: str) -> PermanentError:
    """Return the error about a file of a question or dashboard."""
    return PermanentError(Code.CONTRACT_INVALID, f"{path.parent.name}/{path.name}: {problem}")


def problem_of(error: yaml.YAMLError | ValidationError) -> str:
    """Return the problems of an error with their locations, on one line."""
    if isinstance(error, yaml.YAMLError):
        return " ".join(str(error).split())
    problems = (
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ").removeprefix("Value error, ")
        for one in error.errors(include_input=False, include_url=False)
    )
    return "; ".join(problems)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
