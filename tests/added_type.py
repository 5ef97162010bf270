"""A column type that only tests have: it shows that one entry in the registry is all that a new type needs."""

import re
from typing import Any

import pytest

from include.contracts.model import Column
from include.contracts.type_entry import ColumnType, Draft, Fit
from include.contracts.type_sql import bare, unreadable
from include.contracts.types import TYPES
from include.errors import Code

_SHAPE = "[A-Z]{2}"


def _code(_: Column, value: Any) -> str:
    if not re.fullmatch(_SHAPE, str(value)):
        raise ValueError(value)
    return str(value)


COUNTRY = ColumnType(
    name="country",
    logical=("string",),
    physical=("country",),
    postgres="text",  # the warehouse adds columns only of the types that a migration lists
    duckdb="VARCHAR",
    avro={"type": "string", "logicalType": "country"},
    read=lambda _, text: f"CASE WHEN regexp_full_match({bare(text)}, '{_SHAPE}') THEN {bare(text)} END",
    reading_faults=unreadable(Code.PATTERN_MISMATCH),
    misfit=lambda value: f"NOT regexp_full_match({value}, '{_SHAPE}')",
    to_python=_code,
    draft=Draft(fits=(Fit(f"bool_and(regexp_full_match(v, '{_SHAPE}'))"),)),
    examples=("DE", "FR", "IT", "PT"),
    bad=("Germany", Code.PATTERN_MISMATCH),
)


def register(patch: pytest.MonkeyPatch) -> None:
    """Add the type to the registry until the patch is undone."""
    patch.setitem(TYPES, COUNTRY.name, COUNTRY)
