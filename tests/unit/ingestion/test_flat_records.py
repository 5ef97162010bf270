"""Columns that have a path and a `sourceName`: flat records have the values at their names."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Column, ColumnType, Contract, UnknownColumns
from include.contracts.reader import read_contract
from include.ingestion.readers.json_columns import JsonColumns
from include.ingestion.records import FileFormat
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.TEXT),
    Column("login", ColumnType.TEXT, path="actor.login", source_names=("login", "Account")),
    Column("ref", ColumnType.TEXT, path="payload.ref"),
)
NESTED = {"id": "1", "actor": {"login": "ada"}, "payload": {"ref": "main"}}
FLAT = {"id": "2", "Account": "bob", "ref": "main"}


def lines(*records: dict) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def values(rows: list[dict]) -> list[tuple]:
    return [(row["id"], row["login"], row["ref"]) for row in rows]


def contract(stages, unknown: UnknownColumns = UnknownColumns.IGNORE) -> Contract:
    return stages.contract_of(*COLUMNS, unknown_columns=unknown)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([FLAT], [("2", "bob", None)], id="a path without sourceName does not read the column's name"),
        pytest.param([NESTED, FLAT], [("1", "ada", "main"), ("2", "bob", None)], id="both forms in one file"),
        pytest.param([NESTED | {"login": "eve"}], [("1", "ada", "main")], id="the path wins"),
        pytest.param([{"id": "3", "actor": None, "login": "eve"}], [("3", "eve", None)], id="null on the way"),
        pytest.param([{"id": "4", "actor": "x", "login": "eve"}], [("4", None, None)], id="a text is in the way"),
    ],
)
@pytest.mark.parametrize("slow", [False, True], ids=["as it comes", "slow path"])
def test_flat_member_has_the_value_where_the_path_leads_nowhere(stages, records, expected, *, slow: bool) -> None:
    assert values(stages.rows(contract(stages), lines(*records), slow=slow)) == expected


def test_nested_records_stay_on_the_fast_path(stages) -> None:
    assert stages.validate(contract(stages), lines(NESTED, NESTED)).path_taken == "fast"


def test_flat_member_is_not_kept_as_an_unknown_one(stages) -> None:
    [row] = stages.rows(contract(stages, UnknownColumns.RESCUE), lines(FLAT | {"other": 1}))
    assert json.loads(row["_rescued"]) == {"other": 1, "ref": "main"}


def test_record_itself_is_not_changed() -> None:
    columns = JsonColumns.of(read_contract(CONTRACTS_DIR / "github_events.yaml"), FileFormat.NDJSON)
    record = {"actor": {"id": 1}, "actor_login": "ada"}
    assert columns.with_flat(record) == {"actor": {"id": 1, "login": "ada"}}
    assert record == {"actor": {"id": 1}, "actor_login": "ada"}


def test_flat_columns_of_parquet_are_found_by_name(stages) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"id": "2", "login": "bob"}]), file)
    assert values(stages.rows(contract(stages), file.getvalue())) == [("2", "bob", None)]


SHIPPED = {
    "crypto_prices": (
        {"id": "bitcoin", "symbol": "btc", "current_price": None, "total_volume": 2,
         "last_updated": "2026-03-02T10:00Z"},
        {"coin_id": "bitcoin", "symbol": "btc", "price_usd": None, "total_volume": 2,
         "last_updated": "2026-03-02T10:00Z"},
    ),
    "weather": (
        {"_for_city": "Berlin", "time": "2026-03-02T10:00", "temperature_2m": 1.5, "relative_humidity_2m": 50,
         "precipitation": 0.5, "wind_speed_10m": 3.5, "weather_code": 61},
        {"city": "Berlin", "observed_at": "2026-03-02T10:00Z", "temperature_c": 1.5, "humidity_pct": 50,
         "precipitation_mm": 0.5, "wind_kmh": 3.5, "weather_code": 61},
    ),
    "github_events": (
        {"id": "1", "type": "PullRequestEvent", "created_at": "2026-03-02T10:00Z", "actor": {"login": "Ada"},
         "repo": {"name": "o/r"}, "payload": {"action": "opened", "ref": "main"}},
        {"id": "1", "type": "PullRequestEvent", "created_at": "2026-03-02T10:00Z", "actor_login": "Ada",
         "repository": "o/r", "action": "opened", "ref": "main"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("dataset", SHIPPED)
def test_shipped_live_contracts_read_answers_and_flat_files_alike(stages, dataset: str) -> None:
    shipped = read_contract(Path(CONTRACTS_DIR) / f"{dataset}.yaml")
    answer, flat = SHIPPED[dataset]
    [row] = stages.rows(shipped, lines(answer))
    assert [row] == stages.rows(shipped, lines(flat))
    assert {name for name, value in row.items() if value is None} <= {"name", "price_usd", "market_cap", "_rescued"}
    header = ",".join(flat)
    cells = ",".join("" if value is None else str(value) for value in flat.values())
    assert [row | {"_source_row": 1}] == stages.rows(shipped, f"{header}\n{cells}\n".encode())
