"""Parquet for the fuzzer: columns of every Arrow type, all writer options, broken footers.

What belongs here: from rows to Parquet. What does not: values (`fuzz_values`), damage at random (`fuzz_bytes`).
"""

from __future__ import annotations

import io
import struct
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_bytes import mutated
from fuzz_values import TEXTS, edge

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from fuzz_values import Row

_MAGIC = b"PAR1"
_CONTEXT = Context(prec=80)
_INTS = {
    pa.int8(): (-128, 127), pa.int16(): (-(2**15), 2**15 - 1), pa.int32(): (-(2**31), 2**31 - 1),
    pa.int64(): (-(2**63), 2**63 - 1), pa.uint8(): (0, 255), pa.uint16(): (0, 2**16 - 1), pa.uint32(): (0, 2**32 - 1),
    pa.uint64(): (0, 2**64 - 1),
}  # fmt: skip
_FLOATS = (float("nan"), float("inf"), float("-inf"), -0.0, 0.5, 1e300, 5e-324, 1.0, 2.0**53, 1e22)
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_ZONES = (None, "UTC", "Europe/Berlin", "+05:30", "America/New_York", "Nowhere/Land")
_NAMES = (
    "",
    " ",
    "a.b",
    'a"b',
    "a'b",
    "a\nb",
    "\x00",
    "é",
    "_source_row",
    "_raw",
    "c0",
    "records",
    "_rescued",
    "ctid",
    "x" * 3000,
)


