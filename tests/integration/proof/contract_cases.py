"""Contracts of every shape: each type, bound, list, pattern, format, rule, key, budget and mode.

What belongs here: strategies for contracts. What does not: what is in the files (`file_cases`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialect_cases import with_dialect
from hypothesis import strategies as st

from include.contracts.dialect import Dialect
from include.contracts.model import (
    APPEND_KEY,
    Cleaning,
    Column,
    ColumnType,
    Contract,
    Deletes,
    ErrorBudget,
    Mode,
    OnDuplicate,
    RowRule,
    UnknownColumns,
)
from include.contracts.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = ("label", "unit_price", "note", "seen_at", "flag", "amount")
_KEY_TYPES = (ColumnType.TEXT, ColumnType.INTEGER, ColumnType.DATE, ColumnType.UUID, ColumnType.NUMBER,
              ColumnType.BOOLEAN, ColumnType.TIMESTAMPTZ)  # fmt: skip
_BOUNDS: dict[ColumnType, tuple[str, str]] = {
    ColumnType.INTEGER: ("-5", "10"),
    ColumnType.NUMBER: ("-20.5", "20"),
    ColumnType.FLOAT: ("-1.5", "1000000.25"),
    ColumnType.DATE: ("2000-01-01", "2099-12-31"),
    ColumnType.TIMESTAMP: ("1970-01-01T00:00:00", "2099-12-31T23:59:59"),
    ColumnType.TIMESTAMPTZ: ("1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z"),
}
_EARLIEST = {
    ColumnType.DATE: "0001-01-01",
    ColumnType.TIMESTAMP: "0001-01-01T00:00:00",
    ColumnType.TIMESTAMPTZ: "0001-01-01T00:00:00Z",
}
_RANGES = (("-32768", "32767"), ("-2147483648", "2147483647"))
_ALLOWED = {
    ColumnType.TEXT: ("North", "Ab1", "é"),
    ColumnType.INTEGER: ("1", "5", "-3"),
}
_DAYS = (("%d.%m.%Y",), ("%d.%m.%y",), ("%d.%m.%Y", "%d.%m.%y"), ("%m/%d/%y", "%d/%m/%y"), ("%y%m%d",), ("%Y%m%d",))
_TIMES = (
    ("%d/%m/%Y %H:%M",), ("%d/%m/%y %H:%M",), ("%d/%m/%Y %H:%M", "%d/%m/%y %H:%M:%S"), ("%y%m%d%H%M",),
    ("epoch-seconds",), ("epoch-milliseconds",), ("%y%m%d%H%M", "epoch-seconds", "epoch-milliseconds"),
    ("epoch-milliseconds", "%d/%m/%Y %H:%M", "%y%m%d%H%M"),
)  # fmt: skip
_FORMATS = {ColumnType.DATE: _DAYS, ColumnType.TIMESTAMP: _TIMES, ColumnType.TIMESTAMPTZ: _TIMES}
_BUDGETS = st.sampled_from(
    [ErrorBudget(share=1.0)] * 4
    + [ErrorBudget(unlimited=True)]
    + [ErrorBudget(), ErrorBudget(rows=1), ErrorBudget(rows=3), ErrorBudget(share=0.5), ErrorBudget(rows=2, share=0.34)]
)


@st.composite
def columns(draw: st.DrawFn, name: str, kind: ColumnType | None = None) -> Column:
    """A column of any type, with some of the rules its type can have."""
    column = Column(name, kind or draw(st.sampled_from(list(TYPES.values()))), required=draw(st.integers(0, 3)) == 0)
    options: dict[str, Any] = {}
    if column.type is ColumnType.NUMBER:
        options["precision"], options["scale"] = draw(
            st.sampled_from([(10, 2), (5, 0), (38, 10), (38, 0), (18, 4), (3, 3)])
        )
    if draw(st.booleans()):
        options |= draw(_rules(column.type))
    if column.type is ColumnType.NUMBER and options["precision"] - options["scale"] < 2:
        for bound in ("minimum", "maximum", "allowed"):
            options.pop(bound, None)
    return replace(column, **options)


def _rules(kind: ColumnType) -> st.SearchStrategy[dict[str, Any]]:
    found: list[st.SearchStrategy[dict[str, Any]]] = [] if kind in _FORMATS else [st.just({})]
    if kind in _BOUNDS:
        low, high = _BOUNDS[kind]
        lows = [{}, {"minimum": low}, {"minimum": low, "exclusive_minimum": True}]
        if kind in _EARLIEST:
            lows.append({"minimum": _EARLIEST[kind]})
        lower = st.sampled_from(lows)
        upper = st.sampled_from([{}, {"maximum": high}, {"maximum": high, "exclusive_maximum": True}])
        formats = st.sampled_from([(), *_FORMATS[kind]] if kind in _FORMATS else [()])
        found.append(st.builds(lambda low, high, forms: low | high | forms, lower, upper,
                               formats.map(lambda forms: {"formats": forms} if forms else {})))  # fmt: skip
    if kind is ColumnType.INTEGER:
        found.append(st.sampled_from(_RANGES).map(lambda ends: {"minimum": ends[0], "maximum": ends[1]}))
    if kind is ColumnType.TEXT:
        steps = st.lists(st.sampled_from(Cleaning), max_size=3, unique=True).map(tuple)
        lengths = st.sampled_from([{}, {"min_length": 2}, {"max_length": 3}, {"min_length": 2, "max_length": 4}])
        patterns = st.sampled_from([{}, {"pattern": "[a-zé]+"}, {"pattern": ".*"}, {"pattern": r"\w{1,3}|North"}])
        found.append(st.builds(lambda clean, length, pattern: {"cleaning": clean} | length | pattern,
                               steps, lengths, patterns))  # fmt: skip
    if kind in _ALLOWED:
        found.append(st.just({"allowed": _ALLOWED[kind]}))
    return st.one_of(found)


@st.composite
def contracts(draw: st.DrawFn, *, has_folders: bool = False) -> Contract:
    """A contract with one to three key columns and up to six others; `has_folders` adds some that come from folders."""
    keys = [
        replace(draw(columns(f"key_{at}", draw(st.sampled_from(_KEY_TYPES)))), required=True)
        for at in range(draw(st.sampled_from([1, 1, 1, 2, 3])))
    ]
    others = [draw(columns(name)) for name in draw(st.lists(st.sampled_from(_NAMES), max_size=6, unique=True))]
    newest = draw(st.sampled_from([None, *(at for at, column in enumerate(others) if column.is_ordered)]))
    if newest is not None:
        others[newest] = replace(others[newest], required=True)
    folders = draw(_folder_columns()) if has_folders else []
    sent = _with_paths(draw, draw(st.permutations([*keys, *others])))
    contract = Contract(
        dataset="things",
        version="1.0.0",
        description="",
        columns=(*sent, *folders, *_derived(draw, sent)),
        key=tuple(column.name for column in (*keys, *folders) if column in keys or column.required),
        newest_by=None if newest is None else others[newest].name,
        path=Path("things.yaml"),
        row_rules=_row_rules(draw, sent),
        unknown_columns=draw(st.sampled_from(UnknownColumns)),
        budget=draw(_BUDGETS),
        on_duplicate=draw(st.sampled_from([OnDuplicate.REFUSE, OnDuplicate.REFUSE, OnDuplicate.LAST_WINS])),
        dialect=_dialect(draw, sent),
    )
    return with_dialect(draw, contract)


@st.composite
def _folder_columns(draw: st.DrawFn) -> list[Column]:
    """Up to two columns whose values come from folders; those that are required are in the key."""
    names = draw(st.sampled_from([(), (), (), ("dt",), ("region",), ("dt", "region")]))
    found = []
    for name in names:
        is_key = draw(st.booleans())
        kinds = _KEY_TYPES if is_key else [kind for kind in TYPES.values() if kind is not ColumnType.JSON]
        column = draw(columns(name, draw(st.sampled_from(kinds))))
        folder = draw(st.sampled_from([name, name, "Region No", "größe"])) if name == "region" else name
        found.append(replace(column, partition=folder, required=is_key))
    return found


def _with_paths(draw: Callable[..., Any], sent: list[Column]) -> tuple[Column, ...]:
    """The columns, of which some have paths; one path may lead into the value of another."""
    if draw(st.integers(0, 2)):
        return tuple(sent)
    found = []
    for column in sent:
        name = column.name
        paths = [
            None,
            None,
            f"m.{name}",
            f"m.{name}",
            f"list.0.{name}",
            f"list.{len(found)}",
            f"{name}.value",
            "m",
            name,
        ]
        found.append(replace(column, path=draw(st.sampled_from(paths))))
    return tuple(found)


def _dialect(draw: Callable[..., Any], sent: tuple[Column, ...]) -> Dialect:
    names = [column.name for column in sent if column.path is None]
    key = draw(st.sampled_from(names)) if names and draw(st.integers(0, 5)) == 0 else None
    path = draw(st.sampled_from([None, None, None, "data", "answer.rows", "pages.1.rows"]))
    return Dialect(record_path=path, key_column=key)


@st.composite
def row_options(draw: st.DrawFn, contract: Contract) -> Contract:
    """The contract, sometimes with rows that are appended, with deletes, or with a least share of the usual rows."""
    least = draw(st.sampled_from([None, None, 0.0, 0.5, 0.75, 1.0]))
    contract = replace(contract, min_share_of_usual=least)
    modes = ["merge", "merge", "append", "snapshot", "snapshot"]
    if any(column.partition for column in contract.columns):  # a file of one folder is never the whole table
        modes = modes[:3]
    match draw(st.sampled_from(modes)):
        case "append":
            return replace(contract, key=APPEND_KEY, newest_by=None, on_duplicate=OnDuplicate.REFUSE)
        case "snapshot":
            deletes, share = draw(st.sampled_from(Deletes)), draw(st.sampled_from([0.0, 0.1, 0.34, 0.5, 1.0, 1.0, 1.0]))
            return replace(contract, mode=Mode.SNAPSHOT, deletes=deletes, max_delete_share=share)
    return contract


def _of(sent: tuple[Column, ...], kind: ColumnType) -> list[str]:
    return [column.name for column in sent if column.type is kind]


def _row_rules(draw: Callable[..., Any], sent: tuple[Column, ...]) -> tuple[RowRule, ...]:
    integers, texts, numbers = (_of(sent, kind) for kind in (ColumnType.INTEGER, ColumnType.TEXT, ColumnType.FLOAT))
    known: list[tuple[str, str | None]] = [(f"{sent[0].name} IS NOT NULL OR {sent[-1].name} IS NULL", sent[0].name)]
    if len(integers) > 1:
        known.append((f"{integers[0]} <= {integers[1]}", integers[1]))
    if integers:
        known += [(f"{integers[0]} * {integers[0]} >= 0", None), (f"{integers[0]} + 1 > {integers[0]}", integers[0])]
    if texts:
        known += [(f"length({texts[0]}) <> 2", texts[0]), (f"{texts[0]} = lower({texts[0]})", None)]
    if numbers:
        known.append((f"abs({numbers[0]}) < 40", numbers[0]))
    picked = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
    return tuple(RowRule(f"rule-{at}", rule, "It holds", column) for at, (rule, column) in enumerate(picked))


def _derived(draw: Callable[..., Any], sent: tuple[Column, ...]) -> tuple[Column, ...]:
    texts, flags = _of(sent, ColumnType.TEXT), _of(sent, ColumnType.BOOLEAN)
    small = [c.name for c in sent if c.type is ColumnType.INTEGER and None not in (c.minimum, c.maximum)]
    known = [Column("made", ColumnType.TEXT, derived="'here'")]
    known += [Column("made", ColumnType.TEXT, derived=f"coalesce({name}, '') || '!'") for name in texts]
    known += [Column("made", ColumnType.INTEGER, derived=f"coalesce({name}, 0) * 2 - 1") for name in small]
    known += [Column("made", ColumnType.BOOLEAN, derived=f"NOT {name}") for name in flags]
    return (draw(st.sampled_from(known)),) if draw(st.integers(0, 3)) == 0 else ()
