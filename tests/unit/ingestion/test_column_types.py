"""Every column type is complete in the registry, a new one is one entry, and no other module decides by type names."""

import ast
import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from fastavro import parse_schema

from include.contracts.codec import decoded, encoded
from include.contracts.model import Column, Contract
from include.contracts.reader import compile_contract
from include.contracts.type_entry import ColumnType
from include.contracts.types import TYPES
from include.errors import Code
from include.ingestion.drafting.draft import draft_contract
from include.ingestion.engine import engine
from include.ingestion.readers.vectorised import arrow_type
from include.ingestion.rules import reading_checks, typed, value_checks, violations_sql
from include.ingestion.table_shape import _catalogue_name
from include.samples.badness import SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import IngestSettings
from include.streams.avro_schema import RowValueError, avro_schema, to_avro
from tests import added_type

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
ALL = [*TYPES.values(), added_type.COUNTRY]
every_type = pytest.mark.parametrize("kind", ALL, ids=str)


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> ColumnType:
    added_type.register(monkeypatch)
    return added_type.COUNTRY


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with engine(tmp_path_factory.mktemp("types"), IngestSettings()) as connection:
        yield connection


def column_of(kind: ColumnType) -> Column:
    return Column("v", kind, precision=12, scale=2 if "19.99" in kind.examples else 0)


def faults(connection: duckdb.DuckDBPyConnection, column: Column, text: str) -> list[str]:
    value = typed(column, "cell")
    checks = [*reading_checks(column, "cell", value), *value_checks(column, f"({value})")]
    source = f"(SELECT '{text}' AS cell)"
    rows = [connection.execute(f"SELECT {check.broken} FROM {source}").fetchone() for check in checks]
    return [check.code for check, row in zip(checks, rows, strict=True) if row and row[0]]


# Every type


@every_type
def test_type_has_its_names_and_is_found_by_each(kind: ColumnType) -> None:
    assert TYPES[kind.name] is kind
    assert str(kind) == kind.name
    assert kind.logical
    others = [one for one in ALL if one is not kind and set(one.logical) & set(kind.logical)]
    assert not {name for one in others for name in one.physical} & set(kind.physical)
    assert sum(one.is_default for one in [*others, kind]) <= 1
    assert pickle.loads(pickle.dumps(kind)) is copy.deepcopy(kind) is kind


@every_type
def test_examples_of_the_type_are_read_and_checked(connection: duckdb.DuckDBPyConnection, kind: ColumnType) -> None:
    column = column_of(kind)
    assert kind.examples
    for text in kind.examples:
        assert faults(connection, column, text) == []
        table = connection.execute(f"SELECT {typed(column, 'cell')} AS v FROM (SELECT '{text}' AS cell)")
        values = table.to_arrow_table()["v"].cast(arrow_type(column))
        assert values.null_count == 0
        contract = Contract("t", "1.0.0", "", (column,), ("v",), None, Path("t.yaml"))
        connection.register("checked", pa.table({"v": values}))
        assert connection.execute(
            f"SELECT {violations_sql(contract, {'v'}, [], check_nul=True)} FROM checked"
        ).fetchone() == (False,)
        connection.execute(f"SELECT CAST(v AS {column.duckdb_type}), CAST(v AS {column.carried_type}) FROM checked")
        connection.unregister("checked")


@every_type
def test_bad_text_of_the_type_is_refused_with_its_code(connection: duckdb.DuckDBPyConnection, kind: ColumnType) -> None:
    if kind.is_text:
        assert faults(connection, column_of(kind), "a' || chr(0) || 'b") == ["bad-text"]
        return
    assert kind.bad is not None
    text, code = kind.bad
    assert faults(connection, column_of(kind), text)[0] == code


@every_type
def test_bad_text_in_a_string_column_of_parquet_stops_the_fast_path(
    connection: duckdb.DuckDBPyConnection, kind: ColumnType
) -> None:
    column = column_of(kind)
    if not pa.types.is_string(arrow_type(column)):
        return
    text = kind.bad[0] if kind.bad else "a\0b"
    contract = Contract("t", "1.0.0", "", (column,), ("v",), None, Path("t.yaml"))
    connection.register("checked", pa.table({"v": [text]}))
    violated = violations_sql(contract, {"v"}, [], check_nul=True)
    assert connection.execute(f"SELECT {violated} FROM checked").fetchone() == (True,)
    connection.unregister("checked")


@every_type
def test_type_has_an_arrow_type_that_parquet_files_may_have(kind: ColumnType) -> None:
    assert kind.fits_arrow(pa.types, arrow_type(column_of(kind)))
    assert not kind.fits_arrow(pa.types, pa.list_(pa.int64()))


@every_type
def test_type_has_an_avro_schema_and_its_values(kind: ColumnType) -> None:
    column = column_of(kind)
    contract = Contract("t", "1.0.0", "", (column,), ("v",), None, Path("t.yaml"))
    assert parse_schema(avro_schema(contract))
    for text in kind.examples:
        assert to_avro({"v": text}, contract)["v"] is not None
    if kind.bad:
        with pytest.raises(RowValueError):
            to_avro({"v": kind.bad[0]}, contract)


