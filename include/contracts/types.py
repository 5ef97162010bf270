"""The registry of column types: all that FileGate knows of a type is its one entry in `TYPES`.

What belongs here: the entries. What does not: what an entry consists of (`type_entry`), and any decision for one type
by its name. Other modules ask the entry, for instance `column.type.is_number`: a new type is a new entry and nothing
else. The functions of an entry stand in `type_sql` (texts read by DuckDB) and `type_values` (values in Python).

No engine is imported here: functions for Arrow get the module `pyarrow` as an argument.
"""

from __future__ import annotations

from include.contracts import type_sql, type_values
from include.contracts.type_entry import ColumnType, Draft, Fit, SampleKind
from include.errors import Code

__all__ = ["JSON_LOGICAL_TYPE", "TYPES", "ColumnType", "SampleKind"]

# Not part of Avro's specification, which lets readers ignore unknown logical types: it marks text that is JSON.
JSON_LOGICAL_TYPE = "json"
_DAY = r"\d{4}-\d{2}-\d{2}"
_TIME = _DAY + r"[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)"


def _matches(pattern: str) -> str:
    return f"bool_and(regexp_full_match(v, '{pattern}'))"


def _casts(pattern: str, duckdb: str) -> str:
    return f"{_matches(pattern)} AND bool_and(v IS NULL OR TRY_CAST(v AS {duckdb}) IS NOT NULL)"


def _bare_number(value: str, text: str) -> str:
    number = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
    return f"CASE WHEN regexp_full_match({value}, '{number}') THEN {value} ELSE {text} END"