def parquet_file(rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """A Parquet file; `wrong` changes columns, layout or bytes. Also returns what was done."""
    table = typed_table(rows, rng)
    done = []
    if wrong:
        for _ in range(rng.choice((1, 1, 2, 3))):
            change = rng.choice(_CHANGES)
            table = change(table, rng)
            done.append(change.__name__.strip("_"))
    body = _written(table, rng)
    if wrong and rng.random() < 0.35:
        change_bytes = rng.choice(_DAMAGES)
        body = change_bytes(body, rng)
        done.append(change_bytes.__name__.strip("_"))
    return body, f"parquet {' '.join(done)}".strip()


def typed_table(rows: list[Row], rng: Random) -> pa.Table:
    """The rows with usual column types; a column with edge cases becomes text, for a column has one type."""
    arrays = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        try:
            arrays.append(_usual_array(name, values, rng))
        except (pa.ArrowException, ValueError, ArithmeticError, TypeError):
            arrays.append(pa.array([None if value is None else str(value) for value in values], pa.string()))
    return pa.Table.from_arrays(arrays, names=list(rows[0]))


def _usual_array(name: str, values: list[Any], rng: Random) -> pa.Array:
    if rng.random() < 0.2:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    match name:
        case "sale_date" | "day":
            days = [date.fromisoformat(value) for value in values]
            return pa.array(days, rng.choice((pa.date32(), pa.date64(), pa.timestamp("ms"))))
        case "updated_at" | "stamp":
            moments = [datetime.fromisoformat(value) for value in values]
            return pa.array(moments, pa.timestamp(rng.choice(("ms", "us", "ns")), "UTC"))
        case "moment":
            return pa.array([datetime.fromisoformat(value) for value in values], pa.timestamp("us"))
        case "unit_price" | "total_amount" | "amount":
            return pa.array(
                [Decimal(value) for value in values], rng.choice((pa.decimal128(14, 2), pa.decimal256(50, 2)))
            )
        case "wide":
            return pa.array([Decimal(value) for value in values], pa.decimal128(38, 10))
        case "quantity" | "part" | "whole":
            return pa.array(values, rng.choice((pa.int32(), pa.int64(), pa.float64())))
        case "code" | "note" | "word" | "product" | "region":
            texts = pa.array(values, pa.string())
            return rng.choice((texts, texts.dictionary_encode(), texts.cast(pa.large_string())))
        case _:
            return pa.array(values)


def _any_array(count: int, rng: Random) -> pa.Array:
    """An array of a random type, with values at the limits of the type."""

    def some(make: Callable[[], Any]) -> list[Any]:
        return [None if rng.random() < 0.1 else make() for _ in range(count)]

    def timestamps() -> pa.Array:
        unit = rng.choice(tuple(_NANOSECONDS))
        most = rng.choice((2**63 - 1, min(253_402_300_800 * 10**9 // _NANOSECONDS[unit], 2**62), 10**9, 2**62))
        return pa.array(some(lambda: rng.randint(-most, most)), pa.int64()).cast(pa.timestamp(unit, rng.choice(_ZONES)))

    def integers() -> pa.Array:
        kind, (low, high) = rng.choice(list(_INTS.items()))
        return pa.array(some(lambda: rng.choice((low, high, 0 if low == 0 else -1, 1, rng.randint(low, high)))), kind)

    def decimals() -> pa.Array:
        make = rng.choice((pa.decimal128, pa.decimal256))
        precision = rng.randint(1, 38 if make is pa.decimal128 else 76)
        scale = rng.randint(0, precision)
        return pa.array(
            some(lambda: Decimal(rng.randint(-(10**precision) + 1, 10**precision - 1)).scaleb(-scale, _CONTEXT)),
            make(precision, scale),
        )

    texts = [text for text in TEXTS if len(text) < 5000]
    makers: tuple[Callable[[], pa.Array], ...] = (
        integers, decimals, timestamps, timestamps,
        lambda: pa.array(some(lambda: rng.choice(_FLOATS)), rng.choice((pa.float64(), pa.float32()))),
        lambda: pa.array(some(lambda: rng.choice((0.5, -1.0, 2.0))), pa.float64()).cast(pa.float16()),
        lambda: pa.array(some(lambda: rng.randint(-(2**31), 2**31 - 1)), pa.int32()).cast(pa.date32()),
        lambda: pa.array(some(lambda: rng.choice((0, 2**31 * 86_400_000, -(10**15)))), pa.int64()).cast(pa.date64()),
        lambda: pa.array(some(lambda: time(rng.randrange(24), 1, 2, 3)), rng.choice((pa.time32("ms"),
        pa.time64("us"), pa.time64("ns"))), safe=False),
        lambda: pa.array(some(lambda: timedelta(seconds=rng.randrange(10**6))), pa.duration("us")),
        lambda: pa.array(some(lambda: rng.random() < 0.5), pa.bool_()),
        lambda: pa.array(some(lambda: rng.choice(texts)), rng.choice((pa.string(), pa.large_string(),
        pa.string_view()))),
        lambda: pa.array(some(lambda: rng.choice(texts)), pa.string()).dictionary_encode(),
        lambda: pa.array(some(lambda: rng.randbytes(rng.randrange(9))), rng.choice((pa.binary(), pa.large_binary()))),
        lambda: pa.array(some(lambda: rng.randbytes(16)), pa.binary(16)),
        lambda: pa.array(some(lambda: [1, None]), rng.choice((pa.list_(pa.int8()), pa.large_list(pa.int64())))),
        lambda: pa.array(some(lambda: [[{"a": "x"}], []]), pa.list_(pa.list_(pa.struct([("a", pa.string())])))),
        lambda: pa.array(some(lambda: {"a": 1.5, "b": {"c": [float("nan")]}})),
        lambda: pa.array(some(lambda: [("k", 1), ("k", 2)]), pa.map_(pa.string(), pa.int32())),
        lambda: pa.array(some(lambda: [1, 2]), pa.list_(pa.int16(), 2)),
        lambda: pa.nulls(count),
    )  # fmt: skip
    return rng.choice(makers)()


def _column_of_any_type(table: pa.Table, rng: Random) -> pa.Table:
    if not table.num_columns:
        return table
    at = rng.randrange(table.num_columns)
    return table.set_column(at, table.schema.names[at], _any_array(table.num_rows, rng))


def _column_of_edges(table: pa.Table, rng: Random) -> pa.Table:
    if not table.num_columns:
        return table
    at = rng.randrange(table.num_columns)
    name = table.schema.names[at]
    texts = [edge(name, rng) if rng.random() < 0.3 else None for _ in range(table.num_rows)]
    return table.set_column(at, name, pa.array(texts, rng.choice((pa.string(), pa.large_string()))))


def _column_unknown(table: pa.Table, rng: Random) -> pa.Table:
    return table.append_column(rng.choice(("unknown", *_NAMES)), _any_array(table.num_rows, rng))


def _column_dropped(table: pa.Table, rng: Random) -> pa.Table:
    return table.remove_column(rng.randrange(table.num_columns)) if table.num_columns else table


def _column_repeated(table: pa.Table, rng: Random) -> pa.Table:
    return table.append_column(table.schema.names[0], table.column(0)) if table.num_columns else table


def _columns_many(table: pa.Table, rng: Random) -> pa.Table:
    for at in range(rng.choice((60, 600))):
        table = table.append_column(f"k{at}", pa.nulls(table.num_rows, pa.int8()))
    return table


def _columns_gone(table: pa.Table, rng: Random) -> pa.Table:
    return table.select([])


def _rows_gone(table: pa.Table, rng: Random) -> pa.Table:
    return table.slice(0, 0)


def _nulls_in_a_column(table: pa.Table, rng: Random) -> pa.Table:
    if not table.num_columns:
        return table
    at = rng.randrange(table.num_columns)
    return table.set_column(at, table.schema.names[at], pa.nulls(table.num_rows, table.schema.types[at]))


_CHANGES: tuple[Callable[[pa.Table, Random], pa.Table], ...] = (
    _column_of_any_type, _column_of_any_type, _column_of_any_type, _column_of_any_type, _column_of_edges,
    _column_of_edges,
    _column_unknown, _column_unknown, _column_dropped, _column_repeated, _columns_many, _columns_gone, _rows_gone,
    _nulls_in_a_column,
)  # fmt: skip


def _written(table: pa.Table, rng: Random) -> bytes:
    how: dict[str, Any] = {
        "compression": rng.choice(("none", "snappy", "gzip", "zstd", "lz4", "brotli")),
        "use_dictionary": rng.random() < 0.5,
        "write_statistics": rng.random() < 0.5,
        "data_page_version": rng.choice(("1.0", "2.0")),
        "version": rng.choice(("1.0", "2.4", "2.6")),
        "row_group_size": rng.choice((1, 3, None)),
        "use_deprecated_int96_timestamps": rng.random() < 0.1,
        "store_schema": rng.random() < 0.7,
        "write_page_checksum": rng.random() < 0.2,
    }
    sink = io.BytesIO()
    try:
        pq.write_table(table, sink, **how)
    except (pa.ArrowException, OSError):  # this version of the format does not have the type
        sink = io.BytesIO()
        pq.write_table(_storable(table), sink)
    return sink.getvalue()


def _storable(table: pa.Table) -> pa.Table:
    for at, entry in enumerate(table.schema):
        try:
            pq.write_table(table.select([at]), io.BytesIO())
        except (pa.ArrowException, OSError):
            table = table.set_column(at, entry.name, pa.nulls(table.num_rows, pa.string()))
    return table


def _footer_at(body: bytes) -> int:
    return len(body) - 8 - struct.unpack("<I", body[-8:-4])[0]


def _anywhere(body: bytes, rng: Random) -> bytes:
    return mutated(body, rng)


def _in_the_pages(body: bytes, rng: Random) -> bytes:
    at = _footer_at(body)
    return _MAGIC + mutated(body[4:at], rng) + body[at:]


def _same_size_in_the_pages(body: bytes, rng: Random) -> bytes:
    data = bytearray(body)
    for _ in range(rng.choice((1, 3, 30))):
        data[rng.randrange(4, max(5, _footer_at(body)))] = rng.randrange(256)
    return bytes(data)


def _in_the_footer(body: bytes, rng: Random) -> bytes:
    at = _footer_at(body)
    footer = bytearray(body[at:-8])
    for _ in range(rng.choice((1, 1, 2, 5))):
        footer[rng.randrange(len(footer))] = rng.choice((0, 0xFF, 0x7F, rng.randrange(256)))
    return body[:at] + bytes(footer) + body[-8:]


def _footer_length(body: bytes, rng: Random) -> bytes:
    length = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, len(body), len(body) - 8, rng.randrange(2**16)))
    return body[:-8] + struct.pack("<I", length) + _MAGIC


def _magic(body: bytes, rng: Random) -> bytes:
    return rng.choice(
        (body[:-4] + b"PARE", b"PARE" + body[4:], body[4:], body[:-4], _MAGIC, _MAGIC * 2, _MAGIC * 3, _MAGIC + body)
    )


_DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _anywhere, _in_the_pages, _same_size_in_the_pages, _same_size_in_the_pages, _in_the_footer, _in_the_footer,
    _footer_length,
    _magic,
)  # fmt: skip
