"""JSON files for a contract: records with paths, lines, arrays, objects by key, and documents around them.

What belongs here: from rows to JSON. What does not: the rows, and the other formats (`file_cases`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dialect_cases import packed, text_bytes
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialect_cases import Cells

    from include.contracts.model import Contract


def json_object(draw: Callable[..., Any], contract: Contract, header: dict[str, str], row: Cells) -> str:
    """A record as JSON: numbers, booleans and documents as such or as text; empty cells as null, text or left out."""
    parts: list[tuple[str, Node]] = []
    for name, shown in header.items():
        text, steps = row[name], path_steps(draw, contract, name)
        if not text and draw(st.booleans()):
            if draw(st.booleans()) and len(parts) > 0:
                continue
            _put(parts, steps or [shown], "null")
            continue
        bare = _is_json(text) and draw(st.booleans())
        _put(parts, steps or [shown], str(text) if bare else json.dumps(text, ensure_ascii=draw(st.booleans())))
    if parts and draw(st.integers(0, 59)) == 0:
        parts.append(draw(st.sampled_from(parts)))
    escaped = draw(st.integers(0, 9)) == 0
    return _text_of(parts, escaped=escaped)


# A value as it is written, or the members of an object or a list of elements with their keys.
Node = str | list[tuple[str, "Node"]]


def path_steps(draw: Callable[..., Any], contract: Contract, name: str) -> list[str]:
    """The steps of a column's path; sometimes none, so that its name is the key."""
    column = contract.by_name.get(name)
    is_at_path = column is not None and column.path and draw(st.integers(0, 19))
    return list(column.steps) if column is not None and is_at_path else []


def _put(parts: list[tuple[str, Node]], steps: list[str], token: str) -> None:
    """Add a value at its steps, unless another value is on the way."""
    step, *further = steps
    if not further:
        parts.append((step, token))
        return
    inner = next((node for key, node in parts if key == step), None)
    if inner is None:
        inner = []
        parts.append((step, inner))
    if not isinstance(inner, str):
        _put(inner, further, token)


def _text_of(parts: list[tuple[str, Node]], *, escaped: bool = False) -> str:
    """An object, or a list if all its keys are digits; `escaped` writes the first letter of a key as an escape."""
    shown = [(key, node if isinstance(node, str) else _text_of(node)) for key, node in parts]
    if parts and all(key.isdecimal() and len(key) < 3 for key, _ in parts):
        found = dict(shown)
        return "[" + ", ".join(found.get(str(at), "null") for at in range(max(map(int, found)) + 1)) + "]"
    keys = [
        f'"\\u{ord(key[0]):04x}{key[1:]}"' if escaped and key else json.dumps(key, ensure_ascii=False)
        for key, _ in shown
    ]
    return "{" + ", ".join(f"{key}: {text}" for key, (_, text) in zip(keys, shown, strict=True)) + "}"


def _is_json(text: str | None) -> bool:
    try:
        json.loads(text or "", parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return re.search(r"[\r\n]", text or "") is None


def json_document(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    """An array of records, or an object of them by key, sometimes inside of a document."""
    records = [json_object(draw, contract, header, row) for row in found]
    if draw(st.integers(0, 9)) == 0:
        records.insert(draw(st.integers(0, len(records))), draw(st.sampled_from(["7", '"x"', "[1]", "null"])))
    between = draw(st.sampled_from([",", ",\n", ", ", "\n,\r\n"]))
    key = contract.dialect.key_column
    if key is None or draw(st.integers(0, 9)) == 0:
        text = "[" + draw(st.sampled_from(["", "\n", " "])) + between.join(records) + "]"
    else:
        keys = [row.get(key) or draw(st.sampled_from(["", "k", "é"])) for row in found]
        keys += ["more"] * (len(records) - len(keys))
        text = "{" + between.join(f"{json.dumps(one)}: {text}" for one, text in zip(keys, records, strict=True)) + "}"
    return packed(draw, text_bytes(draw, _wrapped(draw, contract, text), contract))


def _wrapped(draw: Callable[..., Any], contract: Contract, text: str) -> str:
    """The records inside a document at the contract's record path, sometimes elsewhere, or in two documents."""
    steps = list(contract.dialect.record_steps)
    if not steps or draw(st.integers(0, 14)) == 0:
        return text
    before = draw(
        st.sampled_from(["", '"n": 1, ', '"n":\n{"data": [{}, "]"]},\n', '"rows": [], ', '"e": "\\u00e9\\"", '])
    )
    after = draw(st.sampled_from(["", "", ', "next": null', ',\n"more": [{"data": [{}]}]', ', "x": NaN', ", "]))
    for step in reversed(steps):
        text = f'[7, {text}, "x"]' if step == "1" else f'{{{before}"{step}": {text}{after}}}'
        before, after = draw(st.sampled_from([(before, after), ("", "")]))
    twice = draw(st.sampled_from(["", "", "", "", "\n", " x", "]"]))
    return text + twice + (text if twice == "\n" else "")


def ndjson(draw: Callable[..., Any], contract: Contract, header: dict[str, str], found: list[Cells]) -> bytes:
    """A record on each line, some broken."""
    if contract.dialect.has_documents and draw(st.integers(0, 3)):
        return json_document(draw, contract, header, found)
    records = [json_object(draw, contract, header, row) for row in found]
    for at in range(1, len(records)):
        fault = draw(st.integers(0, 29))
        if fault < 4:
            records[at] = ["{", "17", "", records[at][:-2]][fault]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join(records) + (end if draw(st.booleans()) else "")
    if draw(st.integers(0, 9)) == 0:
        text = text.replace("}" + end + "{", draw(st.sampled_from(["}{", "} {"])))
    return packed(draw, text_bytes(draw, text, contract))
