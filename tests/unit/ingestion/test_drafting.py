"""A contract drafted from a sample is sound and fits the sample."""

import json
from pathlib import Path

import duckdb
import pytest

from include.contracts.describe import describe
from include.contracts.expressions import literal
from include.contracts.model import ColumnType, Contract
from include.contracts.reader import read_contract
from include.errors import Code
from include.ingestion.drafting.draft import draft_contract
from include.ingestion.drafting.profile import REPEATED
from include.ingestion.drafting.sample import profile_sample
from include.ingestion.records import FileRefusedError
from include.samples.badness import SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, IngestSettings

pytestmark = pytest.mark.unit

SETTINGS = IngestSettings()


def drafted(tmp_path: Path, sample: Path, name: str = "things") -> Contract:
    path = tmp_path / f"{name}.yaml"
    path.write_text(draft_contract(sample, name, SETTINGS), encoding="utf-8")
    return read_contract(path)


FORMATS = [
    SampleFormat.CSV,
    SampleFormat.TSV,
    SampleFormat.CSV_GZ,
    SampleFormat.JSON,
    SampleFormat.NDJSON,
    SampleFormat.PARQUET,
]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", ["sales", "inventory"])
def test_draft_from_a_sample_has_the_columns_of_the_samples_contract(
    tmp_path: Path, name: str, file_format: SampleFormat
) -> None:
    origin = read_contract(CONTRACTS_DIR / f"{name}.yaml")
    sample = tmp_path / f"sample.{file_format}"
    write_sample(Sample(origin, 2_000), sample, file_format)
    draft = drafted(tmp_path, sample)
    assert draft.key == origin.key
    assert draft.newest_by == origin.newest_by
    expected = {c.name: (c.type, c.required) for c in origin.source_columns}
    found = {c.name: (c.type, c.required) for c in draft.columns}
    if name == "inventory" and file_format is not SampleFormat.PARQUET:
        expected["unit_weight_kg"] = (ColumnType.NUMBER, False)  # decimals in text are taken as exact
    if name == "inventory" and file_format in {SampleFormat.JSON, SampleFormat.NDJSON}:
        del expected["attributes"]
        found = {column: kind for column, kind in found.items() if not column.startswith("attributes_")}
        inner = {c.path for c in draft.columns if c.path is not None}
        assert inner == {"attributes.colour", "attributes.shelf.aisle", "attributes.shelf.level", "attributes.tags"}
    assert found == expected


CELLS = {
    "leading zeros stay text": (["007", "012"], "text"),
    "whole numbers": (["7", "-12"], "bigint"),
    "too long for a bigint": (["7", "12345678901234567890"], "numeric(24,0)"),
    "decimals": (["7.5", "-12.25"], "numeric(10,2)"),
    "exponents": (["7.5", "1e-7"], "double precision"),
    "an exponent with a sign": (["7", "1e+7"], "double precision"),
    "part numbers with an E": (["12E4", "13E2", "7"], "text"),
    "booleans": (["true", "FALSE"], "boolean"),
    "zero and one are numbers": (["0", "1"], "bigint"),
    "dates": (["2026-01-31", "2026-02-28"], "date"),
    "a day that is none": (["2026-01-31", "2026-02-30"], "text"),
    "German dates": (["31.01.2026", "01.02.2026"], "date"),
    "times": (["2026-01-31 10:00:00", "2026-01-31T11:00"], "timestamp"),
    "times with zones": (["2026-01-31T10:00:00Z", "2026-01-31 11:00:00+01:00"], "timestamptz"),
    "some with zones": (["2026-01-31T10:00:00Z", "2026-01-31 11:00:00"], "timestamptz"),
    "uuids": (["6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21", "6F1C2A34-9D1E-4C55-8A86-0C1F6F0B7E22"], "uuid"),
    "nested": (['{"a": 1}', "[1, 2]"], "jsonb"),
    "one odd value": (["1", "x"], "text"),
    "days before months": (["31.1.2026", "1.12.2026"], "date"),
    "years of two digits with dots": (["31.01.26", "01.12.26"], "text"),
    "years of two digits and a day beyond 12": (["31/01/26", "01/12/26"], "date"),
    "years of two digits and a month first": (["01/31/26", "12/01/26"], "date"),
    "years of two digits in any order": (["11/01/26", "01/12/26"], "text"),
    "years of two digits, days of one": (["31/1/26", "1/12/26"], "text"),
    "a year of two digits among others": (["31.01.2026", "01.12.26"], "text"),
    "nothing at all": (["", ""], "text"),
}


