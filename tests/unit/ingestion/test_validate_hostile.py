"""Content made to exhaust whoever reads it: refused with a code, in bounded memory, and the rows beside it load."""

from dataclasses import replace

import pytest

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.rules import MAX_JSON_DEPTH

pytestmark = pytest.mark.unit

COLUMNS = (Column("id", ColumnType.TEXT, required=True), Column("j", ColumnType.JSON))


def nested(depth: int) -> str:
    return '{"a":[' * (depth // 2) + "[]" * (depth % 2) + "]}" * (depth // 2)


@pytest.mark.parametrize("column", ["j", "unknown"])
@pytest.mark.parametrize("shape", ["ndjson", "document", "csv"])
def test_validate_refuses_the_rows_whose_json_is_nested_too_deep(stages, contract_of, shape: str, column: str) -> None:
    values = ["{}", nested(MAX_JSON_DEPTH + 1), nested(100_000), "[]"]
    if shape == "csv":
        quoted = (value.replace('"', '""') for value in values)
        content = f"id,{column}\n" + "".join(f'{row},"{value}"\n' for row, value in enumerate(quoted))
    else:
        rows = [f'{{"id": "{row}", "{column}": {value}}}' for row, value in enumerate(values)]
        content = "[" + ",".join(rows) + "]" if shape == "document" else "\n".join(rows)

    validated = stages.validate(contract_of(*COLUMNS), content.encode())

    # A text of an unknown CSV column stays a text.
    expected = [] if (shape, column) == ("csv", "unknown") else [(2, Code.BAD_JSON), (3, Code.BAD_JSON)]
    assert [(one.source_row, one.code) for one in validated.rejects.first] == expected
    assert validated.rows_read == 4


def test_validate_keeps_json_as_deep_as_the_limit_and_wide_json(stages, contract_of) -> None:
    wide = "[" + ",".join(['{"[[{": "\\"]"}'] * 500) + "]"
    lines = f'{{"id": "1", "j": {nested(MAX_JSON_DEPTH)}}}\n{{"id": "2", "j": {wide}}}\n'
    contract = replace(contract_of(*COLUMNS), unknown_columns=UnknownColumns.REJECT)
    assert stages.validate(contract, lines.encode()).rejects.rows == 0
