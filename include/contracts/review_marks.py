"""Finds what is still to be reviewed in a contract: comments with REVIEW or TODO, and texts with TODO.

What belongs here: where the marks are. What does not: the meaning of a contract (`reader`). A value of the sample, such
as the status TODO among the examples, is no mark.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_COMMENT = re.compile(r"#[ \t]*REVIEW\b|\bTODO\b")
_IN_TEXT = re.compile(r"\bTODO\b")
_TEXTS = frozenset({"description", "purpose", "limitations", "usage"})


def marked_lines(text: str) -> list[int]:
    """The lines of a contract that are still marked, counted from 1.

    Args:
        text: YAML without faults.
    """
    comments = list(text)
    found: set[int] = set()
    for path, node in _scalars(yaml.compose(text, Loader=yaml.CSafeLoader), ()):
        start, end = node.start_mark.index, node.end_mark.index
        if _is_written(path):
            found |= {start + match.start() for match in _IN_TEXT.finditer(text[start:end])}
        comments[start:end] = " " * (end - start)
    found |= {match.start() for match in _IN_COMMENT.finditer("".join(comments))}
    return sorted({text.count("\n", 0, at) + 1 for at in found})


def _is_written(path: tuple[str, ...]) -> bool:
    """Whether a user writes the text at a path of the contract."""
    return path[-1:] == ("name",) if path[:1] == ("team",) else not _TEXTS.isdisjoint(path[-1:])


def _scalars(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    """The scalars of a document with the keys above them, the keys themselves with a path of none."""
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                yield (), key
                yield from _scalars(value, (*path, key.value))
        case yaml.SequenceNode():
            for one in node.value:
                yield from _scalars(one, path)
        case yaml.ScalarNode():
            yield path, node
