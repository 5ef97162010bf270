"""Writes docs/tutorials/files/price_list.xlsx: `.venv/bin/python -m tests.tutorial_workbook`."""

from __future__ import annotations

from datetime import date

from local.settings import REPOSITORY
from tests.workbook_files import sheet_xml, xlsx

PATH = REPOSITORY / "docs" / "tutorials" / "files" / "price_list.xlsx"
_HEADER = ("Article no.", "Description", "Pieces per box", "List price (€)", "Discount", "Valid from")
_ARTICLES = (
    ("00042", "Oak chair", 2, 79.5, 0.05, date(2026, 12, 1)),
    ("00043", "Oak table, 1.80 m", 1, 649, 0.1, date(2026, 12, 1)),
    ("00044", "Oak table, 2.20 m", 1, 789, 0.1, date(2026, 12, 1)),
    ("00107", "Desk lamp", 4, 38.9, None, date(2026, 12, 1)),
    ("00108", "Floor lamp", 2, 119, None, date(2026, 12, 1)),
    ("00211", "Steel shelf", 1, 129.95, 0.05, date(2026, 6, 1)),
    ("00212", "Steel shelf, wide", 1, 159.95, 0.05, date(2026, 6, 1)),
    ("01300", "Garden hose, 25 m", 6, 24.99, None, date(2026, 6, 1)),
    ("01301", "Garden hose, 50 m", 4, 44.99, None, date(2026, 6, 1)),
    ("01410", "Watering can", 12, 14.5, None, date(2026, 6, 1)),
)
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml."
_KINDS = {
    "workbook.xml": "sheet.main",
    **{f"worksheets/sheet{at}.xml": "worksheet" for at in (1, 2, 3)},
    "styles.xml": "styles",
    "sharedStrings.xml": "sharedStrings",
}
# Excel opens a workbook without repairing it only if it says what each part is.
_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    + "".join(f'<Override PartName="/xl/{part}" ContentType="{_KIND}{kind}+xml"/>' for part, kind in _KINDS.items())
    + "</Types>",
    "xl/sharedStrings.xml": '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>',
}


def price_list() -> bytes:
    """A price list as suppliers send it: titles and a note around the table, a second sheet, a hidden one."""
    rows = [
        ("Nordlicht Möbel GmbH: price list",),
        ("December 2026, without VAT",),
        (),
        _HEADER,
        *[[_percent(value) if at == 4 else value for at, value in enumerate(row)] for row in _ARTICLES],
        (),
        ("Prices hold while stocks last.",),
    ]
    terms = [("Terms of delivery",), ("Free from 500 €.",), ("Returns within 14 days.",)]
    codes = [("Code", "Group"), (1, "Chairs"), (2, "Tables")]
    sheets = {"Prices": sheet_xml(rows), "Terms": sheet_xml(terms), "Codes": sheet_xml(codes)}
    return xlsx(sheets, hidden=["Codes"], parts=_PARTS)


def _percent(value: object) -> str | None:
    return None if value is None else f'<c {{r}} s="5"><v>{value}</v></c>'


if __name__ == "__main__":
    PATH.write_bytes(price_list())
