"""Reads a contract's YAML and validates it with the standard's JSON Schema.

What belongs here: the structure of a contract. What does not: how YAML is read (`safe_yaml`), and the meaning of values
(`reader`).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema

from include.contracts.problems import ContractError, Findings, Problem, UnusableFileError, nearest, shown
from include.contracts.safe_yaml import read_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jsonschema.exceptions import ValidationError

_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


def read_document(path: Path, content: bytes) -> tuple[dict[str, Any], Findings]:
    """Read the YAML document of a contract file, and the problems that the standard's JSON Schema finds in it.

    Args:
        path: the file, for messages.
        content: its bytes, see `read_content`.

    Raises:
        ContractError: the content cannot be read as a YAML mapping at all.
    """
    try:
        document = read_mapping(content, "start from `filegate contract draft`")
    except UnusableFileError as error:
        raise ContractError.of(path, [error.problem]) from error
    findings = Findings()
    for fault in _validator().iter_errors(document):
        for problem in _problems(fault):
            findings.add(problem.path, problem.what, problem.remedy)
    return document, findings


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft201909Validator:
    """The standard's JSON Schema, from its package."""
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft201909Validator(schema)


@lru_cache(maxsize=1)
def _standard_keys() -> tuple[str, ...]:
    """Every key of the standard: candidates for a mistyped key."""

    def keys(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict):
                yield from properties
            for value in node.values():
                yield from keys(value)
        elif isinstance(node, list):
            for value in node:
                yield from keys(value)

    return tuple(sorted(set(keys(_validator().schema))))


def _problems(error: ValidationError) -> Iterator[Problem]:
    """Translate a JSON Schema error into problems; one problem for every unknown key."""
    path = error.json_path.removeprefix("$").removeprefix(".")
    instance: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties" if isinstance(instance, dict):
            named = _QUOTED.findall(error.message.partition("(")[2])
            for key in [name for name in named if name in instance] or sorted(map(str, instance)):
                yield Problem(f"{path}.{key}" if path else key, "unknown key", nearest(key, _standard_keys()))
        case "required":
            missing = [name for name in wanted if name not in instance]
            for name in missing:
                yield Problem(path, f"'{name}' is missing", f"add '{name}'")
        case "enum":
            yield Problem(path, f"{shown(instance)} is not known", nearest(instance, map(str, wanted)))
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            yield Problem(path, f"{shown(instance)} has the wrong type", f"give {' or '.join(map(str, kinds))}")
        case "oneOf" if path.endswith("]") and ".quality[" in path:
            yield Problem(
                path, "needs exactly one operator", "add one of mustBe, mustBeGreaterThan, mustBeBetween, ..."
            )
        case _:
            yield Problem(path, error.message[:300], "follow the Open Data Contract Standard v3.1 here")
