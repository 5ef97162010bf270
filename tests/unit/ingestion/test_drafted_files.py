"""Real exports as they come: each is drafted, the marks are removed after review, and the file loads with it.

What is checked beside the rows: the options that the draft states, and that each has its evidence behind a REVIEW.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from include.contracts.reader import read_contract
from include.ingestion.drafting.draft import draft_contract
from include.ingestion.drafting.names import column_name, dataset_name
from include.samples.badness import Bad, BadKind, SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, IngestSettings
from tests.workbook_files import ods, sheet_xml, xlsx

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit

SETTINGS = IngestSettings()


def reviewed(folder: Path, text: str) -> Contract:
    """The contract after its review: nothing was wrong, so that only the marks are removed."""
    text = re.sub(r"[ \t]*# REVIEW.*", "", text).replace("TODO", "Sales").replace("status: draft", "status: active")
    path = folder / "things.yaml"
    path.write_text(text, encoding="utf-8")
    return read_contract(path)


@dataclass(frozen=True)
class Case:
    """A file, and what its draft should say. `rows` are the first ones by the columns that they name."""

    content: bytes
    count: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    dialect: dict[str, Any] = field(default_factory=dict)
    key: tuple[str, ...] = ("_file_id", "_source_row")


def lines(*texts: str, end: str = "\n") -> str:
    return end.join(texts) + end


BANK = lines(
    "Umsatzanzeige;Datei erstellt am: 01.12.2026",
    "Konto;DE12500105170648489890",
    "Kunde;Müller & Söhne",
    "Zeitraum;01.11.2026 - 30.11.2026",
    "",
    "Buchung;Wertstellungsdatum;Auftraggeber/Empfänger;Verwendungszweck;Betrag;Währung;Saldo",
    *(
        f"{day:02}.11.26;{day:02}.11.26;Bäckerei Groß;Rechnung {day % 3};{'-' * (day % 2)}{'1.2' * (day % 5 == 0)}"
        f"{day + 10},50;EUR;1.{day + 100},05"
        for day in range(1, 29)
    ),
    "Summe;;;;1.234,56;EUR;",
    end="\r\n",
).encode("cp1252")
DOCUMENT: dict[str, Any] = {
    "status": "ok",
    "paging": {"next": None, "total": 3},
    "data": [
        {
            "id": f"o-{at}",
            "customer": {"name": f"Zoé {at}", "address": {"zip": f"0{at}123", "city": "Łódź"}},
            "lines": [{"sku": "a", "n": at}],
            "total": Decimal("12.50") if at else 3,
            "placed_at": f"2026-11-0{at + 1}T10:00:00Z",
        }
        for at in range(3)
    ],
}
PRICES: list[list[object]] = [
    ["Preisliste Herbst 2026"],
    ["Stand: 01.11.2026, alle Preise netto"],
    [],
    ["Artikelnr.", "Bezeichnung", "Größe (m)", "Preis €", "Gültig ab"],
    *([f"A-{at:03}", f"Schraube M{at}", at / 4, at + 0.5, date(2026, 11, at)] for at in range(1, 21)),
    [],
    ["Alle Angaben ohne Gewähr"],
]
STATIONS = {
    f"st-{at}": {"name": f"Nord {at}", "position": {"lat": 52.5 + at, "lon": 13}, "open": at > 1} for at in range(4)
}
FIRMWARE = lines(
    "device_id,firmware,bootloader,seen",
    *(f"d{at},2.4.{at},10.11.1{at},2026-11-0{at} 10:00:00" for at in range(1, 8)),
)
SHOP = lines(
    "Name,Email,Financial Status,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Created at",
    "#1001,ada@example.org,paid,1,Blue shirt,19.99,SH-1,2026-11-01 09:12:00 +0100",
    "#1001,,,2,Red shirt,24.99,SH-2,2026-11-01 09:12:00 +0100",
    "#1002,bob@example.org,paid,1,Cap,9.95,CA-1,2026-11-02 10:00:00 +0100",
    "#1003,eve@example.org,paid,1,Mug,7.50,,2026-11-03 11:00:00 +0100",
)
POLISH = lines("nr;miejscowość;województwo", *(f"{at};Łódź Śródmieście;łódzkie wzgórze żółć" for at in range(1, 30)))
RUSSIAN = lines("номер;имя;город", *(f"{at};Сергей Иванов;Санкт-Петербург" for at in range(1, 30)))
GREEK = lines("αριθμός;όνομα;πόλη", *(f"{at};Γιώργος Παπαδόπουλος;Θεσσαλονίκη" for at in range(1, 30)))
SENSORS = lines(
    "sensor_id,measured_at,temperature,humidity,note",
    *(
        f"s{at % 2},2026-11-01T10:{at:02}:00Z,{'N/A' if at % 5 == 0 else 20 + at / 10},"
        f"{'-' if at % 7 == 0 else 40 + at},{'' if at % 3 else 'dry - warm'}"
        for at in range(40)
    ),
)
NESTED = pa.table(
    {
        "id": [1, 2, 3],
        "reading": pa.array([{"value": 1.5, "unit": {"name": "C"}}, {"value": 2.5, "unit": {"name": "C"}}, None]),
        "tags": [["a"], [], None],
        "at": pa.array([datetime(2026, 1, 1)] * 3, pa.timestamp("us")),  # noqa: DTZ001
    }
)
NESTED_ROWS = [{"id": 1, "reading_value": 1.5, "reading_unit_name": "C", "at": datetime(2026, 1, 1)}]  # noqa: DTZ001


def stored(write: Any) -> bytes:
    target = BytesIO()
    write(target)
    return target.getvalue()


def arrow_file(table: pa.Table) -> bytes:
    target = BytesIO()
    with pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue()


def avro_file() -> bytes:
    schema = {
        "type": "record",
        "name": "thing",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "code", "type": "string"},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
            {"name": "inner", "type": {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "double"}]}},
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        ],
    }
    records = [
        {"id": at, "code": str(at), "price": Decimal("1.50"), "inner": {"x": 0.5}, "day": date(2026, 1, 1)}
        for at in range(3)
    ]
    return stored(lambda target: fastavro.writer(target, schema, records))


def as_json(value: Any, **options: Any) -> bytes:
    return json.dumps(value, default=float, ensure_ascii=False, **options).encode()


PLAIN = lines("id;name;amount", "1;Zoë;1,5", "2;Åsa;2,25")
CASES = {
    "German bank statement": Case(
        BANK, 28,
        [{
            "buchung": date(2026, 11, 1), "wertstellungsdatum": date(2026, 11, 1),
            "auftraggeber_empfaenger": "Bäckerei Groß", "betrag": Decimal("-11.50"), "saldo": Decimal("1101.05"),
        }],
        {"encoding": "cp1252", "delimiter": ";", "skipLines": 5, "footerLines": 1, "decimal": ",", "thousands": "."},
    ),
    "nested JSON export": Case(
        as_json(DOCUMENT, indent=1), 3,
        [{"id": "o-0", "customer_name": "Zoé 0", "customer_address_zip": "00123", "lines": '[{"sku":"a","n":0}]'}],
        {"recordPath": "data"}, ("id",),
    ),
    "nested JSON export on one line": Case(
        as_json(DOCUMENT), 3, [{"id": "o-0", "customer_address_city": "Łódź"}], {"recordPath": "data"}, ("id",)
    ),
    "JSON export longer than a row may be": Case(
        as_json({"meta": {"n": 1}, "result": {"rows": [{"id": at, "text": "x" * 100} for at in range(20_000)]}}),
        20_000, [{"id": 0}], {"recordPath": "result.rows"}, ("id",),
    ),
    "JSON array": Case(as_json(DOCUMENT["data"]), 3, [{"customer_name": "Zoé 0"}], {}, ("id",)),
    "NDJSON with orders": Case(
        b"\n".join(as_json(one) for one in DOCUMENT["data"]), 3, [{"customer_name": "Zoé 0"}], {}, ("id",)
    ),
    "JSON of one order": Case(as_json(DOCUMENT["data"][0]), 1, [{"id": "o-0"}], {}, ("id",)),
    "objects keyed by id": Case(
        as_json(STATIONS), 4, [{"id": "st-0", "name": "Nord 0", "position_lat": Decimal("52.5"), "open": False}],
        {"keyColumn": "id"}, ("id",),
    ),
    "objects keyed by id inside of a document": Case(
        as_json({"time": "now", "stations": STATIONS}), 4, [{"id": "st-0"}],
        {"recordPath": "stations", "keyColumn": "id"}, ("id",),
    ),
    "objects that repeat their key as id": Case(
        as_json({"a1": {"id": "a1", "n": 1}, "b2": {"id": "b2", "n": 2}}), 2, [{"id": "a1", "n": 1, "_rescued": None}],
        {"keyColumn": "id"}, ("id",),
    ),
    "objects with another id than their key": Case(
        as_json({"a1": {"id": 7, "n": 1}, "b2": {"id": 8, "n": 2}}), 2, [{"record_key": "a1", "id": 7}],
        {"keyColumn": "record_key"}, ("record_key",),
    ),
    "objects whose members are data": Case(
        b"\n".join(as_json({"id": at, "attributes": {f"k{at * 3 + n}": n for n in range(3)}}) for at in range(9)), 9,
        [{"id": 0, "attributes": '{"k0":0,"k1":1,"k2":2}'}], {}, ("id",),
    ),
    "Excel price list": Case(
        xlsx({"Preise": sheet_xml(PRICES)}), 20,
        [{"artikelnr": "A-001", "bezeichnung": "Schraube M1", "groesse_m": Decimal("0.25"), "preis": Decimal("1.5"),
          "gueltig_ab": date(2026, 11, 1)}],
        {"skipLines": 3, "footerLines": 1}, ("artikelnr",),
    ),
    "price list of LibreOffice with a second sheet": Case(
        ods({"Info": [["Hinweise"], ["Nur für Händler"]], "Preise": PRICES}), 20, [{"artikelnr": "A-001"}],
        {"sheet": "Preise", "skipLines": 3, "footerLines": 1}, ("artikelnr",),
    ),
    "firmware versions": Case(
        FIRMWARE.encode(), 7, [{"device_id": "d1", "firmware": "2.4.1", "bootloader": "10.11.11"}], {}, ("device_id",)
    ),
    "orders of a shop": Case(
        SHOP.encode(), 4, [{"name": "#1001", "lineitem_price": Decimal("19.99"), "lineitem_sku": "SH-1"}]
    ),
    "Polish text": Case(
        POLISH.encode("cp1250"), 29, [{"miejscowosc": "Łódź Śródmieście", "wojewodztwo": "łódzkie wzgórze żółć"}],
        {"encoding": "cp1250", "delimiter": ";"}, ("nr",),
    ),
    "Russian text": Case(
        RUSSIAN.encode("cp1251"), 29, [{"имя": "Сергей Иванов", "город": "Санкт-Петербург"}],
        {"encoding": "cp1251", "delimiter": ";"}, ("номер",),
    ),
    "Greek text": Case(
        GREEK.encode("cp1253"), 29, [{"όνομα": "Γιώργος Παπαδόπουλος"}], {"encoding": "cp1253", "delimiter": ";"},
        ("αριθμός",),
    ),
    "UTF-16 without a mark": Case(
        PLAIN.encode("utf-16-le"), 2, [{"id": 1, "name": "Zoë", "amount": Decimal("1.5")}],
        {"encoding": "utf-16-le", "delimiter": ";", "decimal": ","}, ("id",),
    ),
    "sensors with null words": Case(
        SENSORS.encode(), 40,
        [{"sensor_id": "s0", "temperature": None, "humidity": None},
         {"sensor_id": "s1", "temperature": Decimal("20.1"), "humidity": 41}],
        {"nullValues": ["N/A", "-"]}, ("sensor_id", "measured_at"),
    ),
    "no header": Case(
        b"1;2026-01-02;1,50;x\n2;2026-01-03;2,50;y\n3;2026-01-04;3,50;x\n", 3,
        [{"column_1": 1, "column_2": date(2026, 1, 2), "column_3": Decimal("1.50")}],
        {"delimiter": ";", "header": False, "decimal": ","}, ("column_1",),
    ),
    "a name twice": Case(
        b"id,price,price,\n1,2.5,3.5,x\n2,4.5,5.5,y\n", 2, [{"price": Decimal("2.5"), "price_2": Decimal("3.5")}],
        {"header": ["id", "price", "price 2", "column 4"], "skipLines": 1}, ("id",),
    ),
    "comments before the header": Case(
        b"# exported by x\n# 2026\nid,n\n1,2\n# half\n2,3\n", 2, [{"id": 1, "n": 2}], {"comment": "#"}, ("id",)
    ),
    "apostrophes around cells": Case(
        b"'id','name'\n'a1','x, y'\n'b2','it''s'\n", 2, [{"id": "a1", "name": "x, y"}], {"quote": "'"}, ("id",)
    ),
    "backslashes before quotes": Case(
        b'id,name\n1,"a \\"b\\" c"\n2,"d, e"\n3,f\n', 3, [{"id": 1, "name": 'a "b" c'}],
        {"escape": "\\", "nullValues": ["\\N"]}, ("id",),
    ),
    "dump of a database with backslashes": Case(
        b'id,name,n\n1,"a \\"b\\", c",\\N\n2,\\N,7\n3,f,-\n', 3,
        [{"name": 'a "b", c', "n": None}, {"name": None, "n": 7}],
        {"escape": "\\", "nullValues": ["\\N", "-"]}, ("id",),
    ),
    "dump of a database": Case(
        b"id\tname\tn\n1\t\\N\t5\n2\tb\t\\N\n", 2, [{"name": None, "n": 5}, {"name": "b", "n": None}],
        {"delimiter": "\t", "nullValues": ["\\N"]}, ("id",),
    ),
    "thousands without decimals": Case(
        b"id;n\n1;1 234 567\n2;5\n", 2, [{"n": 1234567}], {"delimiter": ";", "thousands": " "}, ("id",)
    ),
    "millions with points": Case(
        b"id;n\n1;1.234.567\n2;5\n", 2, [{"n": 1234567}], {"delimiter": ";", "decimal": ",", "thousands": "."}, ("id",)
    ),
    "quotes without a meaning": Case(
        b'id\tsize\n1\t"3 pipe\n2\t5" pipe\n3\t"x" y\n', 3, [{"size": '"3 pipe'}],
        {"delimiter": "\t", "quote": None}, ("id",),
    ),
    "line of Excel that names the delimiter": Case(b"sep=;\nid;n\n1;2,5\n2;3,5\n", 2, [{"id": 1, "n": Decimal("2.5")}],
                                                   {"decimal": ","}, ("id",)),
    "preamble as wide as the table": Case(
        b"Report,Sales\nDate,2026-01-01\n\nproduct,units\nA,1\nB,2\nC,3\n", 3, [{"product": "A", "units": 1}],
        {"skipLines": 3}, ("product",),
    ),
    "two lines of header": Case(
        b";;2026;2026\nid;name;jan;feb\n1;a;5;6\n2;b;7;8\n", 2, [{"id": 1, "jan": 5}],
        {"delimiter": ";", "skipLines": 1}, ("id",),
    ),
    "years as names": Case(b"region,2023,2024\nN,5,6\nS,7,8\n", 2, [{"column_2023": 5}], {}, ("region",)),
    "a line of totals without a gap": Case(
        b"product,units,price\nA,1,2.50\nB,2,3.50\nTotal,3,6.00\n", 2, [{"units": 1}], {"footerLines": 1}, ("product",)
    ),
    "a note behind an empty line": Case(
        b"id,name,n\n1,a,2\n2,b,3\n\nAll figures are provisional\n\n", 2, [{"n": 2}], {"footerLines": 1}, ("id",)
    ),
    "one column whose texts have commas": Case(
        b"text\na, b\nc\n", 2, [{"text": "a, b"}], {"delimiter": "\t"}
    ),
    "Excel with a line of totals in full": Case(
        xlsx({"S": sheet_xml([[None, "Prices"], [], [None, "id", "n"], [None, "a1", 5], [None, "Sum", 5]])}), 1,
        [{"id": "a1", "n": 5}], {"skipLines": 2, "footerLines": 1}, ("id",),
    ),
    "Excel with a name twice": Case(
        xlsx({"S": sheet_xml([["id", "n", "n"], ["a1", 5, 6]])}), 1, [{"id": "a1", "n_2": 5, "n_3": 6}],
        {"header": ["id", "n 2", "n 3"], "skipLines": 1}, ("id",),
    ),
    "pipes": Case(b"id|n\n1|2\n2|3\n", 2, [{"id": 1}], {"delimiter": "|"}, ("id",)),
    "numbers with a minus behind": Case(
        b"id;n\n1;12.50-\n2;3.00\n", 2, [{"n": Decimal("-12.50")}], {"delimiter": ";", "trailingMinus": True}, ("id",)
    ),
    "American numbers": Case(
        b'id,n\n1,"1,234.50"\n2,3.00\n', 2, [{"n": Decimal("1234.50")}], {"thousands": ","}, ("id",)
    ),
    "times of day": Case(
        b"id,at\n1,31.12.2026 23:59\n2,01.12.2026 08:00\n", 2,
        [{"at": datetime(2026, 12, 31, 23, 59)}], {}, ("id",)  # noqa: DTZ001
    ),
    "gzip": Case(gzip.compress(PLAIN.encode()), 2, [{"name": "Zoë"}], {"delimiter": ";", "decimal": ","}, ("id",)),
    "bzip2": Case(bz2.compress(PLAIN.encode()), 2, [{"name": "Zoë"}], {"delimiter": ";", "decimal": ","}, ("id",)),
    "xz in an encoding of Windows": Case(
        lzma.compress(PLAIN.encode("cp1252")), 2, [{"name": "Zoë"}],
        {"encoding": "cp1252", "delimiter": ";", "decimal": ","}, ("id",),
    ),
    "nested Parquet": Case(stored(lambda target: pq.write_table(NESTED, target)), 3, NESTED_ROWS, {}, ("id",)),
    "ORC": Case(stored(lambda target: orc.write_table(NESTED, target)), 3, NESTED_ROWS, {}, ("id",)),
    "Arrow": Case(arrow_file(NESTED), 3, NESTED_ROWS, {}, ("id",)),
    "Avro": Case(avro_file(), 3, [{"id": 0, "code": "0", "price": Decimal("1.50"), "inner_x": 0.5,
                                   "day": date(2026, 1, 1)}], {}, ("id",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_file_is_drafted_and_loads_as_it_comes(stages, tmp_path: Path, case: Case) -> None:
    sample = tmp_path / "sample"
    sample.write_bytes(case.content)
    text = draft_contract(sample, "things", SETTINGS)
    assert "status: draft" in text
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if "logicalType:" in line or "formats, value" in line or "primaryKey:" in line:
            assert re.search(r"# REVIEW .*\d", line), line
    contract = reviewed(tmp_path, text)
    assert not contract.is_draft
    assert contract.key == case.key
    block = text.partition("- property: dialect")[2]
    stated = dict(re.findall(r"^      (\w+): (.*?)  # REVIEW .{8}", block, re.MULTILINE))
    assert {name: json.loads(value) for name, value in stated.items()} == case.dialect
    validated = stages.validate(contract, sample)
    assert (validated.rows_read, validated.rejects.rows) == (case.count, 0)
    found = stages.processed(contract, validated)
    for row, expected in zip(found, case.rows, strict=False):
        assert {name: row[name] for name in expected} == expected


# Files of the generator, as they are and with faults


@pytest.mark.parametrize("file_format", SampleFormat)
@pytest.mark.parametrize("name", ["sales", "inventory", "transactions"])
def test_a_generated_file_is_drafted_and_loads(stages, tmp_path: Path, name: str, file_format: SampleFormat) -> None:
    sample = tmp_path / f"sample.{file_format}"
    write_sample(Sample(read_contract(CONTRACTS_DIR / f"{name}.yaml"), 60, seed=7), sample, file_format)
    contract = reviewed(tmp_path, draft_contract(sample, "things", SETTINGS))
    validated = stages.validate(contract, sample)
    assert (validated.rows_read, validated.rejects.rows) == (60, 0)


FAULTS = [BadKind.TEXT_IN_NUMBER, BadKind.BAD_DATE, BadKind.TOO_FEW_FIELDS, BadKind.BROKEN_QUOTE, BadKind.NOT_UTF8]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_with_bad_rows_is_drafted_with_a_budget_or_as_text(stages, tmp_path: Path, fault: BadKind) -> None:
    sample = tmp_path / "sample.csv"
    origin = read_contract(CONTRACTS_DIR / "sales.yaml")
    write_sample(Sample(origin, 60, bad=(Bad(fault, 2),)), sample, SampleFormat.CSV)
    text = draft_contract(sample, "things", SETTINGS)
    contract = reviewed(tmp_path, text)
    validated = stages.validate(contract, sample)
    refused = validated.rejects.rows
    assert refused == contract.budget.rows
    assert refused in {0, 2}
    assert (f"# REVIEW {refused} of" in text) == bool(refused)


def test_a_row_with_an_error_cell_is_in_the_budget_and_its_column_keeps_its_type(stages, tmp_path: Path) -> None:
    sample = tmp_path / "sample.xlsx"
    rows = [["id", "n"], ["1", '<c {r} t="e"><v>#N/A</v></c>'], ["2", 5]]
    sample.write_bytes(xlsx({"S": sheet_xml(rows)}))
    text = draft_contract(sample, "things", SETTINGS)
    contract = reviewed(tmp_path, text)
    assert "# REVIEW 1 of 2 rows of the sample are refused: n holds the error #N/A. [error-cell]" in text
    assert contract.by_name["n"].postgres_type == "bigint"
    assert stages.validate(contract, sample).rejects.rows == contract.budget.rows == 1


# Doubt


def draft_of(tmp_path: Path, content: str, name: str = "sample.csv") -> tuple[str, Contract]:
    sample = tmp_path / name
    sample.write_text(content, encoding="utf-8")
    text = draft_contract(sample, "things", SETTINGS)
    return text, reviewed(tmp_path, text)


def test_a_last_line_that_is_cut_off_is_no_footer(tmp_path: Path) -> None:
    content = "id,day,n\n1,2026-01-01,5\n2,2026-01-02,6\n3,2026-01\n"
    text, contract = draft_of(tmp_path, content)
    assert contract.dialect.footer_lines == 0
    assert contract.budget.rows == 1
    assert "too-few-fields" in text


@pytest.mark.parametrize("last", ["3,,", "3", "2026-01-03,,"])
def test_a_last_row_behind_a_gap_that_begins_as_the_others_is_no_footer(tmp_path: Path, last: str) -> None:
    first = "2026-01-0" if last.startswith("2026") else ""
    _, contract = draft_of(tmp_path, f"id,name,n\n{first}1,a,5\n{first}2,b,6\n\n{last}\n")
    assert contract.dialect.footer_lines == 0


def test_a_row_that_begins_with_total_among_others_is_no_footer(tmp_path: Path) -> None:
    content = "product,n,note\nTotal cleaner,5,\nSoap,6,x\nTotal wax,7,\n"
    _, contract = draft_of(tmp_path, content)
    assert contract.dialect.footer_lines == 0


AMBIGUOUS = {
    "thousands or decimals": ("id;n\n1;1,234\n2;5,678\n", "text"),
    "points and commas in two columns": ("id;n;m\n1;1,25;2.5\n2;1,75;3.5\n", "text"),
    "years of two digits in any order": ("id,n\n1,01.02.03\n2,04.05.06\n", "text"),
    "days before 1900": ("id,n\n1,1850-01-01\n2,2026-01-01\n", "text"),
    "a dash that means something": ("id,n\n1,-\n2,x\n", "text"),
    "null words in quotes": ('id,n\n1,"N/A"\n2,5\n', "text"),
}


@pytest.mark.parametrize(("content", "kind"), AMBIGUOUS.values(), ids=list(AMBIGUOUS))
def test_a_column_in_doubt_stays_text(tmp_path: Path, content: str, kind: str) -> None:
    text, contract = draft_of(tmp_path, content)
    assert contract.by_name["n"].postgres_type == kind
    assert contract.dialect.null_values == ()
    assert contract.dialect.decimal == "."
    if "," in content.splitlines()[1] and ";" in content:
        assert "REVIEW text, but a number with decimal: ','" in text


TWO_READINGS = {
    "thousands that nothing proves": (
        "id;n;price\n1;1.250;2,50\n2;3.500;1,00\n", "text", None,
        "text, but a number with decimal: '.' in the dialect, or with thousands: '.' there",
    ),
    "positions beside proven thousands": (
        "id;n;sales\n1;52.520;1.000,50\n2;48.137;2.300,00\n", "bigint", ".",
        "'.' is read as a separator of thousands; have values such as '48.137' decimals?",
    ),
    "three decimals": (
        "id;n\n1;1.234\n2;12\n", "numeric(11,3)", None,
        "'.' is read as a decimal mark; are values such as '1.234' whole numbers with thousands?",
    ),
    "three decimals and a zero": ("id;n\n1;0.234\n2;1.125\n", "numeric(11,3)", None, ""),
    "one group with a space": (
        "id;n\n1;1 234\n2;12\n", "text", None, "text, but a number with decimal: ',' and thousands: ' ' in the dialect"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "kind", "thousands", "review"), TWO_READINGS.values(), ids=list(TWO_READINGS))
def test_numbers_with_two_readings_are_marked(
    tmp_path: Path, content: str, kind: str, thousands: str | None, review: str
) -> None:
    text, contract = draft_of(tmp_path, content)
    column = text.partition("- name: n\n")[2].partition("- name: ")[0]
    assert contract.by_name["n"].postgres_type == kind
    assert contract.dialect.thousands == thousands
    assert ("'.'" in column or "' '" in column) is bool(review)
    assert review in column
    assert "0 of 0" not in text


def test_a_word_of_two_letters_among_such_codes_is_no_null(tmp_path: Path) -> None:
    text, contract = draft_of(tmp_path, "country,n\nDE,1.5\nNA,NA\nFR,2\n")
    assert contract.dialect.null_values == ()
    assert contract.by_name["n"].postgres_type == "text"
    assert "# REVIEW text because of 'NA': it is no word of nullValues, as country has it among codes like it" in text


def test_a_column_of_text_that_loses_values_is_marked(tmp_path: Path) -> None:
    text, contract = draft_of(tmp_path, "id,n,comment,name\n1,-,ok,a\n2,5,-,b\n3,6,-,c\n")
    assert contract.dialect.null_values == ("-",)
    assert "# REVIEW '-' is 2 of 3 values of comment, '-' is 1 of 3 values of n" in text
    comment = text.partition("- name: comment\n")[2].partition("- name: ")[0]
    assert "# REVIEW 2 of 3 values become empty, as nullValues has '-'" in comment
    assert text.count("become empty") == 1


ITEMS = [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]
ONE_RECORD: dict[str, dict[str, Any]] = {
    "an id beside the list": {"id": 5, "customer": "A", "items": ITEMS},
    "an id behind the list": {"items": ITEMS, "orderId": 5},
    "a number beside the list": {"invoice_no": "2026-1", "rows": ITEMS},
    "an id above the list": {"id": 5, "content": {"data": ITEMS}},
    "a list that is called otherwise": {"customer": "A", "lines": ITEMS},
    "objects by their keys": {"id": 5, "prices": {"a": {"net": 1, "tax": 2}, "b": {"net": 3, "tax": 4}}},
    "a list without objects": {"id": 5, "items": []},
}


@pytest.mark.parametrize("document", ONE_RECORD.values(), ids=list(ONE_RECORD))
def test_an_object_with_a_list_inside_is_one_record(stages, tmp_path: Path, document: dict[str, Any]) -> None:
    _, contract = draft_of(tmp_path, json.dumps(document), "sample.json")
    assert contract.dialect.record_path is None
    assert contract.dialect.key_column is None
    assert "sku" not in contract.key
    assert stages.validate(contract, tmp_path / "sample.json").rows_read == 1


EXPORTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "paging": ({"total": 2, "nextPage": None, "orders": ITEMS}, "orders", "; not read: 'total', 'nextPage'"),
    "a usual name": ({"shop": "Nord", "items": ITEMS}, "items", "; not read: 'shop'"),
    "the id of a request": ({"request_id": "x", "data": ITEMS}, "data", "; not read: 'request_id'"),
    "two lists": ({"orders": ITEMS, "refunds": ITEMS[:1]}, "orders", "; not read: 'refunds'"),
    "nothing else": ({"stations": ITEMS}, "stations", "looked at\n"),
    "below a usual name": ({"meta": {"n": 1}, "data": {"stations": ITEMS}}, "data.stations", "; not read: 'meta'"),
}


@pytest.mark.parametrize(("document", "path", "evidence"), EXPORTS.values(), ids=list(EXPORTS))
def test_an_envelope_gives_its_list_and_names_what_is_not_read(
    tmp_path: Path, document: dict[str, Any], path: str, evidence: str
) -> None:
    text, contract = draft_of(tmp_path, json.dumps(document), "sample.json")
    assert contract.dialect.record_path == path
    line = next(one for one in text.splitlines(keepends=True) if "recordPath" in one)
    assert evidence in line


def test_a_word_of_a_date_column_that_means_no_value_is_null(tmp_path: Path) -> None:
    text, contract = draft_of(tmp_path, "id,day,kind\n1,2026-01-01,-\n2,-,a\n3,NULL,b\n")
    assert contract.dialect.null_values == ("NULL", "-")
    assert "'-' is 1 of 3 values of kind, 'NULL' is 1 of 3 values of day, '-' is 1 of 3 values of day" in text


@pytest.mark.parametrize("value", ["5%", "12,50 €", "$ 5.00", "7 EUR"])
def test_numbers_with_a_unit_stay_text_with_a_note(tmp_path: Path, value: str) -> None:
    text, contract = draft_of(tmp_path, f'id,n\n1,"{value}"\n2,"{value}"\n')
    assert contract.by_name["n"].postgres_type == "text"
    assert "# REVIEW numbers with a percent sign or a currency, so it stays text" in text


# Keys


NO_KEYS = {
    "money": "lineitem_price,order\n1.50,a\n2.50,a\n",
    "amount in cents with a name": "day,amount_eur\n2026-01-01,150\n2026-01-01,151\n",
    "account of the other side": "day,iban,n\n2026-01-01,DE1,1\n2026-01-02,DE2,1\n",
    "single days": "day,rate\n2026-01-01,1.5\n2026-01-02,1.6\n",
    "days and texts by chance": "day,place,n\n2026-01-01,a,1\n2026-01-01,b,1\n2026-01-02,a,1\n",
    "decimals that are called a code": "code,n\n1.50,a\n2.25,a\n",
    "id that is there twice": "id,n\n1,5\n1,6\n",
    "measure in the first column": "temperatur_wert,day\n17,2026-01-01\n18,2026-01-01\n",
}


@pytest.mark.parametrize("content", NO_KEYS.values(), ids=list(NO_KEYS))
def test_without_a_credible_key_rows_are_appended(tmp_path: Path, content: str) -> None:
    text, contract = draft_of(tmp_path, content)
    assert contract.appends
    assert contract.newest_by is None
    assert "key: [_file_id, _source_row]  # REVIEW no column looks like a key" in text


# Names

HEADERS = {
    "Größe (m)": "groesse_m",
    "% Rabatt": "rabatt",
    "Prénom": "prenom",
    "Ærø Straße": "aero_strasse",
    "miejscowość": "miejscowosc",
    "Имя": "имя",
    "Όνομα": "όνομα",
    "2026": "column_2026",
    "ctid": "column_ctid",
    "unitPrice": "unitprice",
    "İstanbul": "istanbul",
}


@pytest.mark.parametrize(("header", "name"), HEADERS.items(), ids=list(HEADERS))
def test_a_header_is_transliterated_and_kept_as_source_name(tmp_path: Path, header: str, name: str) -> None:
    _, contract = draft_of(tmp_path, f"id,{header}\n1,a\n2,b\n")
    assert contract.columns[1].name == name == column_name(header)
    if name != header.lower():
        assert contract.columns[1].source_names == (header,)


def test_a_header_of_letters_without_a_name_has_one(tmp_path: Path) -> None:
    names = [one.name for one in draft_of(tmp_path, "id,%,%%,a b,a_b\n1,2,3,4,5\n")[1].columns]
    assert names == ["id", "column", "column_2", "a_b", "a_b_2"]


FILES = {
    "sales_2026-11-30.csv.gz": "sales", "Umsätze.CSV": "umsaetze", "2026-11 export.xlsx": "export", "17.csv": "",
    "Orders (3).json": "orders",
}  # fmt: skip


@pytest.mark.parametrize(("file", "name"), FILES.items(), ids=list(FILES))
def test_a_file_name_suggests_a_dataset(file: str, name: str) -> None:
    assert dataset_name(file) == name
