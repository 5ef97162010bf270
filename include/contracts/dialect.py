"""The custom property `dialect`: how the files of a dataset are written.

What belongs here: every option of the block, with its JSON Schema, which `docs/contracts.md` describes. What does not:
reading files (`include.ingestion.readers`), and options of a column (`columns`). All options are optional; a contract
without the block reads files as one with an empty block does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.contracts.problems import Findings

# Each option by its name in the contract: its JSON Schema, whose `description` is what a message says about it.
OPTIONS: dict[str, dict[str, Any]] = {
    "sheet": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "the name of the sheet to read of a workbook, as text; without it, the only visible one is read",
    },
}


@dataclass(frozen=True)
class Dialect:
    """How a file is written, as far as its content does not say it."""

    sheet: str | None = None


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
    return _compiled(good)


def _compiled(options: dict[str, Any]) -> Dialect:
    return Dialect(sheet=options.get("sheet"))
