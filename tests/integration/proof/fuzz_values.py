"""Cells for the fuzzer: good rows of its datasets, and edge cases of every type.

What belongs here: single values and good rows, as texts. What does not: how a format writes them (`fuzz_text`,
`fuzz_json`, `fuzz_parquet`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from random import Random

Row = dict[str, Any]  # texts, numbers, booleans, None; documents as Python values

NUMBERS = (
    "0", "-0", "+1", "-1", "00000001", "1.0", "5.", "-.5", ".", "-", "+", "--1", "1-", "1e3", "1E400", "-1e400",
    "1e-400", "1e308", "1.8e308", "4.9e-324", "0e999999999", "1e99999999999999999999", "1e-99999999999999999", "1e",
    "e1", "NaN", "nan", "-nan", "inf", "-inf", "Infinity", "+Infinity", "1,5", "1.000,5", "1 000", "1_000", "0x1F",
    "0X1f", "0b101", "0o17", "\u0661\u0662\u0663", "\uff12", "\u00bd", "\u2460", "$1", "1%", "1/2", "(1)", " 1", "1 ",
    "\u00a01", "\t1", "127", "128", "-129", "32767", "32768", "-32768", "-32769", "2147483646", "2147483647",
    "2147483648", "-2147483648", "-2147483649", "9007199254740993", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "9999999999.99", "9999999999.995",
    "10000000000", "0.001", "0.005", "-0.004", "1" * 28 + ".0123456789", "9" * 28 + "." + "9" * 10, "9" * 39,
    "1" * 5000,
    "0." + "0" * 400 + "1", "1." + "9" * 60, "0" * 3000 + "7", "1e0000000000000000000001",
    "1.10", "4.9e10", "0.1234567890123456789", "12345678901234567890.12", "0.00007646252e11", "1.23457E+12",
    "1e-999999999", "1e999999999", "98765432109876543210999", "5" + "0" * 45 + "e-45", "1" * 36, "123.456e-789",
)  # fmt: skip
TIMES = (
    "0001-01-01", "0000-01-01", "-0001-01-01", "9999-12-31", "10000-01-01", "+10000-01-01", "1582-10-04", "1582-10-10",
    "1582-10-15", "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "2024-00-10", "2024-13-01", "2024-04-31",
    "2024-1-1", "20240101", "24-01-01", "01.02.2024", "29.02.2023", "31.12.9999", "01/02/2024", "2024-W01-1",
    "2024-001",
    "1970-01-01", "infinity", "-infinity", "epoch", "today", "now", "4713-01-01 BC", "290309-12-22 (BC)",
    "5877641-06-24",
    "294247-01-10T04:00:54.775807Z", "-290308-12-21T19:59:05Z", "2024-01-01T00:00:00", "2024-01-01 24:00:00",
    "2024-01-01T23:59:60Z", "2024-06-30T23:59:61Z", "2024-01-01T25:00:00Z", "2024-01-01T12:60:00", "2024-01-01T00",
    "2024-01-01T00:00", "2024-01-01T0:0:0", "2024-01-01T00:00:00.1234567891Z", "2024-01-01T00:00:00.999999999+00:00",
    "2024-01-01T00:00:00,5", "2024-01-01T00:00:00+14:00", "2024-01-01T00:00:00-15:59", "2024-01-01T00:00:00+99:99",
    "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00+1", "2024-01-01T00:00:00 Europe/Berlin",
    "2024-01-01T00:00:00 UTC",
    "2024-01-01T00:00:00zz", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00", "1e9", "1700000000",
    "\u0662\u0660\u0662\u0664-\u0660\u0661-\u0660\u0661", "2024\u201301\u201301", " 2024-01-01 ", "2024-01-01\u00a0",
    "31.1.26", "1.1.2026", "31.01.026", "31.12.2024 24:00", "01.01.0001 00:00", "99.99.9999 99:99",
)  # fmt: skip
TEXTS = (
    "", " ", "\t", "\u00a0", "\u3000", "NULL", "null", "None", "NA", "-", "\\N", "\\.", "\\", "\\\\", "'", '"', '""',
    '"a', 'a"b', "a,b", "a;b", "a|b", "a\tb", "a\nb", "a\r\nb", "a\rb", "\r", "\n", "\x00", "a\x00b", "\x01\x02",
    "\x1a",
    "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "a\ufeffb", "\ufffe", "\uffff", "\ufffd", "\ue000",
    "\U000f0000", "\U0010fffd", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u202eevil\u202c",
    "e\u0301", "Z" + "\u0335\u0327" * 300, "\u0130", "\u00df", "\ufb01", "\u01c5", "\U00010400", "\U0001d7d8",
    "\U000e0041", "\u200b", "\u115f", "\u0dba\u0dca\u200d\u0dbb", "\u4e2d\u6587", "=1+1", "+1", "-1", "@SUM(A1)",
    "=cmd|' /C calc'!A0", "'; DROP TABLE raw.sales; --", "$$", "%s", "%(x)s", "{}", "{0}", "${HOME}", "<b>", "&amp;",
    "../../etc/passwd", "%00", '{"a": 1}', "[1]", "# comment", "-- comment", "true", "1", "x" * 300, "x" * 3000,
    "\u00e9" * 2001, "y" * 70_000, "z" * 300_000,
)  # fmt: skip
DOCUMENTS = (
    "{}", "[]", "null", "1", '"text"', "true", "[" * 50 + "]" * 50, "[" * 2000 + "]" * 2000,
    '{"a":' * 600 + "1" + "}" * 600, "[" * 200_000, '{"a": NaN}', '{"a": Infinity}', '{"a": 1e400}', '{"a": -0}',
    '{"a": 1e-99999}', '{"a": 1, "a": 2}', '{"": 1}', '{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"\\udc00": 1}',
    '{"a": "\\ud83d\\ude00"}', '{"a": {"k": 1, "\\u006b": 2}}', '{"a": 0.1234567890123456789}',
    '{"a": [1e131071]}', '{"a": [1e131072]}',
    "{'a': 1}", '{"a": 1,}', "[1,,2]", "[1 2]", '{"a" 1}', '{"a": 01}', '{"a": +1}',
    '{"a": .5}', '{"a": 5.}', '{"a": ' + "9" * 500 + "}", '{"a": 0.' + "1" * 500 + "}", '{"a": tru}', '{"a": "\n"}',
    '{"a": "\t"}', '{"a": "\\x"}', '{"a": "\\u12"}', '{"a": 1} {"b": 2}', '{"a": 1}x', "// c\n{}", "\ufeff{}", " { } ",
    '{"a": "' + "x" * 5000 + '"}', "{" + ", ".join(f'"k{n}": {n}' for n in range(600)) + "}",
)  # fmt: skip
BOOLEANS = ("true", "FALSE", "T", "f", "yes", "nO", "Y", "0", "1", "2", "-1", "on", "off", "wahr", "1.0", "tru", "")
IDENTS = (
    "00000000-0000-0000-0000-000000000000", "ffffffffffffffffffffffffffffffff",
    "{6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21}",
    "urn:uuid:6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21", "6F1C2A349D1E4C558A860C1F6F0B7E21", "6f1c2a34-9d1e-4c55-8a86",
    "6f1c-2a34-9d1e-4c55-8a86-0c1f-6f0b-7e21", "g" * 32, "\uff10" * 32, "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21 ",
)  # fmt: skip

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS = {
    "sale_date": TIMES, "updated_at": TIMES, "day": TIMES, "moment": TIMES, "stamp": TIMES,
    "quantity": NUMBERS, "unit_price": NUMBERS, "total_amount": NUMBERS, "part": NUMBERS, "whole": NUMBERS,
    "big": NUMBERS, "amount": NUMBERS, "wide": NUMBERS, "ratio": NUMBERS,
    "flag": BOOLEANS, "ident": IDENTS, "extra": DOCUMENTS, "items": DOCUMENTS,
}  # fmt: skip
_ALL = (NUMBERS, TIMES, TEXTS, DOCUMENTS, BOOLEANS, IDENTS)


def good_rows(dataset: str, rng: Random, count: int) -> list[Row]:
    """Rows that satisfy the dataset's contract, with different keys."""
    make = _sale if dataset == "sales" else _fuzzed
    start = rng.randrange(10**9)
    return [make(start + at, rng) for at in range(count)]


