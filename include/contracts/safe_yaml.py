"""Reads YAML that a user wrote: by the 1.2 core rules, within limits.

What belongs here: text to values. What does not: opening the file (`content`), and what the values mean.
`NO` is a country and `2026-01-31` a text. Tags, anchors and duplicate keys are refused, so no document can be larger
than its file.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from include.contracts.problems import Problem, UnusableFileError

MAX_DEPTH = 32


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


class _TextLoader(_Loader):
    """Leaves each scalar the text that it is in the file."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's


def read_mapping(content: bytes, not_a_mapping: str, *, as_texts: bool = False) -> dict[str, Any]:
    """Read the mapping that a YAML document is.

    Args:
        content: the bytes of the file, see `read_plain_file`.
        not_a_mapping: the remedy if the document is something else.
        as_texts: numbers, true, false and null stay the texts that they are in the file.

    Raises:
        UnusableFileError: the content cannot be read as a YAML mapping at all.
    """
    try:
        document = _parsed(content.decode("utf-8-sig"), _TextLoader if as_texts else _Loader)
    except UnicodeDecodeError as error:
        problem = Problem("", f"not UTF-8 at byte {error.start}", "save the file as UTF-8")
        raise UnusableFileError(problem) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = Problem(where, error.problem or "not YAML", "correct the YAML there")
        raise UnusableFileError(problem) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnusableFileError(Problem("", f"not readable as YAML: {reason}", "correct the YAML")) from error
    if not isinstance(document, dict):
        raise UnusableFileError(Problem("", "not a mapping of keys to values", not_a_mapping))
    return document


def _parsed(text: str, kind: type[_Loader]) -> object:
    _refuse_dangerous(text)
    loader = kind(text)
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
