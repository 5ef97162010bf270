"""Derived columns: the value fits the column's type unchanged, or only its row is refused."""

from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from include.contracts.model import Column, ColumnType
from include.errors import Code
from include.ingestion.loaded_rows import derivations

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True)
SOURCES = (
    ID,
    Column("v", ColumnType.INTEGER),
    Column("f", ColumnType.FLOAT),
    Column("n", ColumnType.NUMBER, precision=10, scale=4),
    Column("d", ColumnType.DATE),
    Column("ts", ColumnType.TIMESTAMP),
    Column("tz", ColumnType.TIMESTAMPTZ),
    Column("t", ColumnType.TEXT),
    Column("b", ColumnType.BOOLEAN),
    Column("j", ColumnType.JSON),
)
WITHOUT_JSON = SOURCES[:-1]
HEADER = "id,v,f,n,d,ts,tz,t,b,j\n"
GOOD = (
    'a,8,2.5,1.2300,2024-02-01,2024-02-03T00:00:00,2024-02-03T04:05:06Z,6F1C2A34-9d1e-4c55-8a86-0c1f6f0b7e21,yes,'
    '"{""a"":1.10,""s"":""x""}"\n'
)  # fmt: skip
UUID_TEXT = "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"


def outcome(stages, contract, content: str) -> tuple[list, list[tuple]]:
    validated = stages.validate(contract, content.encode())
    rows = stages.processed(contract, validated)
    return [row["x"] for row in rows], [(r.source_row, r.column, r.code, r.message) for r in validated.rejects.first]


KINDS: dict[str, dict] = {
    "bigint": {"type": ColumnType.INTEGER},
    "double": {"type": ColumnType.FLOAT},
    "numeric(10,2)": {"type": ColumnType.NUMBER, "precision": 10, "scale": 2},
    "date": {"type": ColumnType.DATE},
    "timestamp": {"type": ColumnType.TIMESTAMP},
    "timestamptz": {"type": ColumnType.TIMESTAMPTZ},
    "text": {"type": ColumnType.TEXT},
    "boolean": {"type": ColumnType.BOOLEAN},
    "json": {"type": ColumnType.JSON},
    "uuid": {"type": ColumnType.UUID},
}
KEPT = [
    ("bigint", "1", 1),
    ("bigint", "v / 2", 4),
    ("bigint", "v::INTEGER", 8),
    ("bigint", "v::HUGEINT * 1000", 8000),
    ("bigint", "length(t)", 36),
    ("bigint", "null", None),
    ("bigint", "'7'", 7),
    ("bigint", "j->>'$.none'", None),
    ("double", "v", 8.0),
    ("double", "n", 1.23),
    ("double", "n / 3", 0.41),
    ("double", "f * 2", 5.0),
    ("numeric(10,2)", "n", Decimal("1.23")),
    ("numeric(10,2)", "round(f / 3, 2)", Decimal("0.83")),
    ("numeric(10,2)", "v", Decimal("8.00")),
    ("numeric(10,2)", "0.1::DOUBLE", Decimal("0.10")),
    ("numeric(10,2)", "j->>'$.a'", Decimal("1.10")),
    ("date", "ts", date(2024, 2, 3)),
    ("date", "date_trunc('month', ts)", date(2024, 2, 1)),
    ("date", "date_trunc('month', d)", date(2024, 2, 1)),
    ("timestamp", "d", datetime(2024, 2, 1)),  # noqa: DTZ001 - it has no zone
    ("timestamptz", "ts", datetime(2024, 2, 3, tzinfo=UTC)),
    ("text", "v", "8"),
    ("text", "n", "1.2300"),
    ("text", "b", "true"),
    ("text", "[v]", "[8]"),
    ("text", "json_extract(j, '$.a')", "1.10"),
    ("boolean", "'yes'", True),
    ("json", "v", "8"),
    ("json", "[v]", "[8]"),
    ("json", "['a']", '["a"]'),
    ("json", "json_extract(j, '$.a')", "1.10"),
    ("json", "[json_extract(j, '$.a')]", "[1.10]"),
    ("json", "j->>'$.a'", "1.10"),
    ("uuid", "t", UUID_TEXT),
    ("uuid", "t::UUID", UUID_TEXT),
    ("uuid", "md5('x')", "9dd4e461-268c-8034-f5c8-564e155c67a6"),
]
REFUSED = [
    ("bigint", "v / 3"),
    ("bigint", "'1.5'"),
    ("bigint", "v::HUGEINT * 9000000000000000000"),
    ("bigint", "1e300::DOUBLE * v"),
    ("double", "9007199254740993 + v * 0"),
    ("double", "9223372036854775807 - v * 0"),
    ("double", "1e300::DOUBLE * 1e300 * v"),
    ("double", "sqrt(-1.0 * v) "),
    ("double", "'1e400'"),
    ("double", "1234567890.1234567891::DECIMAL(38,10) + v * 0"),
    ("numeric(10,2)", "n / 10"),
    ("numeric(10,2)", "1.005"),
    ("numeric(10,2)", "0.1::DOUBLE + 0.2::DOUBLE"),
    ("numeric(10,2)", "v * 100000000"),
    ("date", "tz"),
    ("date", "ts + INTERVAL 1 HOUR"),
    ("date", "d + 3000000"),
    ("date", "'2024-02-30'"),
    ("timestamp", "'infinity'::TIMESTAMP"),
    ("text", "t || chr(0)"),
    ("boolean", "'perhaps'"),
    ("json", "'word'"),
    ("json", "[1e300::DOUBLE * 1e300]"),
    ("uuid", "'not one'"),
]