def edge(column: str, rng: Random) -> str:
    """An edge case of the column's type, or of another type; sometimes random characters."""
    chance = rng.random()
    if chance < 0.6:
        return rng.choice(_KINDS.get(column, TEXTS))
    if chance < 0.85:
        return rng.choice(rng.choice(_ALL))
    return noise(rng)


def noise(rng: Random) -> str:
    """A few characters of every plane, without lone surrogates, which cannot be encoded."""
    ends = (0x80, 0x800, 0xD800, 0x10000, 0x110000)
    points = [rng.randrange(rng.choice(ends)) for _ in range(rng.randint(1, 12))]
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


def with_edges(rows: list[Row], rng: Random) -> None:
    """Put edge cases into some cells."""
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        row = rng.choice(rows)
        column = rng.choice(sorted(row))
        row[column] = None if rng.random() < 0.1 else edge(column, rng)


def _sale(number: int, rng: Random) -> Row:
    quantity, cents = rng.randint(1, 9), rng.randint(1, 100_000)
    return {
        "sale_id": f"S{number:010}",
        "sale_date": f"{_EPOCH + timedelta(days=number % 300):%Y-%m-%d}",
        "customer_id": f"C{number % 1000:06}",
        "customer_name": rng.choice(("Ada Lovelace", "Zoë, of Köln", 'Li "Bo" 中', "", "O'Neil")),
        "product": rng.choice(("Desk lamp", "Water bottle", "Running shoes")),
        "category": rng.choice(("Furniture", "Sports", "Clothing")),
        "quantity": quantity,
        "unit_price": f"{cents / 100:.2f}",
        "total_amount": f"{quantity * cents / 100:.2f}",
        "region": rng.choice(("North", "South", "")),
        "updated_at": f"{_EPOCH + timedelta(seconds=number % 10**7):%Y-%m-%dT%H:%M:%SZ}",
    }


