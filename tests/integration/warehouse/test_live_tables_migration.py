"""The migration of the live sources' tables to version 2 of their contracts, on tables of version 1."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from include.contracts.catalog import read_catalog
from include.ingestion.target import Target
from include.settings import CONTRACTS_DIR
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from include.stores.warehouse import Connection

pytestmark = pytest.mark.integration

SCRIPT = REPOSITORY / "sql" / "migrations" / "versions" / "0021_live_tables.sql"
# Version 1: the columns, those that were required with a !, and the key.
TABLES = {
    "crypto_prices": (
        "coin_id! text, currency! text, updated_at! timestamptz, symbol! text, name! text, price double precision, "
        "market_cap double precision, market_cap_rank bigint, total_volume double precision, "
        "high_24h double precision, low_24h double precision, change_24h_percent double precision, "
        "circulating_supply double precision, max_supply double precision, collected_at! timestamptz",
        ["coin_id", "currency", "updated_at"],
    ),
    "weather": (
        "city! text, forecast_at! timestamptz, temperature numeric(5/2), relative_humidity bigint, "
        "precipitation numeric(6/2), wind_speed numeric(5/2), weather_code bigint, grid_latitude double precision, "
        "grid_longitude double precision, elevation double precision, collected_at! timestamptz",
        ["city", "forecast_at"],
    ),
    "github_events": (
        "id! text, repository! text, type! text, actor_login text, action text, ref text, head_sha text, "
        "issue_number bigint, pull_request_number bigint, is_public boolean, created_at! timestamptz, "
        "fetched_at! timestamptz, source text",
        ["id"],
    ),
}


def columns(written: str) -> str:
    pairs = (part.split(" ", maxsplit=1) for part in written.split(", "))
    return json.dumps(
        [{"name": name.rstrip("!"), "type": kind.replace("/", ","), "required": "!" in name} for name, kind in pairs]
    )


@pytest.fixture
def owner(rolled_back: Connection) -> Connection:
    """A connection of the owner, with tables of version 1; everything is rolled back."""
    for name, (written, key) in TABLES.items():
        rolled_back.execute(f"DROP TABLE IF EXISTS raw.{name} CASCADE".encode())
        rolled_back.execute("SELECT ops.ensure_dataset(%s, %s::jsonb, %s)", [name, columns(written), key])
    return rolled_back


def migrate(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SCRIPT.read_text(encoding="utf-8").encode())


def differences(connection: Connection) -> dict[str, tuple[str, ...]]:
    """What would refuse a load of the contracts of today, or change the table."""
    contracts = read_catalog(CONTRACTS_DIR).contracts
    shapes = {name: Target(contracts[name], 0, 0).shape(connection) for name in TABLES}
    return {name: (*shape.differences, *shape.missing) for name, shape in shapes.items()}


def test_tables_fit_the_contracts_and_keep_their_rows(owner: Connection) -> None:
    lineage = "1, 1, now()"
    owner.execute(
        "INSERT INTO raw.crypto_prices (coin_id, currency, updated_at, symbol, name, price, collected_at, _file_id, "
        f"_source_row, _loaded_at) VALUES ('bitcoin', 'usd', '2026-01-01Z', 'btc', 'Bitcoin', 9.5, now(), {lineage}), "
        f"('bitcoin', 'eur', '2026-01-01Z', 'btc', 'Bitcoin', 8.5, now(), {lineage})"
    )
    owner.execute(
        "INSERT INTO raw.weather (city, forecast_at, temperature, relative_humidity, precipitation, wind_speed, "
        "weather_code, collected_at, _file_id, _source_row, _loaded_at) "
        f"VALUES ('Berlin', '2026-01-01Z', 12.34, 71, 0.4, 14.75, 3, now(), {lineage})"
    )
    owner.execute(
        "INSERT INTO raw.github_events (id, repository, type, created_at, fetched_at, _file_id, _source_row, "
        f"_loaded_at) VALUES ('1', 'o/a', 'PushEvent', '2026-01-01Z', now(), {lineage})"
    )
    assert {name for name, found in differences(owner).items() if found} == {"crypto_prices", "weather"}
    migrate(owner)
    assert not any(differences(owner).values())
    prices = owner.execute("SELECT coin_id, last_updated::text, price_usd FROM raw.crypto_prices").fetchall()
    assert [(coin, price) for coin, _, price in prices] == [("bitcoin", 9.5)]
    others = owner.execute("SELECT coin_id, currency, price FROM raw.crypto_prices_other_currencies").fetchall()
    assert others == [("bitcoin", "eur", 8.5)]
    hours = owner.execute(
        "SELECT temperature_c, humidity_pct, precipitation_mm, wind_kmh, weather_code FROM raw.weather"
    ).fetchall()
    assert hours == [(12.34, 71.0, 0.4, 14.75, 3)]
    assert owner.execute("SELECT count(*) FROM raw.github_events").fetchall() == [(1,)]
    migrate(owner)  # a second time nothing changes
    assert not any(differences(owner).values())


def test_warehouse_without_the_tables_is_left_as_it_is(owner: Connection) -> None:
    for name in TABLES:
        owner.execute(f"DROP TABLE raw.{name}".encode())
    migrate(owner)
    found = [owner.execute("SELECT to_regclass(%s)", [f"raw.{name}"]).fetchall() for name in TABLES]
    assert found == [[(None,)]] * 3