@every_type
def test_type_of_the_warehouse_has_its_name_in_the_catalogue(kind: ColumnType) -> None:
    assert column_of(kind).postgres_type.startswith(kind.postgres.partition("(")[0])
    assert _catalogue_name(kind.postgres) == (kind.catalogue or kind.postgres)


@every_type
def test_draft_of_a_sample_has_the_type(tmp_path: Path, kind: ColumnType) -> None:
    quoted = [f'"{text.replace(chr(34), chr(34) * 2)}"' for text in kind.examples]
    sample = tmp_path / "t.csv"
    sample.write_text("id,v\n" + "".join(f"x{at},{text}\n" for at, text in enumerate(quoted)), encoding="utf-8")
    path = tmp_path / "t.yaml"
    drafted = draft_contract(sample, "t", IngestSettings()).encode()
    assert compile_contract(path, drafted).by_name["v"].type is kind


@every_type
def test_compiled_contract_keeps_the_type(kind: ColumnType) -> None:
    contract = Contract("t", "1.0.0", "", (column_of(kind),), ("v",), None, Path("t.yaml"))
    assert decoded(encoded(contract), contract.path) == contract


# A new type


def test_added_type_is_validated_and_processed_on_both_paths(
    stages, contract_of: Callable[..., Contract], added: ColumnType
) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT, required=True), Column("v", added))
    content = b"id,v\na,DE\nb, FR\nc,\n"
    fast, slow = (stages.rows(contract, content, slow=slow) for slow in (False, True))
    assert [row["v"] for row in fast] == [row["v"] for row in slow] == ["DE", "FR", None]


def test_bad_value_of_an_added_type_is_rejected(
    stages, contract_of: Callable[..., Contract], added: ColumnType
) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT, required=True), Column("v", added))
    validated = stages.validate(contract, b"id,v\na,DE\nb,Germany\n")
    assert (validated.rows_read, dict(validated.rejects.by_code)) == (2, {Code.PATTERN_MISMATCH: 1})


@pytest.mark.parametrize("file_format", [SampleFormat.CSV, SampleFormat.NDJSON, SampleFormat.PARQUET])
@pytest.mark.parametrize("kind", ALL, ids=str)
def test_samples_are_made_of_every_type(
    stages, contract_of: Callable[..., Contract], tmp_path: Path, kind: ColumnType, file_format: SampleFormat
) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), replace(column_of(kind), required=True))
    sample = tmp_path / f"sample.{file_format}"
    write_sample(Sample(contract, 20), sample, file_format)
    assert len(stages.rows(contract, sample)) == 20


# One registry


def decisions(source: str) -> list[int]:
    """Lines that decide by a column type's name: a case, a comparison, or a key of a table."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.MatchValue(value=value):
                found.append(value)
            case ast.Compare(left=left, comparators=right):
                found += [left, *right]
            case ast.Dict(keys=keys):
                found += [key for key in keys if key is not None]
            case ast.Set(elts=members):
                found += members
    return [value.lineno for value in found if _names_a_type(value)]


def _names_a_type(value: ast.expr) -> bool:
    match value:
        case ast.Attribute(value=ast.Name(id="ColumnType")):
            return True
        case ast.Attribute(value=ast.Attribute(attr="type"), attr="name"):
            return True
        case ast.Tuple(elts=members) | ast.List(elts=members):
            return any(map(_names_a_type, members))
        case ast.Subscript(value=ast.Name(id="TYPES")):
            return True
    return False


DECISIONS = {
    "case": "match column.type:\n    case ColumnType.TEXT:\n        pass",
    "identity": "column.type is not ColumnType.TEXT",
    "set": "column.type in {ColumnType.JSON, ColumnType.UUID}",
    "tuple": "column.type in (ColumnType.JSON, ColumnType.UUID)",
    "table": "{ColumnType.JSON: 'jsonb'}[column.type]",
    "name": "column.type.name == 'json'",
    "entry": "column.type is TYPES['json']",
}


@pytest.mark.parametrize("source", DECISIONS.values(), ids=list(DECISIONS))
def test_decision_by_the_name_of_a_type_is_found(source: str) -> None:
    assert decisions(source)


def test_property_of_a_type_is_no_decision_by_its_name() -> None:
    assert not decisions("column.type.is_text or column.type in chosen or kinds == {'id': 1}")


@pytest.mark.parametrize("folder", ["include", "dags", "plugins", "local", "proof", "bench", "deploy", "metabase"])
def test_only_the_registry_decides_by_the_name_of_a_type(folder: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / folder).rglob("*.py")
        for line in decisions(path.read_text())
    }
    assert not found, "ask the type's entry in include/contracts/types.py"


def test_registry_imports_no_engine() -> None:
    script = "import sys, include.contracts.types; print(*{name.partition('.')[0] for name in sys.modules})"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(answer.stdout.split()) & {"duckdb", "pyarrow", "numpy", "pandas", "great_expectations"}
