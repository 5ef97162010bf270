"""Reads a contract's YAML and validates it with the standard's JSON Schema.

What belongs here: the YAML of a contract and its structure. What does not: the meaning of values (`reader`).
YAML is read by the 1.2 core rules, so that `NO` is a country and `2026-01-31` a text. Tags, anchors and duplicate keys
are refused, so no document can be larger than its file.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema
import yaml

from include.contracts.problems import ContractError, Findings, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jsonschema.exceptions import ValidationError

MAX_DEPTH = 32
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


class _Loader(yaml.CSafeLoader):
    """CSafeLoader with YAML 1.2 scalars only and without duplicate keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key must be a plain word"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if key.value in seen:
                problem = f"the key '{key.value}' appears twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789"),
)


def read_document(path: Path, content: bytes) -> tuple[dict[str, Any], Findings]:
    """Read the YAML document of a contract file, and the problems that the standard's JSON Schema finds in it.

    Args:
        path: the file, for messages.
        content: its bytes, see `read_content`.

    Raises:
        ContractError: the content cannot be read as a YAML mapping at all.
    """
    try:
        document = _parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _refusal(path, f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _refusal(path, error.problem or "not YAML", "correct the YAML there", where) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _refusal(path, f"not readable as YAML: {reason}", "correct the YAML") from error
    if not isinstance(document, dict):
        raise _refusal(path, "not a mapping of keys to values", "start from `filegate contract draft`")
    findings = Findings()
    for fault in _validator().iter_errors(document):
        for problem in _problems(fault):
            findings.add(problem.path, problem.what, problem.remedy)
    return document, findings


def _parse(text: str) -> object:
    _refuse_dangerous(text)
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _refuse_dangerous(text: str) -> None:
    """Check the parser's events first: composing nodes recurses in C, and aliases can multiply the document."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        what = None
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = "anchors (&name) and aliases (*name) are not allowed"
        elif tag:
            what = f"tags are not allowed, here {tag}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            what = f"nested deeper than {MAX_DEPTH} levels"
        if what:
            raise yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)  # type: ignore[arg-type]


def _refusal(path: Path, what: str, remedy: str, where: str = "") -> ContractError:
    return ContractError.of(path, [Problem(where, what, remedy)])


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
            yield Problem(path, f"{_shown(instance)} is not known", nearest(instance, map(str, wanted)))
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            yield Problem(path, f"{_shown(instance)} has the wrong type", f"give {' or '.join(map(str, kinds))}")
        case "oneOf" if path.endswith("]") and ".quality[" in path:
            yield Problem(
                path, "needs exactly one operator", "add one of mustBe, mustBeGreaterThan, mustBeBetween, ..."
            )
        case _:
            yield Problem(path, error.message[:300], "follow the Open Data Contract Standard v3.1 here")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
