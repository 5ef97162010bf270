"""Drafts a contract from a sample file: YAML with comments on what to review.

What belongs here: what a draft proposes and how it is written. What does not: analysing the sample (`profile`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from include.contracts.problems import ContractError, Problem
from include.contracts.profile import ColumnProfile, Profile, profile_sample
from include.contracts.reader import DATASET_NAME
from include.contracts.reserved import RESERVED_DATASETS

if TYPE_CHECKING:
    from pathlib import Path

_NEWEST = re.compile(r"(updat|modif|chang|version|edited)")
_ENDINGS = ("csv", "csv.gz", "csv.zst", "tsv", "json", "ndjson", "jsonl", "parquet")


def draft_contract(sample: Path, dataset: str) -> str:
    """The YAML of a contract that the sample satisfies.

    Raises:
        ContractError: the sample cannot be read, or the dataset's name is not allowed.
    """
    if DATASET_NAME.fullmatch(dataset) is None:
        remedy = "use lower-case letters, digits and _, starting with a letter, at most 50 characters"
        raise ContractError.of(sample, [Problem("NAME", f"'{dataset}' is no dataset name", remedy)])
    if dataset in RESERVED_DATASETS:
        what = f"the name '{dataset}' is reserved: {RESERVED_DATASETS[dataset]}"
        raise ContractError.of(sample, [Problem("NAME", what, f"choose another name, such as {dataset}_data")])
    profile = profile_sample(sample)
    key, doubt = _key(sample, profile)
    newest = _newest(profile)
    lines = _head(sample, dataset, profile, newest)
    if doubt:
        lines.append(f"    # REVIEW the key: {doubt}")
    lines.append("    properties:")
    for column in profile.columns:
        position = key.index(column.name) + 1 if column.name in key else 0
        lines += _property(column, position if len(key) > 1 else bool(position))
    lines += [
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
    ]
    return "\n".join(lines) + "\n"


def _key(sample: Path, profile: Profile) -> tuple[tuple[str, ...], str]:
    """The key to propose, and why it may be wrong. The key is empty if no column looks like one."""
    if profile.key:
        return profile.key, "unique in this sample; is it unique for ever?"
    if all(column.has_nulls for column in profile.columns):
        problem = Problem("", "no column has a value in every row, so none can be a key", "give a sample with a key")
        raise ContractError.of(sample, [problem])
    able = [column for column in profile.columns if column.may_be_key]
    if not able:
        return (), "no column looks like one; mark what identifies a row with primaryKey: true and required: true"
    best = max(able, key=lambda column: column.distinct)
    return (best.name,), f"nothing is unique in this sample; rows that share {best.name} replace each other"


def _newest(profile: Profile) -> str | None:
    """The column that most likely orders versions of a row: by its name, or the only time column without gaps."""
    able = [column for column in profile.columns if column.type.is_temporal and not column.has_nulls]
    for column in sorted(able, key=lambda column: (column.type.has_zone, column.type.has_time), reverse=True):
        if _NEWEST.search(column.name):
            return column.name
    moments = [column for column in able if column.type.has_time]
    return moments[0].name if len(moments) == 1 else None


def _head(sample: Path, dataset: str, profile: Profile, newest: str | None) -> list[str]:
    title = dataset.replace("_", " ").capitalize()
    patterns = ", ".join(_text(f"{dataset}*.{ending}") for ending in _ENDINGS)
    if newest is not None:
        newest_lines = [f"      newestBy: {newest}  # REVIEW of rows with the same key the latest value wins"]
    else:
        newest_lines = [
            "      # REVIEW newestBy: updated_at  (which column says that a row is newer? without, the last file wins)"
        ]
    return [
        f"# Drafted from {_comment(sample.name)}: {profile.rows:,} rows, {len(profile.columns)} columns.",
        "# Every line with REVIEW is a guess: confirm or correct it, then delete the comment.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {dataset}",
        f"name: {_text(title)}",
        "version: 1.0.0",
        "status: draft  # no DAG until it is: active",
        "description:",
        "  purpose: TODO say what this data is for.  # REVIEW",
        "team:",
        "  name: TODO  # REVIEW who answers for this data?",
        "customProperties:",
        "  - property: ingestion",
        "    value:",
        *newest_lines,
        f"      filePatterns: [{patterns}]",
        "      unknownColumns: rescue  # or reject, ignore, evolve",
        "      errorBudget: {rows: 0, share: 0}  # one bad row quarantines its file; 0.01 allows one in 100",
        "schema:",
        f"  - name: {dataset}",
        "    physicalType: table",
        f"    description: TODO one row of {dataset} is ...  # REVIEW",
    ]


def _property(column: ColumnProfile, key: int | bool) -> list[str]:  # noqa: FBT001 - the position in the key, or whether it is one
    logical = column.type.logical[0]
    physical = column.type.physical[0] + (f"({column.precision},{column.scale})" if column.type.has_scale else "")
    called = "" if column.name == column.source_name else f" (in the file: {column.source_name})"
    lines = [
        f"      - name: {column.name}",
        f"        description: {_text(f'TODO{called}')}  # REVIEW",
        f"        logicalType: {logical}" + ("  # REVIEW every value of the sample fits" if column.is_guessed else ""),
        f"        physicalType: {physical}" + ("  # REVIEW is that wide enough?" if "(" in physical else ""),
    ]
    if key:
        lines.append("        primaryKey: true  # REVIEW")
    if key and not isinstance(key, bool):
        lines.append(f"        primaryKeyPosition: {key}")
    if not column.has_nulls:
        lines.append("        required: true" + ("" if key else "  # REVIEW no gaps in the sample"))
    if column.type.is_text and column.longest:
        lines.append(f"        # REVIEW logicalTypeOptions: {{maxLength: ...}}  (longest here: {column.longest})")
    lines += [f"        # REVIEW {_comment(note)}" for note in column.notes]
    if column.few_values and not key:
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
    if column.type.is_text:
        lines += ["        customProperties:", "          - {property: cleaning, value: [trim]}"]
    elif column.formats:
        forms = ", ".join(map(_text, column.formats))
        lines += ["        customProperties:", f"          - {{property: formats, value: [{forms}]}}  # REVIEW"]
    return lines


def _text(value: str) -> str:
    """A YAML text, quoted as in JSON: safe for any content."""
    return json.dumps(value, ensure_ascii=True)


def _comment(value: str) -> str:
    """Text on one line, for a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