# Narrow types first: a draft takes the first that all values of a sample fit.
TYPES: dict[str, ColumnType] = {
    kind.name: kind
    for kind in (
        ColumnType(
            name="uuid",
            logical=("string",),
            physical=("uuid",),
            formats=("uuid",),
            postgres="uuid",
            postgres_size=(1, 16),
            duckdb="UUID",
            is_carried_as_text=True,
            avro={"type": "string", "logicalType": "uuid"},
            read=type_sql.read_uuid,
            reading_faults=type_sql.unreadable(Code.BAD_UUID),
            misfit=type_sql.is_other_uuid,
            canonical=lambda value: f"lower({value})",
            to_python=type_values.uuid,
            draft=Draft("UUID", (Fit(_matches("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),)),
            samples=SampleKind.UUID,
            examples=("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21",),
            bad=("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e2xx", Code.BAD_UUID),
        ),
        ColumnType(
            name="boolean",
            logical=("boolean",),
            physical=("boolean", "bool"),
            is_default=True,
            postgres="boolean",
            postgres_size=(1, 1),
            duckdb="BOOLEAN",
            arrow=lambda pa, _: pa.bool_(),
            fits_arrow=lambda types, kind: types.is_boolean(kind),
            avro="boolean",
            read=type_sql.read_boolean,
            reading_faults=type_sql.unreadable(Code.BAD_BOOLEAN),
            to_python=type_values.truth,
            to_json=lambda value, text: (
                f"CASE WHEN lower({value}) IN ('true', 'false') THEN lower({value}) ELSE {text} END"
            ),
            draft=Draft("BOOLEAN", (Fit("bool_and(lower(v) IN ('true', 'false'))"),), may_be_key=False),
            samples=SampleKind.BOOLEAN,
            examples=("true", "false"),
            bad=("perhaps", Code.BAD_BOOLEAN),
        ),
        ColumnType(
            name="integer",
            logical=("integer",),
            physical=("bigint", "int8", "integer", "int", "int4", "smallint", "int2"),
            is_default=True,
            postgres="bigint",
            postgres_size=(8, 8),
            duckdb="BIGINT",
            arrow=lambda pa, _: pa.int64(),
            fits_arrow=lambda types, kind: types.is_integer(kind),
            avro="long",
            read=type_sql.read_integer,
            reading_faults=type_sql.number_faults(Code.BAD_INTEGER, type_sql.INTEGER),
            to_python=type_values.whole,
            listed_as=int,
            to_json=_bare_number,
            draft=Draft(
                "TINYINT|SMALLINT|INTEGER|BIGINT|UTINYINT|USMALLINT|UINTEGER", (Fit(_matches(r"-?(0|[1-9]\d{0,17})")),)
            ),
            samples=SampleKind.INTEGER,
            examples=("42", "-7"),
            bad=("twelve", Code.BAD_INTEGER),
            is_number=True,
            is_whole=True,
        ),
        ColumnType(
            name="number",
            logical=("number",),
            physical=("numeric", "decimal"),
            postgres="numeric({precision},{scale})",
            duckdb="DECIMAL({precision},{scale})",
            bound="DECIMAL(38,{scale})",
            arrow=lambda pa, column: pa.decimal128(column.precision, column.scale),
            fits_arrow=lambda types, kind: types.is_decimal(kind) or types.is_integer(kind),
            avro={"type": "bytes", "logicalType": "decimal"},
            read=type_sql.read_number,
            reading_faults=type_sql.number_faults(Code.BAD_NUMBER, type_sql.FLOAT),
            to_python=type_values.decimal,
            to_json=_bare_number,
            draft=Draft(
                "DECIMAL.*|UBIGINT|HUGEINT|UHUGEINT", (Fit(_matches(r"-?(0|[1-9]\d*)(\.\d+)?")),), is_version=True
            ),
            samples=SampleKind.DECIMAL,
            examples=("19.99", "-0.5"),
            bad=("twelve", Code.BAD_NUMBER),
            is_number=True,
            has_scale=True,
        ),
        ColumnType(
            name="float",
            logical=("number",),
            physical=("double precision", "double", "float8", "float", "real", "float4"),
            formats=("f32", "f64"),
            postgres="double precision",
            postgres_size=(8, 8),
            duckdb="DOUBLE",
            arrow=lambda pa, _: pa.float64(),
            fits_arrow=lambda types, kind: types.is_floating(kind) or types.is_integer(kind),
            avro="double",
            read=type_sql.read_float,
            reading_faults=type_sql.number_faults(Code.BAD_NUMBER, type_sql.FLOAT),
            value_faults=lambda value: [(Code.BAD_NUMBER, f"NOT isfinite({value})")],
            to_python=lambda _, value: float(value),
            to_json=_bare_number,
            may_be_key=False,
            draft=Draft(
                "FLOAT|DOUBLE",
                (Fit(_matches(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")),),
                may_be_key=False,
                is_version=True,
                needs_measure=True,
            ),
            samples=SampleKind.DECIMAL,
            examples=("0.25", "1e-3"),
            bad=("twelve", Code.BAD_NUMBER),
            is_number=True,
        ),
        ColumnType(
            name="date",
            logical=("date",),
            physical=("date",),
            is_default=True,
            postgres="date",
            postgres_size=(4, 4),
            duckdb="DATE",
            arrow=lambda pa, _: pa.date32(),
            fits_arrow=lambda types, kind: types.is_date(kind),
            avro={"type": "int", "logicalType": "date"},
            read=type_sql.read_date,
            reading_faults=type_sql.unreadable(Code.BAD_DATE),
            misfit=type_sql.is_other_moment,
            parse_bound=type_values.bound_date,
            to_python=type_values.day,
            draft=Draft("DATE", (Fit(_casts(_DAY, "DATE")),), is_version=True),
            samples=SampleKind.DAY,
            examples=("2026-01-31", "2024-02-29"),
            bad=("2026-02-30", Code.BAD_DATE),
            is_temporal=True,
        ),
        ColumnType(
            name="timestamp",
            logical=("timestamp",),
            physical=("timestamp", "timestamp without time zone"),
            is_default=True,
            postgres="timestamp",
            catalogue="timestamp without time zone",
            postgres_size=(8, 8),
            duckdb="TIMESTAMP",
            arrow=lambda pa, _: pa.timestamp("us"),
            fits_arrow=lambda types, kind: types.is_timestamp(kind) and kind.tz is None,
            avro={"type": "long", "logicalType": "local-timestamp-micros"},
            read=type_sql.read_timestamp,
            reading_faults=type_sql.unreadable(Code.BAD_TIMESTAMP),
            misfit=type_sql.is_other_moment,
            parse_bound=type_values.bound_moment,
            to_python=type_values.moment,
            written=lambda value: f"replace(CAST({value} AS VARCHAR), ' ', 'T')",
            draft=Draft("TIMESTAMP(_S|_MS|_NS)?", (Fit(_casts(_TIME, "TIMESTAMP")),)),
            samples=SampleKind.MOMENT,
            examples=("2026-01-31T12:30:15", "2026-01-31 23:59"),
            bad=("yesterday", Code.BAD_TIMESTAMP),
            is_temporal=True,
            has_time=True,
        ),
        ColumnType(
            name="timestamptz",
            logical=("timestamp",),
            physical=("timestamptz", "timestamp with time zone"),
            postgres="timestamptz",
            catalogue="timestamp with time zone",
            postgres_size=(8, 8),
            duckdb="TIMESTAMPTZ",
            arrow=lambda pa, _: pa.timestamp("us", "UTC"),
            fits_arrow=lambda types, kind: types.is_timestamp(kind),
            avro={"type": "long", "logicalType": "timestamp-micros"},
            read=type_sql.read_timestamptz,
            reading_faults=type_sql.unreadable(Code.BAD_TIMESTAMP),
            misfit=type_sql.is_other_moment,
            parse_bound=type_values.bound_moment,
            to_python=type_values.moment,
            written=lambda value: f"replace(replace(CAST({value} AS VARCHAR), ' ', 'T'), '+00', 'Z')",
            draft=Draft(
                "TIMESTAMP WITH TIME ZONE",
                (
                    Fit(_casts(_TIME + _ZONE, "TIMESTAMPTZ")),
                    Fit(_casts(_TIME + _ZONE + "?", "TIMESTAMPTZ"), "some times have no zone and are read as UTC"),
                ),
            ),
            samples=SampleKind.MOMENT,
            examples=("2026-01-31T12:30:15Z", "2026-01-31T14:30:15+02:00"),
            bad=("yesterday", Code.BAD_TIMESTAMP),
            is_temporal=True,
            has_time=True,
            has_zone=True,
        ),
        ColumnType(
            name="json",
            logical=("object", "array"),
            physical=("jsonb", "json"),
            is_default=True,
            postgres="jsonb",
            duckdb="JSON",
            is_carried_as_text=True,
            avro={"type": "string", "logicalType": JSON_LOGICAL_TYPE},
            read=lambda _, text: type_sql.read_json(text),
            reading_faults=type_sql.unreadable(Code.BAD_JSON),
            value_faults=lambda value: [(Code.BAD_JSON, f"NOT kept_by_jsonb({value})")],
            to_python=type_values.document,
            to_json=lambda value, text: f"CASE WHEN json_valid({value}) THEN {value} ELSE {text} END",
            may_be_key=False,
            draft=Draft(
                r"(STRUCT|MAP).*|.*\]", (Fit("bool_and(left(v, 1) IN ('{', '[') AND json_valid(v))"),), may_be_key=False
            ),
            samples=SampleKind.DOCUMENT,
            examples=('{"level": 3}', "[1, 2.50]"),
            bad=('{"level": ', Code.BAD_JSON),
            is_document=True,
        ),
        ColumnType(
            name="text",
            logical=("string",),
            physical=("text", "varchar", "character varying", "string"),
            is_default=True,
            postgres="text",
            duckdb="VARCHAR",
            avro="string",
            read=lambda _, text: f"CASE WHEN NOT {type_sql.has_nul(text)} THEN nullif({text}, '') END",
            reading_faults=lambda _, text, __: [(Code.BAD_TEXT, type_sql.has_nul(text))],
            misfit=type_sql.has_nul,
            to_python=lambda _, value: str(value),
            listed_as=str,
            written=lambda value: value,
            samples=SampleKind.TEXT,
            examples=("North", "é"),
            is_text=True,
        ),
    )
}
for _kind in TYPES.values():
    setattr(ColumnType, _kind.name.upper(), _kind)
