"""Names of columns: two headers share one only if they differ in case, spaces, dashes and underscores alone."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from open_data_contract_standard.model import SchemaProperty

from include.contracts.column_names import MOST_BYTES, SYSTEM_COLUMNS, avro_name, is_column_name, matching, table_column
from include.contracts.columns import compile_column
from include.contracts.problems import Findings
from tests.oracle import names

pytestmark = pytest.mark.unit

HEADERS = st.text(min_size=0, max_size=80)


@pytest.mark.parametrize(
    ("header", "key"),
    [("Sale ID", "sale_id"), (" sale-id ", "sale_id"), ("\ufeffsale_id", "sale_id"), ("__sale__id__", "sale_id"),
     ("SALE.ID", "sale.id"), ("ЦЕНА", "цена"), ("u\u0308", "ü"), ("a\u00a0\u2013 b", "a_b"), ("", "")],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_matching_ignores_case_spaces_and_dashes_alone(header: str, key: str) -> None:
    assert matching(header) == key


@pytest.mark.parametrize(
    ("header", "name"),
    [("Unit Price", "unit_price"), ("価格", "価格"), ("Straße", "straße"), ("हिन्दी", "हिन्दी"), ("2024", "column_2024"),
     ("", "column"), ("ctid", "column_ctid"), ("price $", "price_5941ab44"), ("x" * 63, "x" * 63)],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_table_column_keeps_letters_of_any_script(header: str, name: str) -> None:
    assert table_column(header) == name


def test_table_column_shortens_to_whole_characters_with_a_hash() -> None:
    name = table_column("Ж" * 40)
    assert name.startswith("ж" * 27 + "_")
    assert len(name.encode()) == MOST_BYTES
    assert name != table_column("Ж" * 41)


@given(HEADERS, HEADERS)
@budget(max_examples=300, deadline=None)
def test_table_column_is_shared_by_headers_of_the_same_letters_only(one: str, other: str) -> None:
    assert (table_column(one) == table_column(other)) == (matching(one) == matching(other))


@given(HEADERS)
@budget(max_examples=300, deadline=None)
def test_table_column_is_a_name_that_a_contract_may_use(header: str) -> None:
    name = table_column(header)
    assert is_column_name(name)
    assert len(name.encode()) <= MOST_BYTES
    assert name == unicodedata.normalize("NFC", name)
    assert avro_name(name).isascii()


@pytest.mark.parametrize(
    "name", ["Price", "2024", "", "a b", "u\u0308", "x" * 64, "_id", "price$", "Ü", "xmin", "ctid"], ids=repr
)
def test_is_column_name_refuses_names_that_no_header_matches(name: str) -> None:
    assert not is_column_name(name)


def test_avro_name_is_the_name_itself_or_has_its_hash() -> None:
    assert avro_name("unit_price") == "unit_price"
    assert avro_name("цена") == "column_ba272c37"
    assert avro_name("prix_é") != avro_name("prix_è")


@given(HEADERS)
@budget(max_examples=300, deadline=None)
def test_table_column_is_the_oracles(header: str) -> None:
    assert (matching(header), table_column(header)) == (names.letters(header), names.column(header))


@pytest.mark.parametrize("name", sorted(SYSTEM_COLUMNS))
def test_contract_refuses_the_name_of_a_system_column_with_a_remedy(name: str) -> None:
    findings = Findings()
    assert compile_column(SchemaProperty(name=name, logicalType="string"), "p", findings) is None
    (problem,) = findings.problems
    assert (problem.path, f"{name}_value" in problem.remedy) == ("p.name", True)


@pytest.mark.parametrize("name", ["_file_id", "_source_row", "_loaded_at", "_rescued", "_deleted_at"])
def test_columns_of_the_pipeline_are_neither_a_contracts_nor_made_of_a_header(name: str) -> None:
    assert not is_column_name(name)
    assert table_column(name) == name.strip("_")
