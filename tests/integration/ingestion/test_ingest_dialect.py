"""A bank statement as a bank exports it, from the bytes in the bucket to the rows in PostgreSQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from include.contracts.reader import compile_contract

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

PROPERTIES = [
    {
        "name": "booking_no", "logicalType": "integer", "primaryKey": True, "required": True,
        "customProperties": [{"property": "sourceName", "value": "Nr."}],
    },
    {
        "name": "booked_on", "logicalType": "date",
        "customProperties": [
            {"property": "sourceName", "value": ["Buchungstag", "Datum"]},
            {"property": "formats", "value": ["%d.%m.%y"]},
        ],
    },
    {
        "name": "payee", "logicalType": "string",
        "customProperties": [{"property": "sourceName", "value": "Empfänger / Zahler"}],
    },
    {
        "name": "amount", "logicalType": "number", "physicalType": "numeric(12,2)",
        "customProperties": [{"property": "sourceName", "value": "Betrag (€)"}],
    },
    {"name": "booked", "logicalType": "boolean", "customProperties": [{"property": "sourceName", "value": "Gebucht?"}]},
]  # fmt: skip
DIALECT = {
    "encoding": "windows-1252", "delimiter": ";", "skipLines": 3, "footerLines": 2, "decimal": ",", "thousands": ".",
    "trailingMinus": True, "comment": "#", "nullValues": ["k.A."], "trueValues": ["ja"], "falseValues": ["nein"],
}  # fmt: skip
STATEMENT = """\
Kontoauszug vom 30.11.26
"Konto; ""Giro"

Nr.;Buchungstag;Empfänger / Zahler;Betrag (€);Gebucht?
1;02.11.26;"Müller; Söhne";1.234,56-;ja
# Seite 2
2;03.11.26;k.A.;12;Nein
3;04.11.26;€uro “Shop”;+0,99;JA
4;05.11.26;Rest;12.34,5;ja
5;06.11.26;@;1,00;ja

Saldo;;;-1.221,57;
Ende
""".replace("\n", "\r\n")
BODY = STATEMENT.encode("cp1252").replace(b"@", b"\x8d")


def pipeline_of(make_pipeline: MakePipeline) -> Pipeline:
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "statements", "version": "1.0.0", "status": "active",
        "customProperties": [
            {"property": "dialect", "value": DIALECT},
            {"property": "ingestion", "value": {"errorBudget": {"share": 0.5}}},
        ],
        "schema": [{"name": "statements", "properties": PROPERTIES}],
    }  # fmt: skip
    contract = compile_contract(Path("statements.yaml"), yaml.safe_dump(document, allow_unicode=True).encode())
    values = {field.name: getattr(contract, field.name) for field in fields(contract) if field.name != "dataset"}
    return make_pipeline(**values)


def test_a_bank_statement_loads_as_it_is_exported(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline)
    entry = pipeline.send("2026-11.csv", BODY)
    pipeline.assert_archived(entry, inserted=3, rejected=2)
    assert entry["format"] == "csv; cp1252"
    rows = pipeline.sql("SELECT booking_no, booked_on, payee, amount, booked FROM {table} ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [
        (1, date(2026, 11, 2), "Müller; Söhne", Decimal("-1234.56"), True),
        (2, date(2026, 11, 3), None, Decimal("12.00"), False),
        (3, date(2026, 11, 4), "€uro “Shop”", Decimal("0.99"), True),
    ]
    rejected = pipeline.rejected(entry["file_id"])
    assert [(row["source_line"], row["column_name"], row["code"]) for row in rejected] == [
        (9, "amount", "bad-number"),
        (10, None, "bad-encoding"),
    ]


def test_the_same_statement_without_the_dialect_is_refused_with_the_line_to_add(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline)
    plain = make_pipeline(columns=pipeline.contract.columns, key=pipeline.contract.key, newest_by=None, row_rules=())
    entry = plain.send("2026-11.csv", STATEMENT.encode("cp1252"))
    assert (entry["status"], entry["error_code"]) == ("validation_failed", "undeclared-encoding")
    assert "- {property: dialect, value: {encoding: cp1252}}" in entry["error_message"]


def test_the_same_statement_in_utf_8_is_refused_before_anything_is_loaded(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline)
    entry = pipeline.send("2026-11.csv", STATEMENT.encode())
    report = pipeline.assert_refused(entry, "encoding-differs")
    assert "line 4 " in report["message"]
    assert "'Empfänger'. The contract declares cp1252: 'EmpfÃ¤nger'" in report["message"]
    assert "- {property: dialect, value: {encoding: utf-8}}" in report["message"]
    assert pipeline.sql("SELECT to_regclass(%s) IS NULL AS missing", f"raw.{pipeline.contract.dataset}")[0]["missing"]
    marked = pipeline.send("2026-11.csv", STATEMENT.encode("utf-8-sig"))
    pipeline.assert_archived(marked, inserted=4, rejected=1)
