"""JSON and NDJSON for the fuzzer: a record is a list of keys and raw texts, so that any part of it can be broken.

What belongs here: from rows to JSON text. What does not: values (`fuzz_values`), damage to bytes (`fuzz_bytes`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fuzz_values import BOOLEANS, DOCUMENTS, NUMBERS, TEXTS, edge

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from fuzz_values import Row

Record = list[tuple[str, str]]  # both as they will stand in the file

DOCUMENT_COLUMNS = ("extra", "items")
# Columns that have a path in one of the fuzzer's contracts: m.0 and the name.
NESTED_COLUMNS = ("amount", "note", "day", "region", "quantity")
_TOKENS = (*DOCUMENTS, *BOOLEANS, *NUMBERS, "null", "nul", "undefined", "-", '"', "'a'", "\x00", "{", "[", '"\\ud800"',
           '"\\udc00\\ud800"', '"\\u0000"', '"a\x01b"', '"a\nb"', "/* */ 1", "1e400", "-1e400", "1E+400")  # fmt: skip
_TOP = (
    "1", '"text"', "null", "true", "[]", "[[]]", "[1, 2]", "[null]", '["a"]', "{}", "[{}]", "[{}, {}]",
    '{"data": [{}]}',
    "[[{}]]", "[", "{", "]", "[,]", "[{},]", "NaN", "\ufeff[]", "[] []", "{}{}", "[{}]\n[{}]", "[{}] x", '{"a"}',
    "[ ]\n\n",
)  # fmt: skip


def record_of(row: Row, rng: Random) -> Record:
    """A good row as keys and raw values: numbers and documents sometimes as such, else as texts."""
    record = []
    for key, value in row.items():
        raw = isinstance(value, str) and key in DOCUMENT_COLUMNS and rng.random() < 0.7
        as_number = isinstance(value, str) and rng.random() < 0.3 and value in NUMBERS
        token = str(value) if raw or as_number else json.dumps(value, ensure_ascii=rng.random() < 0.5)
        record.append((json.dumps(key), token))
    return record


def spelled(record: Record) -> str:
    """One record as an object."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in record) + "}"


def json_file(rows: list[Row], rng: Random, *, wrong: bool, lines: bool) -> tuple[bytes, str]:
    """NDJSON (`lines`) or an array; `wrong` breaks its structure. Also returns what was done."""
    records = [record_of(row, rng) for row in rows]
    kind, done = "ndjson" if lines else "json", []
    if wrong:
        for _ in range(rng.choice((1, 1, 2, 4))):
            change = rng.choice(CHANGES)
            change(rng.choice(records), rng)
            done.append(change.__name__.strip("_"))
    if rng.random() < 0.3:
        for record in records:
            _nested(record)
        done.append("nested")
    texts = [spelled(record) for record in records]
    if wrong and rng.random() < 0.3:
        texts.insert(rng.randrange(len(texts) + 1), rng.choice((*_TOP, *_TOKENS)))
        done.append("foreign record")
    if wrong and rng.random() < 0.1:
        return _bytes(rng.choice(_TOP)), f"{kind} top level"
    if lines:
        end = rng.choice(("\n", "\n", "\n", "", "\r\n", "\n\n", "\r", "", " ", "\u2028", "\x1e"))
        text = end.join(texts) + rng.choice((end, "", "\n"))
    else:
        text = "[" + rng.choice((", ", ",\n", ",", "\n,\r\n  ")).join(texts) + rng.choice(("]", "]\n", "\n]"))
        if wrong and rng.random() < 0.2:
            text = rng.choice(('{"rows": {}}', "{}{}", "{}\n{}", "{},", "[{}]", "{}]", " \n {}", "\ufeff{}")).replace(
                "{}", text
            )
            done.append("wrapped")
    if rng.random() < 0.25:
        text = _inside(text if text.startswith("[") else f"[{', '.join(texts)}]", texts, rng, wrong=wrong)
        done.append("inside")
    encoding = (
        rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "utf-32-be"))
        if rng.random() < 0.1
        else "utf-8"
    )
    return text.encode(encoding, "surrogatepass"), f"{kind} {encoding} {' '.join(done)}".strip()


