"""The lists of allowed functions and expectations, compared with DuckDB and Great Expectations."""

import duckdb
import pytest

from include.contracts.catalog import read_catalog
from include.contracts.expectation_types import ALLOWED_EXPECTATIONS
from include.contracts.functions import ALLOWED_FUNCTIONS
from include.settings import CONTRACTS_DIR
from include.stores.expectations import implementation

pytestmark = pytest.mark.unit


def scalar_functions(where: str) -> set[str]:
    found = duckdb.sql(f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {where}").fetchall()
    return {name for (name,) in found}


def test_allowed_functions_exist_in_duckdb() -> None:
    known = scalar_functions("function_type IN ('scalar', 'macro')")
    syntax = {"coalesce", "ifnull", "~"}  # the parser makes operators of these
    assert ALLOWED_FUNCTIONS - known - syntax == set()


def test_allowed_functions_depend_on_the_row_alone() -> None:
    assert ALLOWED_FUNCTIONS & scalar_functions("stability <> 'CONSISTENT'") == set()
    session = {"age", "current_localtime", "current_setting", "getenv", "getvariable", "typeof", "version"}
    assert ALLOWED_FUNCTIONS & session == set()


def test_expectation_list_fits_great_expectations_and_shipped_ones_can_be_built() -> None:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.expectation import BatchExpectation

    for kind, arguments in ALLOWED_EXPECTATIONS.items():
        fields = set(implementation(kind).__fields__) - set(BatchExpectation.__fields__)
        assert set(arguments) <= fields, kind
        assert not {"row_condition", "condition_parser"} & set(arguments), kind
    built = []
    for contract in read_catalog(CONTRACTS_DIR).contracts.values():
        for expectation in contract.expectations:
            name = "".join(part.capitalize() for part in expectation.type.split("_"))
            made = getattr(gxe, name)(**dict(expectation.kwargs), severity=expectation.severity.value)
            built.append(made.expectation_type)
    assert len(built) >= 4
    assert set(built) <= set(ALLOWED_EXPECTATIONS)