@pytest.mark.parametrize(("cells", "postgres"), CELLS.values(), ids=list(CELLS))
def test_types_are_inferred_conservatively_and_hold_the_sample(tmp_path: Path, cells: list[str], postgres: str) -> None:
    sample = tmp_path / "sample.csv"
    spelled = ['"' + cell.replace('"', '""') + '"' if cell else "" for cell in cells]
    sample.write_text("key,cell\n" + "".join(f"k{i},{cell}\n" for i, cell in enumerate(spelled)))
    column = drafted(tmp_path, sample).by_name["cell"]
    assert column.postgres_type == postgres
    for cell in filter(None, cells):
        value = f"strptime({literal(cell)}, {literal(column.formats[0])})" if column.formats else literal(cell)
        assert duckdb.sql(f"SELECT TRY_CAST({value} AS {column.duckdb_type}) IS NOT NULL").fetchone() == (True,)


CODES = [
    "plz", "PLZ Ort", "zip", "zipCode", "Postcode", "Shipping Zip", "postal_code", "phone", "phoneNumber", "Telefon",
    "Konto", "Kontonummer", "account_number", "iban", "sku", "ean", "gtin", "isbn", "country code", "Rechnungsnummer",
    "Artikelnr.", "part_no", "item number",
]  # fmt: skip
NO_CODES = ["account_balance", "zipper", "decoded", "phone_minutes", "sku_count", "scode_x", "line_no", "kontostand"]


@pytest.mark.parametrize(("name", "postgres"), [*((n, "text") for n in CODES), *((n, "bigint") for n in NO_CODES)])
def test_digits_of_a_column_that_is_called_a_code_stay_text(tmp_path: Path, name: str, postgres: str) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(f"key,{name}\na,10115\nb,80331\n")
    text = draft_contract(sample, "things", SETTINGS)
    assert drafted(tmp_path, sample).columns[1].postgres_type == postgres
    assert ("# REVIEW digits of a code, which may begin with a zero" in text) is (postgres == "text")


