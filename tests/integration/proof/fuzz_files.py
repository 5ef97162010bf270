"""A file for every seed: `mutant(seed)` returns the same bytes each time.

What belongs here: which mutations are combined. What does not: the mutations themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import fuzz_binary
import fuzz_bytes
from fuzz_json import json_file
from fuzz_parquet import parquet_file
from fuzz_text import csv_file
from fuzz_values import good_rows, with_edges

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz_values import Row

    from include.contracts.dialect import Dialect

FORMATS = ("csv", "json", "ndjson", "parquet", "xlsx", "xlsb", "xls", "ods", "avro", "orc", "arrow")
_FOREIGN = (
    b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"BZh9", b"\x7fELF\x02", b"Obj\x01",
    b"<?xml ?>",
    b"<!DOCTYPE html>", b"#!/bin/sh\n", b"---\na: 1\n", b"\xff" * 64, b"\0" * 64, b"%", b"\n" * 2000, b" ",
    b"\xef\xbb\xbf",
    b"\xff\xfe", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"(", b'"', b"PAR1,PAR2\n1,2\n",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file with its name, and `story`: the mutations that made it.

    `members` are the names in an archive that is not damaged; None of any other file.
    """

    seed: int
    name: str
    body: bytes
    story: str
    members: tuple[str, ...] | None = None


def good_file(dataset: str, seed: int, dialect: Dialect) -> tuple[bytes, int]:
    """A CSV file that loads, and its number of rows."""
    count = 20
    rng = Random(f"good {seed}")
    rows = good_rows(dataset, rng, count)
    lines = [list(rows[0]), *(["" if value is None else str(value) for value in row.values()] for row in rows)]
    table = [",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    text = ["a title"] * dialect.skip_lines + table[not dialect.has_header :] + ["an end"] * dialect.footer_lines
    return "\n".join(text).encode(dialect.encoding or "utf-8", "replace"), count


def mutant(dataset: str, seed: int) -> Mutant:
    """The file of that seed for a dataset."""
    rng = Random(seed)
    kind = rng.choice(FORMATS)
    rows = good_rows(dataset, rng, rng.choice((1, 2, 5, 20, 60)))
    story = []
    edges, structure, damage, compression = (rng.random() < chance for chance in (0.5, 0.55, 0.3, 0.12))
    if edges:
        with_edges(rows, rng)
        story.append("edges")
    body, made = _written(kind, rows, rng, wrong=structure or not edges)
    story.append(made)
    if damage:
        change = rng.choice(fuzz_bytes.MUTATIONS)
        body = change(body, rng) if body else body
        story.append(change.__name__)
    if compression:
        body, made = fuzz_bytes.packed(body, rng)
        story.append(made)
    members = None
    if rng.random() < 0.1:
        body, made, members = fuzz_bytes.archived(f"{seed}.{kind}", body, rng)
        story.append(made)
    if rng.random() < 0.03:
        body = rng.choice(_FOREIGN) + (body if rng.random() < 0.3 else rng.randbytes(rng.choice((0, 100, 5000))))
        story.append("foreign")
        members = None
    ending = (
        kind if rng.random() < 0.8 else rng.choice((*FORMATS, "csv.gz", "json.zst", "txt", "CSV", "gz", "zip", "tgz"))
    )
    return Mutant(seed, f"{seed:06}.{ending}", body, ", ".join(story), members)


def _written(kind: str, rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    writers: dict[str, Callable[[], tuple[bytes, str]]] = {
        "csv": lambda: csv_file(rows, rng, wrong=wrong),
        "json": lambda: json_file(rows, rng, wrong=wrong, lines=False),
        "ndjson": lambda: json_file(rows, rng, wrong=wrong, lines=True),
        "parquet": lambda: parquet_file(rows, rng, wrong=wrong),
        "xlsx": lambda: fuzz_binary.xlsx_file(rows, rng, wrong=wrong),
        "xlsb": lambda: fuzz_binary.xlsb_file(rows, rng, wrong=wrong),
        "xls": lambda: fuzz_binary.xls_file(rng, wrong=wrong),
        "ods": lambda: fuzz_binary.ods_file(rows, rng, wrong=wrong),
        "avro": lambda: fuzz_binary.avro_file(rows, rng, wrong=wrong),
        "orc": lambda: fuzz_binary.orc_file(rows, rng),
        "arrow": lambda: fuzz_binary.arrow_file(rows, rng),
    }
    return writers[kind]()
