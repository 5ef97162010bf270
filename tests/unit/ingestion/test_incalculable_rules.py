"""Row rules that cannot be calculated with the values of a row refuse only this row, whatever DuckDB raises."""

import pytest

from include.contracts.model import Column, ColumnType, RowRule
from include.errors import Code

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.TEXT, required=True),
    Column("t", ColumnType.TEXT),
    Column("v", ColumnType.INTEGER),
)
RULES = {
    "zone": ("timezone(t, TIMESTAMP '2020-01-01') IS NOT NULL", "UTC,1", "nowhere,1"),
    "period": ("time_bucket(to_days(v::INTEGER), TIMESTAMP '2020-01-01') IS NOT NULL", "x,1", "x,0"),
    "escape": ("t NOT LIKE 'a' ESCAPE t", "x,1", "xx,1"),
    "overflow": ("v * v > 0", "x,1", "x,9223372036854775807"),
    "conversion": ("t::BIGINT > 0", "1,1", "word,1"),
    "path": ("json_extract('{}', t) IS NULL", "$.a,1", "$[,1"),
    "root": ("sqrt(v) > 0", "x,1", "x,-1"),
}


@pytest.mark.parametrize("case", RULES)
def test_row_for_which_a_rule_cannot_be_calculated_is_refused_alone(stages, contract_of, case: str) -> None:
    expression, good, bad = RULES[case]
    rules = (RowRule("first", "id <> 'none'", ""), RowRule("second", expression, ""))
    contract = contract_of(*COLUMNS, row_rules=rules)
    lines = [f"{number},{bad if number in {3, 17, 18} else good}" for number in range(40)]
    lines += [f"none,{bad}", f"none,{good}"]
    validated = stages.validate(contract, ("id,t,v\n" + "\n".join(lines) + "\n").encode())
    found = [(r.source_row, r.code, "(first)" in r.message) for r in validated.rejects.first]
    broken = Code.RULE_BROKEN
    assert found == [
        (4, broken, False), (18, broken, False), (19, broken, False), (41, broken, True), (41, broken, False),
        (42, broken, True),
    ]  # fmt: skip
    assert len(stages.processed(contract, validated)) == 37
