"""Cells as partners send them, by type: usual values, edge cases, broken values.

What belongs here: strategies for the text of a cell. What does not: contracts, files.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from include.contracts.model import Column, ColumnType

A_UUID = "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"
# Few days are before 1900, where a column without a minimum has none.
_FIRST = datetime(1890, 1, 1)  # noqa: DTZ001 - strategies take a time without a zone
# Both sides of the pivot of %y, and what a format with it has as edges.
_PIVOTS = [(datetime(year, 12, 30), datetime(year + 1, 1, 2)) for year in (1968, 1999, 2068)]  # noqa: DTZ001
_SINCE_1970 = [
    "0", "-0", "-1", "-0.000001", "1769862615", "1769862615.25", "1769862615.0000001", "1769862615000", " 1769862615 ",
    "1769862615000.0", "1769862615000.5", "1769862615.", ".5", "+1769862615", "1.769862615e9", "253402300799.999999",
    "253402300800", "253402300799999", "253402300800000", "-62135596800", "-62135596801", "-2208988801", "007",
    "9" * 30,
]  # fmt: skip
_SHORT = [
    "29.02.00", "29.02.70", "31.01.126", "31.01.026", "1.2.3", "1.2.03", "260131", "26131", "690131", "680131",
    "00000000", "31/12/68 23:59", "1/1/69 0:00", "31/12/68 24:00", "31/12/99 23:59:60", "6901010000", "12/31/69",
    "31/12/69", " 31.12.69 ", "31.12.69 00:00", "31.12.-9", "31.12.6 ", *_SINCE_1970,
]  # fmt: skip
_DAYS = st.dates(_FIRST.date()).map(str)
_TIMES = st.datetimes(_FIRST).map(lambda moment: moment.isoformat(timespec="microseconds"))
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_OFFSETS = st.sampled_from(["", "Z", "+02:00", "-0530", "+14", "-00:00", "+23:59", "+24:00", "+02:61", "z", " Z"])

_USUAL: dict[ColumnType, st.SearchStrategy[str]] = {
    ColumnType.TEXT: st.sampled_from(["a", "ab", "Ada", "x y", "North", "é", "mug", "Ab1", "zz"])
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=6),
    ColumnType.INTEGER: st.integers(-12, 12).map(str) | st.integers(-(2**63), 2**63 - 1).map(str),
    ColumnType.NUMBER: st.decimals(-100, 100, places=2).map(str) | st.integers(-20, 20).map(str),
    ColumnType.FLOAT: st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.floats(-50, 50, width=16).map(repr),
    ColumnType.BOOLEAN: st.sampled_from(["true", "false", "yes", "no", "1", "0", "T", "F"]),
    ColumnType.DATE: st.sampled_from(["2026-01-31", "2024-02-29", "2020-06-01"]) | _DAYS,
    ColumnType.TIMESTAMP: st.sampled_from(["2026-01-31T12:30:15", "2025-12-31 23:59:59"]) | _TIMES,
    ColumnType.TIMESTAMPTZ: st.sampled_from(["2026-01-31T12:30:15Z", "2026-01-31T14:30:15+02:00"])
    | st.datetimes(_FIRST, timezones=st.just(UTC)).map(lambda moment: moment.isoformat(timespec="microseconds")),
    ColumnType.JSON: st.recursive(
        st.none() | st.booleans() | st.integers() | _FLOATS | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    ).map(lambda value: json.dumps(value, ensure_ascii=False))
    .filter(lambda text: "\\u0000" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)),
    ColumnType.UUID: st.uuids().map(str) | st.sampled_from([A_UUID, A_UUID.upper(), A_UUID.replace("-", "")]),
}  # fmt: skip
_EDGE: dict[ColumnType, list[str]] = {
    ColumnType.TEXT: [
        " lead", "trail \t", "a  b", "NULL", "-", 'say "hi"', "a,b;c\td|e", "two\nlines", "two\r\nlines", "=1+1",
        "a\0b", "x" * 40, "1.10", "4.9e10", "0.1234567890123456789", "-0", '{"a": 1.10}', "ŁÓDŹ", "ß",
        "\u00a0a\u00a0", "\ufeffa", "a\u2028b", "🙂", "a\\b", "'; DROP", "\v", "{}",
        "\u0130", "e\u0301", "\r", "NaN", "true", "0012",
    ],
    ColumnType.INTEGER: [
        "9223372036854775807", "-9223372036854775808", "9223372036854775808", "+5", "-0", "007", " 42 ", "1.0",
        "-7.000", "5.", "1.50", ".0", "1e3",
        "0x1F", "1_000", "1,000", "- 1", "twelve", "٣", "NULL", "1\0", "\v1", "+", "true", "1" * 40, "\u00a01", "5\t",
    ],
    ColumnType.NUMBER: [
        "1.", ".5", "+1", "-.25", " 2.25 ", "1e1", "125E-2", "1.100", "0.00007646252e11", "1.23457E+12", "123456789e-7",
        "1" * 45, "0." + "3" * 45, "0" * 45 + "1", "5" + "0" * 45 + "e-45", "0e999999999",
        "1234567890123456789012345678.5", "1.005", "1e-3", "0.000", "0e400", "1e40",
        "1e-40", "1.12345678901", "0.00000000000000000000000000000000000001",
        "nan", "inf", "1_0", "0x10", "1,5", "1 000", "€5", "1.2.3", "e5", ".", "1e", "99999999.99", "99999999.995",
        "100000000", "-0.00", "1E+2", "100000000000.001", "1e", "--1", "00012.50", "1e999999999", "1e-999999999",
    ],
    ColumnType.FLOAT: [
        "1.", ".5", "+1", "1e300", "1E-3", " 2 ", "nan", "NaN", "inf", "-Infinity", "1e400", "1_0", "0x1p3", "1,5",
        "1f",
        "1e", "5e-324", "1e-400", "-0.0", "1.7976931348623157e308", "0.1", "12345678901234567890", "1d", "\v1",
    ],
    ColumnType.BOOLEAN: ["TRUE", "tRuE", "Y", " yes ", "on", "off", "2", "01", "1.0", "ja", "NULL", "true\0"],
    ColumnType.DATE: [
        "0001-01-01", "9999-12-31", "2026-01-31T00:00:00", "2026-01-31 00:00:00.000", " 2026-01-31 ", "2026-02-30",
        "2026-13-01", "0000-01-01", "2026-1-31", "31.01.2026", "31.02.2026", "31.1.26", "1.1.2026", "31.01.026",
        "01/31/2026", "20260131", "today",
        "2026-01-31T10:00:00", "12026-01-01", "-2026-01-01", "2026-01", "45000", "infinity", "epoch", "1900-02-29",
        "2026-01-31T", "2026-01-31T00", "2026-01-31T00:00:00Z", "2026-00-10", "2026-01-00",
    ],
    ColumnType.TIMESTAMP: [
        "2026-01-31", "2026-01-31T12", "2026-01-31T12:30", "2026-01-31 12:30:15.5", "2026-01-31T12:30:15.123456789",
        "2026-01-31T12:30:15.9999999", "2026-01-31T12:30:15.", "2026-01-31T24:00:00", "2026-01-31T23:59:60",
        "2026-01-31T25:00:00", "2026-02-30T12:30:15", "0000-01-31T12:30:15", "2026-01-31t12:30:15", "yesterday",
        "1738326615", "2026-01-31T12:30:", "2026-01-31  12:30:15", "2026-01-31T12:3:15", "2026-01-31T12:30:15Z",
        "2026-01-31T12:30:15+02:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "31/01/2026 12:30",
        "31/02/2026 12:30", "31/1/26 12:30", "1/1/2026 1:2", "2026-01-31T12:30:15.1234567890",
        " 2026-01-31T12:30:15 ", "infinity", "2026-01-31T1230",
    ],
    ColumnType.TIMESTAMPTZ: [
        "2026-01-31", "2026-01-31 12:30:15", "2026-01-31T12Z", "2026-01-31T12:30Z", "2026-01-31T12:30:15.250Z",
        "2026-01-31T12:30:15 Z", "2026-01-31T12:30:15z", "2026-01-31T12:30:15 Europe/Berlin", "2026-01-31Z",
        "2026-01-31T12:30:15 UTC", "0000-01-31T12:30:15Z", "now", "infinity", "2026-01-31T12:30:15+25:00",
        "31/01/2026 12:30", "2026-01-31T12:30:15.123456789+01:00", "2026-01-31T24:00:00Z", "2026-01-31T23:59:60Z",
    ],
    ColumnType.JSON: [
        "{", "x", "{'a': 1}", "[1,]", '{"a": 1,}', "NaN", '{"a": NaN}', "[Infinity]", '"\\u0000"', '"\\ud800"', "01",
        "1e99999999", "{} {}", "/* c */ 1", " {} ", "null", '{"a": 1, "a": 2}', '{"a": 1.0}', '"x"', "[1, 1e2, -0]",
        "0.1234567890123456789", '{"x": 12345678901234567890.12}', "[123.456e-789]", "1e131071",
        "1e131072", "1e-16383", "1e-16384", '[{"k": {"a": 1, "\\u0061": 2}}]', "98765432109876543210999",
        "1.50", '{"b":1,"a":{"é":null}}', "[]x", "'x'", "tru", "TRUE", '["a\\n"]', '"\\u00e9"', '"\\ud83d\\ude00"',
    ],
    ColumnType.UUID: [
        "{" + A_UUID + "}", A_UUID[:-1], A_UUID + "0", "x", A_UUID.replace("6", "g"), f" {A_UUID} ", "0" * 32,
        A_UUID.replace("-", "", 1), "-" + A_UUID, A_UUID.replace("-", "--", 1),
    ],
}  # fmt: skip
_EMPTY = st.sampled_from(["", "", " ", "  \t"])


def cells(column: Column, *, odd: int = 20) -> st.SearchStrategy[str]:
    """The text of a cell: `odd` percent are edges, empties and junk, the others usual for the type."""
    usual = st.sampled_from(column.allowed) if column.allowed else _USUAL[column.type]
    if column.formats:
        moments = st.one_of(st.datetimes(_FIRST), *(st.datetimes(*ends) for ends in _PIVOTS))
        usual |= st.builds(_by_format, moments, st.sampled_from(column.formats), st.booleans())
    strange = [st.sampled_from(_EDGE[column.type]), _EMPTY]
    if column.type is ColumnType.TIMESTAMPTZ:
        strange.append(st.builds(str.__add__, _TIMES, _OFFSETS))
    if column.formats:
        strange.append(st.sampled_from(_SHORT))
    edge = st.one_of(strange)
    return st.integers(1, 100).flatmap(lambda dice: edge if dice > 100 - odd else usual)


def _by_format(moment: datetime, form: str, is_short: bool) -> str:
    """A moment as a format says, sometimes without zeros before its numbers, or behind those since 1970."""
    if form.startswith("epoch-"):
        since = moment - datetime(1970, 1, 1)  # noqa: DTZ001
        if form == "epoch-milliseconds":
            return str(since // timedelta(milliseconds=1)) + ("" if is_short else ".0")
        text = f"{Decimal(since // timedelta(microseconds=1)).scaleb(-6):f}"
        return text.rstrip("0").rstrip(".") if is_short else text
    text = moment.strftime(form.replace("%Y", f"{moment.year:04}"))
    return re.sub(r"(?<![0-9])0(?=[0-9])", "", text) if is_short else text