def _nested(record: Record) -> None:
    """Move some members into an object, where the contract with paths expects them."""
    inside = [(key, value) for key, value in record if key.strip('"') in NESTED_COLUMNS]
    if inside:
        record[:] = [one for one in record if one not in inside]
        record.append(('"m"', f"[{spelled(inside)}, 7]"))


def _inside(array: str, texts: list[str], rng: Random, *, wrong: bool) -> str:
    """The records inside a document, at the record path of the contracts that have one, or under keys."""
    if rng.random() < 0.4:
        keys = [rng.choice(("k", "", "\\u00e9", "\\ud800", "\x01")) if rng.random() < 0.1 else f"k{at}"
                for at in range(len(texts))]  # fmt: skip
        array = "{" + ", ".join(f'"{key}": {text}' for key, text in zip(keys, texts, strict=True)) + "}"
        if rng.random() < 0.5:
            return array
    before = rng.choice(("", '"n": 1, ', '"o": {"data": [{}]},\n', '"x": "]}", '))
    after = rng.choice(("", "", ', "next": null', ', "data2": [[]]'))
    if wrong and rng.random() < 0.3:
        after = rng.choice(
            (', "data": []', ", NaN", ",", "]", ', "x": ' + "[" * 300, ', "x', ', "y": "' + "z" * 300_000)
        )
    return "{" + before + f'"data": {array}' + after + "}" + rng.choice(("", "", "\n", "\n{}" if wrong else "", " "))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _value_raw(record: Record, rng: Random) -> None:
    if record:
        at = rng.randrange(len(record))
        record[at] = (record[at][0], rng.choice(_TOKENS))


def _value_edge(record: Record, rng: Random) -> None:
    if record:
        at = rng.randrange(len(record))
        key = record[at][0]
        record[at] = (key, json.dumps(edge(key.strip('"'), rng), ensure_ascii=rng.random() < 0.5))


def _key_repeated(record: Record, rng: Random) -> None:
    if record:
        key, value = rng.choice(record)
        record.insert(rng.randrange(len(record) + 1), (key, rng.choice((value, "null", '"other"', "1"))))


def _key_respelled(record: Record, rng: Random) -> None:
    if record:
        at = rng.randrange(len(record))
        name = record[at][0].strip('"')
        key = rng.choice(
            (name.upper(), f" {name}", name.replace("_", " "), f"\\u{ord(name[0] if name else 'a'):04x}{name[1:]}")
        )
        record[at] = (f'"{key}"', record[at][1])


def _key_dropped(record: Record, rng: Random) -> None:
    if record:
        del record[rng.randrange(len(record))]


def _key_unknown(record: Record, rng: Random) -> None:
    key = rng.choice(
        (*TEXTS[:-3], "_rescued", "_file_id", "_source_row", "_raw", "$.a", "a.b", "a[0]", "*", "ctid", "x" * 70)
    )
    record.append((json.dumps(key), rng.choice((*_TOKENS, json.dumps(rng.choice(TEXTS))))))


def _key_broken(record: Record, rng: Random) -> None:
    record.append((rng.choice(('"\\ud800"', '"\\u0000"', '"a', "a", "'a'", "1", "", '"a\x00b"', '"\\x"', "null")), "1"))


def _keys_many(record: Record, rng: Random) -> None:
    record.extend((f'"k{at}"', "1") for at in range(rng.choice((60, 1000))))


def _emptied(record: Record, rng: Random) -> None:
    record.clear()


CHANGES: tuple[Callable[[Record, Random], None], ...] = (
    _value_raw, _value_raw, _value_raw, _value_edge, _key_repeated, _key_respelled, _key_dropped, _key_unknown,
    _key_unknown,
    _key_broken, _keys_many, _emptied,
)  # fmt: skip
