"""The custom property `dialect`: how the files of a dataset are written.

What belongs here: every option of the block, with its JSON Schema, which `docs/contracts.md` describes. What does not:
reading files (`include.ingestion.readers`), and options of a column (`columns`). All options are optional; a contract
without the block reads files as one with an empty block does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.contracts.paths import PATH_SCHEMA, path_steps

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

    `record_path` leads to the records of a JSON document. `key_column` receives the keys of records that are the
    members of one object. `sheet` is the one that is read of a workbook.
    """

    record_path: str | None = None
    key_column: str | None = None
    sheet: str | None = None

    @property
    def record_steps(self) -> tuple[str, ...]:
        """The steps of the record path; none without one."""
        return path_steps(self.record_path) if self.record_path is not None else ()

    @property
    def has_documents(self) -> bool:
        """Whether JSON files are documents with the records inside, however their lines are."""
        return self.record_path is not None or self.key_column is not None


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
    return Dialect(
        record_path=options.get("recordPath"), key_column=options.get("keyColumn"), sheet=options.get("sheet")
    )
