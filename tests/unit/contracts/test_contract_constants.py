"""Lists that the contracts' code keeps by hand or reads from files, held against their sources."""

import duckdb
import pytest

from include.contracts.catalog import read_catalog
from include.contracts.expressions import FOREIGN_FUNCTIONS
from include.contracts.quality import known_expectations
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit


def test_every_volatile_function_of_duckdb_is_refused() -> None:
    where = "stability = 'VOLATILE' AND function_type = 'scalar'"
    volatile = duckdb.sql(f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {where}").fetchall()
    assert {name for (name,) in volatile} <= FOREIGN_FUNCTIONS


def test_known_expectations_are_great_expectations_own_and_ours_can_be_built() -> None:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    registered = set(list_registered_expectation_implementations())
    assert known_expectations() == {name for name in registered if name.startswith("expect_")}
    built = []
    for contract in read_catalog(CONTRACTS_DIR).contracts.values():
        for expectation in contract.expectations:
            name = "".join(part.capitalize() for part in expectation.type.split("_"))
            made = getattr(gxe, name)(**dict(expectation.kwargs), severity=expectation.severity.value)
            built.append(made.expectation_type)
    assert len(built) >= 4
