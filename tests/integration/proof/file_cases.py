"""Files of every format for a contract, one to four into one table.

What belongs here: strategies for the rows of a file and its header. What does not: how a format writes them
(`dialect_cases`, `json_cases`, `binary_cases`), the expected results (the oracle).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archive_cases import archives
from binary_cases import avro, columns, parquet, xlsx
from cell_cases import cells
from contract_cases import contracts, row_options
from dialect_cases import TableWriter, packed, text_bytes
from folder_cases import folder_paths
from hypothesis import strategies as st
from json_cases import json_document, ndjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialect_cases import Cells

    from include.contracts.model import Contract

_UNKNOWN = ("Till No.", "extra", "odd one", "größe", "Цена", "価格", "2024", "x" * 70)


@dataclass(frozen=True)
class File:
    """A file to drop: its name, with the folders before it, and bytes."""

    name: str
    body: bytes


@dataclass(frozen=True)
class OneContract:
    """A case with a contract. The test describes it."""

    contract: Contract

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For Hypothesis: it would print the columns' types with all their functions, which takes hours."""
        printer.text("a case")


@dataclass(frozen=True)
class Case(OneContract):
    """A contract and its files, which are loaded one after the other."""

    files: tuple[File, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A contract with one to four files; a later one may repeat an earlier one."""
    contract = draw(row_options(draw(contracts(has_folders=True))))
    few = draw(key_values(contract))
    paths = draw(folder_paths(contract))
    files: list[File] = []
    for at in range(draw(st.sampled_from([1, 2, 3, 4] if contract.is_snapshot else [1, 1, 2, 3, 4]))):
        again = files and draw(st.integers(0, 9)) == 0
        body = draw(st.sampled_from(files)).body if again else draw(_bodies(contract, few))
        path = draw(paths)
        if not again and draw(st.integers(0, 7)) == 5:
            inside = draw(st.booleans())  # the members' paths have the folders, not the archive's key
            members = st.one_of(st.just(body), _bodies(contract, few))
            body = draw(archives(members, paths if inside else st.just("")))
            path = "" if inside else path
        files.append(File(f"{path}{at}.dat", body))
    return Case(contract, tuple(files))


@st.composite
def key_values(draw: st.DrawFn, contract: Contract) -> dict[str, list[str]]:
    """The few values of each key column."""
    return {
        column.name: draw(st.lists(cells(column, odd=5), min_size=1, max_size=3)) for column in contract.key_columns
    }


@st.composite
def rows(draw: st.DrawFn, contract: Contract, few: dict[str, list[str]], odd: int) -> list[Cells]:
    """Up to eight records whose keys have few values, so that records share keys."""
    strategies = {
        column.name: st.sampled_from(few[column.name])
        if column.name in few and draw(st.integers(0, 5))
        else cells(column, odd=odd)
        for column in contract.source_columns
    }
    return draw(st.lists(st.fixed_dictionaries(strategies), min_size=1, max_size=8))


@st.composite
def _bodies(draw: st.DrawFn, contract: Contract, few: dict[str, list[str]]) -> bytes:
    found = draw(rows(contract, few, draw(st.sampled_from([0, 5, 30]))))
    names = [column.name for column in contract.source_columns]
    gone = draw(st.sampled_from([None] * 5 + names))
    names = draw(st.permutations([name for name in names if name != gone]))
    strange = (*_UNKNOWN, *(column.name for column in contract.columns if column.partition))
    unknown = draw(st.lists(st.sampled_from(strange), max_size=2, unique=True)) if draw(st.integers(0, 3)) == 0 else []
    for row in found:
        row.update({name: draw(st.sampled_from(["7", "x", "", 'say "ü"', "1.50"])) for name in unknown})
    spelled = draw(st.sampled_from([str, str, str.upper, lambda name: name.replace("_", " ").title()]))
    header = {**{name: spelled(name) for name in names}, **{name: name for name in unknown}}
    for column in contract.source_columns:
        if column.name in header and column.source_names and draw(st.booleans()):
            header[column.name] = draw(st.sampled_from(column.source_names))
    writer = draw(st.sampled_from([_csv, _csv, json_document, ndjson, parquet, columns, avro, xlsx]))
    body = writer(draw, contract, header, found) or parquet(draw, contract, header, found)
    return _fault(draw, body) if draw(st.integers(0, 19)) == 0 else body


def _fault(draw: Callable[..., Any], body: bytes) -> bytes:
    """A file that is empty, cut off or of another format."""
    kinds = [b"", b" \n\n", b"\x89PNG\r\n\x1a\n" + bytes(64)]
    if body.startswith((b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"ORC", b"ARROW1", b"Obj", b"PK")):
        kinds.append(body[: len(body) // 2])
    if b"\n" in body and body.isascii():
        kinds.append(body[: body.index(b"\n") + 1])
    return draw(st.sampled_from(kinds))


def _csv(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    writer = TableWriter(draw, contract, len(header))
    delimiter, names = writer.delimiter, writer.names(header)
    head = delimiter.join(writer.field(header.get(name, name)) for name in names)
    lines = [head] if contract.dialect.has_header else []
    again = draw(st.integers(0, len(found) * 9))  # sometimes the header is repeated before that row
    for at, row in enumerate(found, 1):
        lines += [draw(st.sampled_from(["", "", "\ufeff"])) + head] if at == again else []
        line = delimiter.join(writer.cell(name, row[name]) for name in names)
        fault = draw(st.integers(0, 39))
        lines.append(
            line + delimiter + "more" if fault == 0
            else line.rpartition(delimiter)[0] if fault == 1 and '"' not in line
            else 'x"y"' + delimiter + line if fault == 2
            else '"never closed' if fault == 3
            else "" if fault == 4
            else line
        )  # fmt: skip
    text = writer.text(lines)
    return packed(draw, text_bytes(draw, text, contract))
