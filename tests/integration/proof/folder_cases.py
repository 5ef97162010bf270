"""Folders before a file's name, as in `dt=2026-11-28/region=North/`, some of them wrong.

What belongs here: strategies for the folders of a contract's columns. What does not: the file (`file_cases`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from cell_cases import cells
from hypothesis import strategies as st

from tests.oracle.folders import NULL
from tests.oracle.values import BadCell, judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from include.contracts.model import Column, Contract


@st.composite
def folder_paths(draw: st.DrawFn, contract: Contract) -> st.SearchStrategy[str]:
    """A strategy for the folders of one file, each column with one of few values."""
    from_folders = [column for column in contract.columns if column.partition]
    values = {column.name: draw(_values(column)) for column in from_folders}
    return _paths(from_folders, values)


@st.composite
def _values(draw: st.DrawFn, column: Column) -> list[str]:
    """Texts for a column, most of them valid."""
    texts = draw(st.lists(cells(column, odd=5), min_size=3, max_size=6))
    texts.append(f" {texts[0]}")  # the same value, if it is cleaned
    valid = [text for text in texts if _is_valid(column, text)]
    return texts if not valid or draw(st.integers(0, 19)) == 7 else valid


def _is_valid(column: Column, text: str) -> bool:
    try:
        judged(column, text)
    except BadCell:
        return False
    return True


@st.composite
def _paths(draw: st.DrawFn, from_folders: list[Column], values: dict[str, list[str]]) -> str:
    folders = [_folder(draw, column, values[column.name]) for column in from_folders]
    # Of a range, Hypothesis takes the ends more often than others.
    if folders and draw(st.integers(0, 4)) == 2:
        wrong = [folders[0].upper(), f"x{folders[0]}", folders[0]]
        folders.append(draw(st.sampled_from(["other=1", "2026", "a b", "=x", "%", *wrong])))
    if folders and draw(st.integers(0, 29)) == 17:
        folders.pop(0)
    return "".join(f"{folder}/" for folder in draw(st.permutations(folders)))


def _folder(draw: Callable[..., Any], column: Column, texts: list[str]) -> str:
    """A folder with one of the values; percent-encoded, as far as that is needed or altogether."""
    dice = draw(st.integers(0, 39))
    if dice == 17:
        return f"{quote(str(column.partition))}=" + draw(st.sampled_from(["%ff", "a%00b", "%", "%zz", "%C3"]))
    text = draw(st.sampled_from([NULL, ""])) if 20 < dice < 24 else draw(st.sampled_from(texts))
    kept = draw(st.sampled_from(["", " =:+'&é", "-"]))
    name = str(column.partition) if draw(st.booleans()) else quote(str(column.partition))
    return f"{name}={quote(text, safe=kept)}"
