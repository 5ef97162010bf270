"""CSV for the fuzzer: records written in every dialect, and broken structure.

What belongs here: from rows to text to bytes. What does not: values (`fuzz_values`), damage to bytes (`fuzz_bytes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz_values import edge, noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from fuzz_values import Row

Records = list[list[str]]

_DELIMITERS = (",", ";", "\t", "|")
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "utf-32", "utf-7", "cp037",
              "cp1251", "koi8_r", "cp932", "gb18030", "utf-32-le")  # fmt: skip


def csv_file(rows: list[Row], rng: Random, *, wrong: bool) -> tuple[bytes, str]:
    """A CSV file; `wrong` breaks its structure. Also returns what was done."""
    records = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    done = []
    if wrong:
        for _ in range(rng.choice((1, 1, 2, 3))):
            change = rng.choice(_STRUCTURE)
            change(records, rng)
            done.append(change.__name__.strip("_"))
    text = _written(records, rng, wrong=wrong)
    encoding = rng.choice(_ENCODINGS) if rng.random() < 0.25 else "utf-8"
    body = _encoded(text, encoding)
    if wrong and rng.random() < 0.15:
        other = rng.choice(_ENCODINGS)
        half = len(text) // 2
        body = _encoded(text[:half], encoding) + _encoded(text[half:], other)
        encoding += f" then {other}"
    return body, f"csv {encoding} {' '.join(done)}".strip()


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encoded(text: str, encoding: str) -> bytes:
    # Characters outside the encoding become question marks; utf-8 keeps lone surrogates, which readers must refuse.
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf-") else "replace")


def _written(records: Records, rng: Random, *, wrong: bool) -> str:
    delimiter = rng.choice(_DELIMITERS) if rng.random() < 0.4 else ","
    ends = [rng.choice(("\n", "\r\n", "\r"))] if rng.random() < 0.8 else ["\n", "\r\n", "\r", "\n\n", "\r\r\n", "\n\r"]
    always, never = rng.random() < 0.2, wrong and rng.random() < 0.15
    lines = []
    for record in records:
        if wrong and rng.random() < 0.02:
            delimiter = rng.choice(_DELIMITERS)
        cells = [cell if never else _quoted(cell, delimiter, always=always) for cell in record]
        lines.append(delimiter.join(cells) + rng.choice(ends))
    text = "".join(lines)
    return text if rng.random() < 0.8 else text.rstrip("\r\n")


def _quoted(cell: str, delimiter: str, *, always: bool) -> str:
    needs = always or any(sign in cell for sign in (delimiter, '"', "\n", "\r"))
    return '"' + cell.replace('"', '""') + '"' if needs else cell


def _column_dropped(records: Records, rng: Random) -> None:
    at = rng.randrange(max(1, len(records[0])))
    for record in records:
        del record[at : at + 1]


def _column_repeated(records: Records, rng: Random) -> None:
    at = rng.randrange(max(1, len(records[0])))
    for record in records:
        record[at:at] = record[at : at + 1]


def _column_unknown(records: Records, rng: Random) -> None:
    name = rng.choice(("unknown", "_rescued", "_file_id", "ctid", "SELECT", "a b-c", "", " ", "\x00", "é", "\ufeff",
    '"',
                       "_source_row", "_raw", "text of code", "c0", "x" * 100, "a'b", "a\nb", noise(rng)))  # fmt: skip
    for at, record in enumerate(records):
        record.append(edge("unknown", rng) if at and rng.random() < 0.3 else name)


def _columns_many(records: Records, rng: Random) -> None:
    for at in range(rng.choice((60, 1000))):
        for line, record in enumerate(records):
            record.append(f"k{at}" if line == 0 else "1")


def _columns_shuffled(records: Records, rng: Random) -> None:
    order = list(range(min(map(len, records))))
    rng.shuffle(order)
    for record in records:
        record[:] = [record[at] for at in order]


def _header_renamed(records: Records, rng: Random) -> None:
    records[0] = [rng.choice((name.upper(), f" {name} ", name.replace("_", "-"), name)) for name in records[0]]


def _header_broken(records: Records, rng: Random) -> None:
    if records[0]:
        records[0][rng.randrange(len(records[0]))] = rng.choice(
            ("", '"', 'a"b', "\x00", "\udc80", "x" * 300_000, "=1+1")
        )


def _header_gone(records: Records, rng: Random) -> None:
    del records[0]
    if not records:
        records.append([])


def _rows_gone(records: Records, rng: Random) -> None:
    del records[1:]


def _header_again(records: Records, rng: Random) -> None:
    records.insert(rng.randrange(len(records)) + 1, list(records[0]))


def _record_ragged(records: Records, rng: Random) -> None:
    record = rng.choice(records)
    if rng.random() < 0.5:
        record.extend([""] * rng.choice((1, 2, 2000)))
    else:
        del record[rng.randrange(len(record) + 1) :]


def _record_foreign(records: Records, rng: Random) -> None:
    records.insert(
        rng.randrange(len(records) + 1), [rng.choice(("", " ", "# comment", "sep=;", "Total", "\x00", "{}", '"'))]
    )


def _surrogate(records: Records, rng: Random) -> None:
    record = rng.choice(records)
    if record:
        record[rng.randrange(len(record))] += chr(rng.randrange(0xD800, 0xE000))


def _quotes_moved(records: Records, rng: Random) -> None:
    record = rng.choice(records)
    if record:
        at = rng.randrange(len(record))
        record[at] = rng.choice(('"{}', '{}"', 'a"{}', '"{}" ', "'{}'", '""{}', '\\"{}', "“{}”")).format(record[at])


_STRUCTURE: tuple[Callable[[Records, Random], None], ...] = (
    _column_dropped, _column_repeated, _column_unknown, _columns_many, _columns_shuffled, _header_renamed,
    _header_broken,
    _header_gone, _rows_gone, _header_again, _record_ragged, _record_foreign, _surrogate, _quotes_moved,
)  # fmt: skip
