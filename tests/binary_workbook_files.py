"""Writes small workbooks of .xlsb: a ZIP file of binary records ([MS-XLSB]). .xls files are in tests/resources."""

import struct
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

from tests.workbook_files import _EPOCH, _OFFICE, _RELATIONS, zipped

ERRORS = {"#NULL!": 0, "#DIV/0!": 7, "#VALUE!": 15, "#REF!": 23, "#NAME?": 29, "#NUM!": 36, "#N/A": 42}


class Formula:
    """A formula with its stored value."""

    def __init__(self, value: object) -> None:
        self.value = value


def record(kind: int, content: bytes = b"") -> bytes:
    """A record: its type and the length of its content in seven bits per byte."""
    return _varint(kind) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        parts.append(low | (0x80 if value else 0))
        if not value:
            return bytes(parts)


def wide(text: str) -> bytes:
    """A text as the format stores it."""
    data = text.encode("utf-16-le")
    return struct.pack("<I", len(data) // 2) + data


def xlsb(sheets: Mapping[str, Sequence[Sequence[object]]], *, hidden: Sequence[str] = ()) -> bytes:
    """A workbook of sheets by their names. Texts are shared; a text like #N/A is an error cell."""
    texts: dict[str, int] = {}
    parts = {f"xl/worksheets/sheet{at}.bin": _sheet(rows, texts) for at, rows in enumerate(sheets.values(), 1)}
    bundles = b"".join(
        record(156, struct.pack("<II", name in hidden, at) + wide(f"rId{at}") + wide(name))
        for at, name in enumerate(sheets, 1)
    )
    workbook = record(131) + record(143) + bundles + record(144) + record(132)
    targets = {f"rId{at}": ("worksheet", f"worksheets/sheet{at}.bin") for at in range(1, len(sheets) + 1)}
    targets |= {"styles": ("styles", "styles.bin"), "strings": ("sharedStrings", "sharedStrings.bin")}
    relations = "".join(
        f'<Relationship Id="{key}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for key, (kind, target) in targets.items()
    )
    strings = b"".join(record(19, b"\0" + wide(text)) for text in texts)
    # The cell formats: general, and the built-in formats of a date (14) and of a date with time (22).
    formats = b"".join(record(47, struct.pack("<HHHHHHHH", 0, form, 0, 0, 0, 0, 0, 0)) for form in (0, 14, 22))
    styles = record(278) + record(617, struct.pack("<I", 3)) + formats + record(618) + record(279)
    return zipped(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r" Type="{_OFFICE}/officeDocument" '
            'Target="xl/workbook.bin"/></Relationships>',
            "xl/workbook.bin": workbook,
            "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{_RELATIONS}">{relations}</Relationships>',
            "xl/styles.bin": styles,
            "xl/sharedStrings.bin": record(159, struct.pack("<II", len(texts), len(texts))) + strings + record(160),
            **parts,
        }
    )


def _sheet(rows: Sequence[Sequence[object]], texts: dict[str, int]) -> bytes:
    width = max((len(row) for row in rows), default=1)
    data = record(148, struct.pack("<IIII", 0, max(0, len(rows) - 1), 0, width - 1)) + record(145)
    for at, row in enumerate(rows):
        if any(value is not None for value in row):
            data += record(0, struct.pack("<IIHHBI", at, 0, 300, 0, 0, 0))
            data += b"".join(_cell(value, column, texts) for column, value in enumerate(row) if value is not None)
    return record(129) + data + record(146) + record(130)


def _cell(value: object, column: int, texts: dict[str, int]) -> bytes:
    kinds, end = {"text": 7, "number": 5, "bool": 4, "error": 3}, b""
    if isinstance(value, Formula):
        kinds, end = {"text": 8, "number": 9, "bool": 10, "error": 11}, struct.pack("<HII", 0, 0, 0)
        value = value.value
    style = 0
    match value:
        case str() if value in ERRORS:
            kind, content = "error", bytes([ERRORS[value]])
        case str() if end:
            kind, content = "text", wide(value)
        case str():
            kind, content = "text", struct.pack("<I", texts.setdefault(value, len(texts)))
        case bool():
            kind, content = "bool", bytes([value])
        case datetime():
            kind, content, style = "number", struct.pack("<d", (value - _EPOCH) / timedelta(days=1)), 2
        case date():
            days = (datetime.combine(value, time()) - _EPOCH).days
            kind, content, style = "number", struct.pack("<d", days), 1
        case tuple():  # a number with a style
            kind, content, style = "number", struct.pack("<d", value[0]), value[1]
        case _:
            kind, content = "number", struct.pack("<d", value)
    return record(kinds[kind], struct.pack("<II", column, style) + content + end)