def test_leading_zero_makes_text_where_commas_are_decimals(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("key;n;price\na;007;1,5\nb;12;2,5\n")
    draft = drafted(tmp_path, sample)
    assert [one.postgres_type for one in draft.columns] == ["text", "text", "numeric(9,1)"]


@pytest.mark.parametrize("file_format", [SampleFormat.CSV, SampleFormat.JSON, SampleFormat.PARQUET])
def test_folder_named_as_a_partition_is_no_column(tmp_path: Path, file_format: SampleFormat) -> None:
    shipped = read_contract(CONTRACTS_DIR / "inventory.yaml")
    folder = tmp_path / "region=eu"
    folder.mkdir()
    sample = folder / f"sample.{file_format}"
    write_sample(Sample(shipped, 50), sample, file_format)

    contract = drafted(tmp_path, sample)

    assert not any("region" in column.name for column in contract.columns)
    assert contract.columns[0].name == shipped.source_columns[0].name


def test_json_numbers_in_quotes_stay_text(tmp_path: Path) -> None:
    sample = tmp_path / "sample.ndjson"
    rows = [
        {"id": i, "code": str(i), "flag": i > 1, "nested": {"a": i}, "list": [i], "gap": None if i else 1.5}
        for i in range(3)
    ]
    sample.write_text("".join(json.dumps(row) + "\n" for row in rows))
    types = {c.name: c.type for c in drafted(tmp_path, sample).columns}
    assert types == {
        "id": ColumnType.INTEGER,
        "code": ColumnType.TEXT,
        "flag": ColumnType.BOOLEAN,
        "nested_a": ColumnType.INTEGER,
        "list": ColumnType.JSON,
        "gap": ColumnType.NUMBER,
    }


def test_draft_proposes_uncertain_rules_as_comments(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    rows = "".join(f"{i},{'red' if i % 2 else 'blue'},01/02/2026\n" for i in range(60))
    sample.write_text("Part No,Colour,Made On\n" + rows)
    text = draft_contract(sample, "things", SETTINGS)
    assert 'validValues: ["blue", "red"]' in text
    assert "dates fit %d/%m/%Y and %m/%d/%Y alike" in text
    contract = drafted(tmp_path, sample)
    assert [c.name for c in contract.columns] == ["part_no", "colour", "made_on"]
    assert contract.key == ("part_no",)
    assert contract.by_name["colour"].allowed == ()


@pytest.mark.parametrize(("repeated", "few"), [(REPEATED, True), (REPEATED - 1, False)])
def test_values_that_repeat_often_enough_are_proposed(tmp_path: Path, repeated: int, few: bool) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id,colour\n" + "".join(f"{i},{'red' if i % 2 else 'blue'}\n" for i in range(2 * repeated)))
    assert ("validValues" in draft_contract(sample, "things", SETTINGS)) is few


def test_flags_in_quotes_stay_text(tmp_path: Path) -> None:
    sample = tmp_path / "sample.ndjson"
    sample.write_text("".join(f'{{"id": {i}, "flag": "{"true" if i else "false"}"}}\n' for i in range(3)))
    assert drafted(tmp_path, sample).by_name["flag"].type is ColumnType.TEXT


def test_composite_key_is_found(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("shop,day,amount\n" + "".join(f"s{i % 3},2026-01-{i // 3 + 1:02},{i % 4}\n" for i in range(12)))
    assert drafted(tmp_path, sample).key == ("shop", "day")


def test_sample_without_rows_is_refused(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("a,b\n")
    with pytest.raises(FileRefusedError) as refused:
        draft_contract(sample, "things", SETTINGS)
    assert refused.value.code is Code.NO_ROWS


def test_names_that_differ_in_case_and_dashes_alone_are_two_columns(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("A b,a-b,a_b\n1,2,3\n")
    columns = drafted(tmp_path, sample).columns
    assert [(one.name, one.source_names) for one in columns] == [
        ("a_b", ("A b",)), ("a_b_2", ("a-b",)), ("a_b_3", ("a_b",))
    ]  # fmt: skip


def test_sample_without_a_column_of_values_in_every_row_is_appended(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("a,b\n1,\n,2\n")
    assert drafted(tmp_path, sample).appends


def test_text_of_the_sample_cannot_inject_yaml(tmp_path: Path) -> None:
    sample = tmp_path / "odd.csv"
    nasty = ['"x"": [1]', "- a: b", "# no", "{a}", "a\nb", "*x", "ü"]
    cells = ['"' + value.replace('"', '""') + '"' for value in nasty]
    sample.write_text("id,cell: x\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)), encoding="utf-8")
    contract = drafted(tmp_path, sample)
    assert [c.name for c in contract.columns] == ["id", "cell_x"]
    assert contract.columns[1].source_names == ("cell: x",)


def test_description_has_key_rules_and_columns() -> None:
    text = describe(read_contract(CONTRACTS_DIR / "inventory.yaml"))
    for part in (
        "`raw.inventory`",
        "`warehouse_code`, `sku`",
        "at most 1 % of the rows of a file",
        "derived as",
        "reserved <= on_hand",
    ):
        assert part in text
    table = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(table) == 12


def key_of(tmp_path: Path, content: str) -> tuple[str, ...]:
    sample = tmp_path / "sample.csv"
    sample.write_text(content)
    return profile_sample(sample, SETTINGS).key.columns


NO_KEYS = {
    "money": "amount,day\n1.50,2026-01-01\n2.25,2026-01-01\n",
    "money in cents": "day,price_eur\n2026-01-01,150\n2026-01-01,225\n",
    "money in the first column": "total,day\n150,2026-01-01\n225,2026-01-01\n",
    "measure": "day,reading\n2026-01-01,17\n2026-01-01,21\n",
    "measure of an unknown name": "day,zaehlerstand\n2026-01-01,17\n2026-01-01,21\n",
    "position": "day,latitude\n2026-01-01,52.5\n2026-01-01,53.5\n",
    "free text": "day,remarks\n2026-01-01,paid\n2026-01-01,open\n",
    "text of several words": "day,thing\n2026-01-01,a red one\n2026-01-01,a blue one\n",
    "long text": f"day,thing\n2026-01-01,{'a' * 80}\n2026-01-01,{'b' * 80}\n",
    "name": "day,name\n2026-01-01,Ada\n2026-01-01,Grace\n",
    "code of a bank": "day,bic_swift_code,amount\n2026-01-01,A,1\n2026-01-01,B,1\n2026-01-02,A,2\n",
    "code of a name": "day,purpose code\n2026-01-01,A\n2026-01-01,B\n",
    "flag": "day,paid\n2026-01-01,true\n2026-01-01,false\n",
}


@pytest.mark.parametrize("content", NO_KEYS.values(), ids=list(NO_KEYS))
def test_money_measures_and_free_text_are_no_key(tmp_path: Path, content: str) -> None:
    assert key_of(tmp_path, content) == ()


KEYS = {
    "id behind a measure": ("weight,part_id\n1,7\n2,8\n", ("part_id",)),
    "number that is called one": ("day,order_no\n2026-01-01,7\n2026-01-01,8\n", ("order_no",)),
    "first column": ("ticket,price\n7,1\n8,2\n", ("ticket",)),
    "code of a city": ("day,city_code\n2026-01-01,B\n2026-01-01,M\n", ("city_code",)),
    "two columns and no measure": (
        "shop,day,amount\ns1,2026-01-01,1\ns1,2026-01-02,2\ns2,2026-01-01,3\ns2,2026-01-02,4\n", ("shop", "day")
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "key"), KEYS.values(), ids=list(KEYS))
def test_column_that_identifies_rows_is_proposed_as_key(tmp_path: Path, content: str, key: tuple[str, ...]) -> None:
    assert key_of(tmp_path, content) == key


def test_sample_without_a_likely_key_gets_a_draft_without_one(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("amount,remark\n1.50,paid in cash\n2.25,paid by card\n")
    text = draft_contract(sample, "things", SETTINGS)
    assert "primaryKey: true  #" not in text
    assert "key: [_file_id, _source_row]  # REVIEW no column looks like a key" in text
    assert drafted(tmp_path, sample).appends


ORDERS = {
    "as the other column": ("01/02/2026,01/25/2026", "02/03/2026,02/14/2026", "%m/%d/%Y", True),
    "with a time": ("01/02/2026 10:00,01/25/2026", "02/03/2026 11:00,02/14/2026", "%m/%d/%Y %H:%M", True),
    "days first": ("01/02/2026,25/01/2026", "02/03/2026,14/02/2026", "%d/%m/%Y", True),
    "no column shows it": ("01/02/2026,01/05/2026", "02/03/2026,02/04/2026", "%d/%m/%Y", True),
    "itself": ("13/02/2026,01/25/2026", "02/03/2026,02/14/2026", "%d/%m/%Y", False),
}


@pytest.mark.parametrize(("first", "second", "form", "is_doubtful"), ORDERS.values(), ids=list(ORDERS))
def test_order_of_days_and_months_is_that_of_the_files_other_dates(
    tmp_path: Path, first: str, second: str, form: str, is_doubtful: bool
) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(f"id,ordered,shipped\n1,{first}\n2,{second}\n")
    column = draft_contract(sample, "things", SETTINGS).partition("- name: ordered\n")[2].partition("- name: ")[0]
    assert drafted(tmp_path, sample).by_name["ordered"].formats == (form,)
    assert ("# REVIEW dates fit" in column) is is_doubtful


VERSIONS = {
    "three parts": ("release", ["2.4.1", "10.12.3"], "text"),
    "three parts of two digits": ("installed", ["10.11.12", "10.11.13"], "text"),
    "dashes": ("build", ["2-4-1", "2-4-2"], "text"),
    "slashes": ("tag", ["2/4/1", "2/4/2"], "text"),
    "two parts": ("version", ["2.4", "2.10"], "text"),
    "with a year": ("version", ["01.02.2026", "03.02.2026"], "text"),
    "releases of Ubuntu": ("os", ["18.04.05", "20.04.06", "22.10.03"], "text"),
    "days of two digits in a column of dates": ("Liefertag", ["05.04.26", "06.04.26"], "date"),
    "days of one digit in a column of dates": ("liefertag", ["5.4.26", "6.4.26"], "text"),
    "a date is one": ("installed", ["1.2.2026", "13.2.2026"], "date"),
}


@pytest.mark.parametrize(("name", "cells", "postgres"), VERSIONS.values(), ids=list(VERSIONS))
def test_version_number_is_no_date(tmp_path: Path, name: str, cells: list[str], postgres: str) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(f"id,{name}\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    assert drafted(tmp_path, sample).by_name[name.lower()].postgres_type == postgres


def test_draft_is_a_draft_and_marks_its_guesses(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(
        "id,made,updated_at,price\n1,13.2.2026,2026-01-01T00:00:00Z,1.5\n2,1.2.2026,2026-01-02T00:00:00Z,2\n"
    )
    text = draft_contract(sample, "things", SETTINGS)
    for guess in ("logicalType:", "primaryKey:", "newestBy:", "physicalType: numeric", "formats, value:", "required:"):
        lines = [line for line in text.splitlines() if guess in line]
        assert lines
        assert all("# REVIEW" in line or "primaryKey" in text.split(line)[0].splitlines()[-1] for line in lines), guess
    assert drafted(tmp_path, sample).is_draft
