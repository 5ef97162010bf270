"""Writes a drafted contract: YAML in which every guess is marked REVIEW, with its evidence.

What belongs here: the text. What does not: what is guessed (`sample`), whether the file loads with it (`draft`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.contracts.model import APPEND_KEY
from include.ingestion.records import FileFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.ingestion.drafting.profile import ColumnProfile
    from include.ingestion.drafting.sample import Profile

_NEWEST = re.compile(r"(updat|modif|chang|version|edited|geaendert|aenderung)")
_COMPRESSED = ("", ".gz", ".zst", ".bz2", ".xz")
_TEXTS = ("csv", "tsv", "txt")
_JSONS = ("json", "ndjson", "jsonl")
_LONGEST_COMMENT = 300


@dataclass(frozen=True)
class Budget:
    """How many rows of the sample are refused with the draft, of how many, and the first reason."""

    rows: int = 0
    read: int = 0
    reason: str = ""


def contract_text(dataset: str, sample_name: str, profile: Profile, budget: Budget) -> str:
    """The YAML of the contract."""
    newest = None if not profile.key.columns else _newest(profile.columns)
    lines = [
        f"# Drafted from {_comment(sample_name)}: {profile.structure.layout}, {profile.rows:,} rows, "
        f"{len(profile.columns)} columns.",
        *opening_lines(dataset),
        *_key_lines(profile, newest),
        f"      filePatterns: [{', '.join(_patterns(dataset, sample_name, profile))}]",
        "      unknownColumns: rescue  # or reject, ignore, evolve",
        _budget_line(budget),
        *_dialect_lines(profile),
        *(f"# REVIEW {_comment(note)}" for note in profile.structure.notes),
        "schema:",
        f"  - name: {dataset}",
        "    physicalType: table",
        f"    description: TODO one row of {dataset} is ...  # REVIEW",
        "    properties:",
    ]
    for column in profile.columns:
        lines += _property(column, profile)
    return "\n".join([*lines, *_QUALITY]) + "\n"


_QUALITY = (
    "    quality:",
    "      - name: not-empty",
    "        description: A file without rows is a failed export.",
    "        type: library",
    "        metric: rowCount",
    "        mustBeGreaterThan: 0",
    "        severity: critical",
    "      # REVIEW add what must hold within a row, for instance:",
    "      # - name: total-matches",
    "      #   description: total equals quantity * price within a cent.",
    "      #   type: custom",
    "      #   engine: rowRule",
    "      #   implementation: {expression: abs(total - quantity * price) <= 0.01, column: total}",
)


def _newest(columns: Sequence[ColumnProfile]) -> str | None:
    """The column that most likely orders versions of a row: by its name, or the only time column without gaps."""
    able = [column for column in columns if column.type.is_temporal and not column.has_nulls]
    for column in sorted(able, key=lambda column: (column.type.has_zone, column.type.has_time), reverse=True):
        if _NEWEST.search(column.name):
            return column.name
    moments = [column for column in able if column.type.has_time]
    return moments[0].name if len(moments) == 1 else None


def opening_lines(dataset: str) -> list[str]:
    """The lines of each drafted contract, from the second one to where the options of the ingestion begin."""
    return [
        "# Every line with REVIEW is a guess: confirm or correct it, then delete the comment.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {dataset}",
        f"name: {_text(dataset.replace('_', ' ').capitalize())}",
        "version: 1.0.0",
        "status: draft  # no DAG until it is: active",
        "description:",
        "  purpose: TODO say what this data is for.  # REVIEW",
        "team:",
        "  name: TODO  # REVIEW who answers for this data?",
        "customProperties:",
        "  - property: ingestion",
        "    value:",
    ]


def _key_lines(profile: Profile, newest: str | None) -> list[str]:
    if not profile.key.columns:
        return [
            f"      key: [{', '.join(APPEND_KEY)}]  # REVIEW {_comment(profile.key.reason)}",
            "      # or mark what identifies a row with primaryKey: true and required: true, and remove the line key",
        ]
    if newest is not None:
        return [f"      newestBy: {newest}  # REVIEW of rows with the same key the latest value wins"]
    return ["      # REVIEW newestBy: updated_at  (which column says that a row is newer? without, the last file wins)"]


def _patterns(dataset: str, sample_name: str, profile: Profile) -> list[str]:
    """Names of the dataset's files: of the sample's format, and of the texts that hold the same."""
    kind = profile.structure.layout.format
    endings = [".".join(sample_name.lower().split(".")[1:])]
    match kind:
        case FileFormat.CSV:
            endings += [f"{ending}{more}" for ending in _TEXTS for more in _COMPRESSED[:3]]
        case FileFormat.JSON | FileFormat.NDJSON:
            endings += [f"{ending}{more}" for ending in _JSONS for more in _COMPRESSED[:2]]
        case _:
            endings.append(kind.value)
    if not profile.structure.guesses:
        endings += ["csv", "csv.gz", "tsv", "json", "ndjson", "jsonl", "parquet"]
    good = [ending for ending in endings if re.fullmatch(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,5})?", ending)]
    return [_text(f"{dataset}*.{ending}") for ending in dict.fromkeys(good)]


def _budget_line(budget: Budget) -> str:
    if not budget.rows:
        return "      errorBudget: {rows: 0, share: 0}  # one bad row quarantines its file; 0.01 allows one in 100"
    evidence = f"{budget.rows:,} of {budget.read:,} rows of the sample are refused: {budget.reason}"
    return f"      errorBudget: {{rows: {budget.rows}, share: 0}}  # REVIEW {_comment(evidence)}"


def _dialect_lines(profile: Profile) -> list[str]:
    guesses = profile.structure.guesses
    if not guesses:
        return []
    lines = ["  - property: dialect", "    value:"]
    for name, guess in guesses.items():
        lines.append(f"      {name}: {_value(guess.value)}  # REVIEW {_comment(guess.evidence)}")
    return lines


def _property(column: ColumnProfile, profile: Profile) -> list[str]:
    key = profile.key.columns
    logical = column.type.logical[0]
    physical = column.type.physical[0] + (f"({column.precision},{column.scale})" if column.type.has_scale else "")
    source = column.column.source
    words = source.path or source.header
    called = "" if column.name == words or source.is_key else f" (in the file: {words})"
    lines = [
        f"      - name: {column.name}",
        f"        description: {_text(f'TODO{called}')}  # REVIEW",
        f"        logicalType: {logical}  # REVIEW {_comment(column.evidence)}",
        f"        physicalType: {physical}" + ("  # REVIEW is that wide enough?" if "(" in physical else ""),
    ]
    if column.name in key:
        lines.append(f"        primaryKey: true  # REVIEW {_comment(profile.key.reason)}")
        if len(key) > 1:
            lines.append(f"        primaryKeyPosition: {key.index(column.name) + 1}")
    if not column.has_nulls:
        lines.append("        required: true" + ("" if column.name in key else "  # REVIEW no gaps in the sample"))
    lines += [f"        # REVIEW {_comment(note)}" for note in column.notes]
    if column.few_values and column.name not in key:
        values = ", ".join(map(_text, column.few_values))
        lines += [
            "        # REVIEW only these values occur; make it a rule?",
            "        # quality:",
            "        #   - {type: library, metric: invalidValues, mustBe: 0, arguments: {validValues: ["
            + values
            + "]}}",
        ]
    if column.examples and not column.type.is_document:
        lines.append(f"        examples: [{', '.join(map(_text, column.examples))}]")
    customs = _customs(column)
    return [*lines, "        customProperties:", *customs] if customs else lines


def _customs(column: ColumnProfile) -> list[str]:
    lines = []
    if column.column.source_name is not None:
        lines.append(f"          - {{property: sourceName, value: {_text(column.column.source_name)}}}")
    if (path := column.column.source.path) is not None:
        lines.append(f"          - {{property: path, value: {_text(path)}}}  # REVIEW found in the records")
    if column.type.is_text:
        lines.append("          - {property: cleaning, value: [trim]}")
    elif column.formats:
        forms = ", ".join(map(_text, column.formats))
        fits = f"all {column.values:,} values fit it"
        lines.append(f"          - {{property: formats, value: [{forms}]}}  # REVIEW {fits}")
    return lines


def _value(value: Any) -> str:
    """A text, number, list or flag as JSON, which is YAML; a character that cannot be seen is escaped."""
    written = json.dumps(value, ensure_ascii=False)
    return written if written.isprintable() else json.dumps(value, ensure_ascii=True)


def _text(value: str) -> str:
    """A YAML text, quoted as in JSON: safe for any content."""
    return _value(value)


def _comment(value: str) -> str:
    """Text on one line, for a comment."""
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return line if len(line) <= _LONGEST_COMMENT else line[: _LONGEST_COMMENT - 1] + "…"
