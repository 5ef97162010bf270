"""The mutants of a module: mutmut's operators and two more (SQL conditions, removed calls), less excluded code.

Only code inside functions is changed: constants of a module, default values and annotations are evaluated at import,
before any test. These are excluded, because the change is equivalent or no test should depend on it:

- log calls, assertions for the type checker, `cast`, docstrings
- wording: literals that are a sentence or a part of one
- the letter case of codec names and of SQL, `strict=` of zip, `encoding=`
- names of scratch files
- settings that affect speed only, see `_ONLY_SPEED`
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_string

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODEC = re.compile(r"(utf-?(8|16|32)([-_](sig|le|be))?|ascii|latin-?1|cp\d+)", re.IGNORECASE)
_SQL = re.compile(
    r"\b(SELECT|FROM|WHERE|AND|OR|NOT|NULL|CASE|WHEN|THEN|ELSE|END|AS|IN|ORDER|COPY|INSERT|SET|TABLE|LIMIT|ON|VALUES)\b"
)
_SCRATCH = re.compile(r"\w+\.(parquet|arrow|tmp)")
_LOGS = {"log", "logger", "_log"}
_ONLY_SPEED = {
    "max_workers",
    "row_group_size",
    "thread_name_prefix",
    "indent",
    "buffer_size",
    "chunk_size",
    "stacklevel",
    "daemon",
}
_UNCHANGED_NAMES = {"strict", "encoding"} | _ONLY_SPEED
# Changes of conditions in SQL: from, to.
_SQL_SWAPS = (
    (" AND ", " OR "),
    (" OR ", " AND "),
    ("IS NOT NULL", "IS NULL"),
    (" IS NULL", " IS NOT NULL"),
    (" < ", " <= "),
    (" > ", " >= "),
    (" <= ", " < "),
    (" >= ", " > "),
    (" = ", " <> "),
    (" <> ", " = "),
    ("NOT ", ""),
    (" NOT IN ", " IN "),
    (", false)", ", true)"),
    (", true)", ", false)"),
    (" ASC", " DESC"),
    (" DESC", " ASC"),
)


# Part of every key: after a change of these rules, results of earlier runs are not used.
_RULES = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Mutant:
    """One change in one function."""

    module: str
    function: str
    lines: tuple[int, int]  # the statement that was changed, first and last
    key: str  # unique for the change, the module's source and the rules
    tree: cst.Module = field(repr=False)
    old: cst.CSTNode = field(repr=False)
    new: cst.CSTNode = field(repr=False)

    def source(self) -> str:
        """Return the whole module with the change."""
        body = list(self.tree.body)
        for at, statement in enumerate(body):
            replacement = _Replacement(self.old, self.new)
            changed = statement.visit(replacement)
            if replacement.is_done:
                body[at] = cast("cst.SimpleStatementLine | cst.BaseCompoundStatement", changed)
                return self.tree.with_changes(body=body).code
        raise ValueError(f"{self.module}: the node is not in its tree")


class _Collector(cst.CSTVisitor):
    """Walks a module and collects pairs of a node and its replacement."""

    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self) -> None:
        self.changes: list[tuple[cst.CSTNode, cst.CSTNode, str, tuple[int, int]]] = []
        self._names: list[str] = []
        self._functions = 0

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:  # noqa: N802 - libcst's names
        self._names.append(node.name.value)
        return True

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:  # noqa: ARG002, N802
        self._names.pop()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:  # noqa: N802
        # The body only: decorators, defaults and annotations are not changed.
        self._names.append(node.name.value)
        self._functions += 1
        node.body.visit(self)
        self._functions -= 1
        self._names.pop()
        return False

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Assert) or _is_excluded(node):
            return False
        if self._functions:
            self._change(node)
        return super().on_visit(node)

    def _change(self, node: cst.CSTNode) -> None:
        for changed in _changes(node):
            self.changes.append((node, changed, ".".join(self._names), self._statement(node)))

    def _statement(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return the lines of the simple statement around a node, or of the node in the head of a compound one."""
        own = self.get_metadata(PositionProvider, node, None)
        at: cst.CSTNode = node
        while not isinstance(at, cst.SimpleStatementLine | cst.BaseCompoundStatement | cst.Module):
            at = self.get_metadata(ParentNodeProvider, at)
        around = self.get_metadata(PositionProvider, at)
        if isinstance(at, cst.SimpleStatementLine):
            return around.start.line, around.end.line
        first = own.start.line if own else around.start.line
        return min(around.start.line, first), max(around.start.line, first)


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if not isinstance(node, kind):
            continue
        if operator is operator_string:
            yield from _changed_text(node)
        elif operator is operator_arg_removal:
            yield from _fewer_arguments(node)
        else:
            yield from operator(node)
    if isinstance(node, cst.SimpleString | cst.FormattedStringText):
        yield from _changed_conditions(node)
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.Call):
        yield cst.Pass()