@pytest.mark.parametrize(("kind", "expression", "value"), KEPT, ids=[f"{kind}:{text}" for kind, text, _ in KEPT])
def test_derived_value_is_cast_to_the_type_of_its_column(stages, contract_of, kind, expression, value) -> None:
    contract = contract_of(*SOURCES, Column("x", derived=expression, **KINDS[kind]))
    values, rejects = outcome(stages, contract, HEADER + GOOD)
    assert (values, rejects) == ([value], [])
    assert type(values[0]) is type(value)


@pytest.mark.parametrize(("kind", "expression"), REFUSED, ids=[f"{kind}:{text}" for kind, text in REFUSED])
def test_derived_value_that_a_cast_would_change_refuses_its_row(stages, contract_of, kind, expression) -> None:
    contract = contract_of(*SOURCES, Column("x", derived=f"CASE WHEN id = 'a' THEN {expression} END", **KINDS[kind]))
    values, ((row, column, code, message),) = outcome(stages, contract, HEADER + GOOD + "b,,,,,,,,,\n")
    assert (values, row, column, code) == ([None], 1, "x", Code.DERIVATION_FAILED)
    assert message.startswith("x ")


LIMITS = [
    ({"type": ColumnType.INTEGER, "required": True}, "CASE WHEN id = 'b' THEN 1 END", "comes out empty"),
    ({"type": ColumnType.INTEGER, "minimum": "10"}, "v", "x is '8', "),
    ({"type": ColumnType.INTEGER, "maximum": "8", "exclusive_maximum": True}, "v", "x is '8', "),
    ({"type": ColumnType.TEXT, "max_length": 35}, "t", UUID_TEXT.upper()[:4]),
    ({"type": ColumnType.TEXT, "min_length": 2}, "left(t, 1)", "x is '6', "),
    ({"type": ColumnType.TEXT, "pattern": "[a-z]+"}, "t", "x is '6F1C"),
    ({"type": ColumnType.TEXT, "allowed": ("other",)}, "t", "x is '6F1C"),
]