def _fuzzed(number: int, rng: Random) -> Row:
    at = _EPOCH + timedelta(seconds=number % 10**7, microseconds=rng.randrange(10**6))
    return {
        "code": f"K{number}",
        "part": rng.randint(-9, 9),
        "whole": rng.randint(-(10**6), 10**6),
        "big": rng.randint(-(10**15), 10**15),
        "amount": f"{rng.randint(-(10**6), 10**6) / 100:.2f}",
        "wide": f"{rng.randint(0, 10**20)}.{rng.randint(0, 10**10 - 1):010}",
        "ratio": rng.random() * 10.0 ** rng.randint(-20, 20),
        "flag": rng.choice((True, False)),
        "day": f"{at:%Y-%m-%d}",
        "moment": f"{at:%Y-%m-%dT%H:%M:%S.%f}",
        "stamp": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "ident": str(UUID(int=rng.getrandbits(128))),
        "extra": json.dumps({"a": rng.randint(0, 9), "b": {"c": ["d", None, 1.5]}}),
        "items": json.dumps([rng.randint(0, 9), "x"]),
        "note": rng.choice(("a note", "Ünï  cödé", "", "two\nlines", "quote \" and ' and ,")),
        "word": rng.choice(("alpha", "beta-2", "gamma-x-1")),
    }