def _changed_text(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if not isinstance(node, cst.SimpleString) or " " in node.raw_value.strip():
        return  # wording, or SQL, whose conditions are changed below
    if _SCRATCH.fullmatch(node.raw_value):
        return
    caseless = _CODEC.fullmatch(node.raw_value) or _SQL.fullmatch(node.raw_value.strip())
    for changed in operator_string(node):
        if not caseless or "XX" in getattr(changed, "value", ""):
            yield changed


def _fewer_arguments(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Apply mutmut's operator that removes arguments, but not to wording and arguments without effect on results."""
    if not isinstance(node, cst.Call):
        return
    for changed in operator_arg_removal(node):
        kept = {id(arg) for arg in changed.args}
        removed = [arg for arg in node.args if id(arg) not in kept]
        if not any(_is_without_effect(arg) for arg in removed):
            yield changed


def _is_without_effect(arg: cst.Arg) -> bool:
    return (arg.keyword is not None and arg.keyword.value in _UNCHANGED_NAMES) or _is_wording(arg.value)


def _is_wording(node: cst.CSTNode) -> bool:
    """Whether an expression is a text for readers."""
    match node:
        case cst.SimpleString():
            return " " in node.raw_value.strip() and not _SQL.search(node.raw_value)
        case cst.ConcatenatedString():
            return _is_wording(node.left) and _is_wording(node.right)
        case cst.FormattedString():
            texts = "".join(part.value for part in node.parts if isinstance(part, cst.FormattedStringText))
            return " " in texts.strip() and not _SQL.search(texts)
    return False


def _changed_conditions(node: cst.SimpleString | cst.FormattedStringText) -> Iterator[cst.CSTNode]:
    if not _SQL.search(node.value) and "NOT " not in node.value:
        return
    for found, other in _SQL_SWAPS:
        for match in re.finditer(re.escape(found), node.value):
            yield node.with_changes(value=node.value[: match.start()] + other + node.value[match.end() :])


def _is_excluded(node: cst.CSTNode) -> bool:
    match node:
        case cst.Expr(value=cst.Call() as call):
            return _is_excluded(call)
        case cst.Arg(keyword=cst.Name(value=name)) if name in _UNCHANGED_NAMES:
            return True
        case cst.Call(func=cst.Attribute(value=cst.Name(value=name))):
            return name in _LOGS
        case cst.Call(func=cst.Name(value=name)):
            return name in {"cast", "isinstance", "len"}
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
    return False


class _Replacement(cst.CSTTransformer):
    def __init__(self, old: cst.CSTNode, new: cst.CSTNode) -> None:
        self._old, self._new = old, new
        self.is_done = False

    def on_visit(self, node: cst.CSTNode) -> bool:
        return not self.is_done and node is not self._old

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        if original_node is not self._old:
            return updated_node
        self.is_done = True
        return self._new


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Return all mutants of a module's source, in its order. Not all of them can be compiled."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    collector = _Collector()
    wrapper.visit(collector)
    return [
        Mutant(module, function, lines, _key(module, source, number), wrapper.module, old, new)
        for number, (old, new, function, lines) in enumerate(collector.changes)
    ]


def _key(module: str, source: str, number: int) -> str:
    return hashlib.sha256(f"{_RULES}\0{module}\0{source}\0{number}".encode()).hexdigest()[:24]