@pytest.mark.parametrize(("options", "expression", "part"), LIMITS, ids=[str(list(each[0])[-1]) for each in LIMITS])
def test_derived_value_outside_of_the_contracts_limits_refuses_its_row(
    stages, contract_of, options, expression, part
) -> None:
    contract = contract_of(*SOURCES, Column("x", derived=expression, **options))
    values, rejects = outcome(stages, contract, HEADER + GOOD + ("b,,,,,,,,,\n" if options.get("required") else ""))
    ((row, column, code, message),) = rejects
    assert (row, column, code) == (1, "x", Code.DERIVATION_FAILED)
    assert part in message
    assert values == ([1] if options.get("required") else [])


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_row_whose_derived_column_cannot_be_calculated_is_refused_alone(stages, contract_of, slow) -> None:
    """DuckDB's TRY does not catch the error of a bad time zone."""
    contract = contract_of(
        ID,
        Column("note", ColumnType.TEXT),
        Column("zone", ColumnType.TEXT),
        Column("x", ColumnType.INTEGER, derived="note::BIGINT"),
        Column("y", ColumnType.TIMESTAMP, derived="timezone(zone, TIMESTAMPTZ '2020-01-01 00:00:00Z')"),
    )
    content = "id,note,zone\n" + "".join(f"k{n},{n},UTC\n" for n in range(50))
    content += "bad,none,UTC\nzone,7,nowhere\nboth,none,nowhere\n"
    validated = stages.validate(contract, content.encode(), slow=slow)
    rows = stages.processed(contract, validated)
    assert [row["x"] for row in rows] == list(range(50))
    found = [(r.source_row, r.source_line, r.column, r.code) for r in validated.rejects.first]
    refused = Code.DERIVATION_FAILED
    assert found == [(51, 52, "x", refused), (52, 53, "y", refused), (53, 54, "x", refused), (53, 54, "y", refused)]
    first = validated.rejects.first[0]
    assert (first.message, first.raw) == ("x cannot be calculated as note::BIGINT: note = none.", "bad,none,UTC")


def test_rejects_of_derived_columns_are_in_row_order_with_the_others(stages, contract_of) -> None:
    contract = contract_of(ID, Column("v", ColumnType.INTEGER), Column("x", ColumnType.INTEGER, derived="v / 2"))
    validated = stages.validate(contract, b"id,v\na,word\nb,3\nc,4\nd,word\nc,4\nc,6\n")
    found = [(r.source_row, r.code) for r in validated.rejects.first]
    assert found == [
        (1, Code.BAD_INTEGER), (2, Code.DERIVATION_FAILED), (3, Code.CONFLICTING_DUPLICATE), (4, Code.BAD_INTEGER),
        (5, Code.CONFLICTING_DUPLICATE), (6, Code.CONFLICTING_DUPLICATE),
    ]  # fmt: skip
    assert stages.processed(contract, validated) == []
    assert validated.rejects.rows == 6


def test_value_that_needs_no_cast_is_not_cast(contract_of) -> None:
    """An expression of the column's own type needs neither a cast nor a check."""
    contract = contract_of(ID, Column("v", ColumnType.INTEGER), Column("x", ColumnType.INTEGER, derived="v - 1"))
    with duckdb.connect() as connection:
        (one,) = derivations(contract, connection)
    assert (one.value, one.broken) == (one.raw, None)


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("{'p': n, 's': s, 'DECIMAL(5,2)': n}", '{"p":100.00,"s":0.500000000000000000,"DECIMAL(5,2)":100.00}'),
        ("[n]", "[100.00]"),
        ("map {'k': n}", '{"k":100.00}'),
        ("n", "100.00"),
        ("{'j': j->'x', 'p': n}", '{"j":1.10,"p":100.00}'),
    ],
    ids=["structure", "list", "map", "alone", "beside-json"],
)
def test_derived_documents_keep_the_digits_of_decimals(stages, contract_of, expression: str, written: str) -> None:
    contract = contract_of(
        Column("id", ColumnType.TEXT, required=True),
        Column("n", ColumnType.NUMBER, precision=12, scale=2),
        Column("s", ColumnType.NUMBER, precision=18, scale=18),
        Column("j", ColumnType.JSON),
        Column("d", ColumnType.JSON, derived=expression),
    )
    content = b'{"id": "1", "n": 100, "s": 0.5, "j": {"x": 1.10}}\n'
    assert [row["d"] for row in stages.rows(contract, content)] == [written]
