"""A warehouse with rows that the pipeline has loaded and models that dbt has built, for every question."""

from __future__ import annotations

import random
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

TESTS = Path(__file__).parents[2]
sys.path[1:1] = [str(TESTS / folder) for folder in ("integration/warehouse", "unit/stores")]

import live_marts  # noqa: E402
from dbt_project import Warehouse  # noqa: E402
from faulty_ml_service import FaultyMlService  # noqa: E402
from own_platform import own_platform  # noqa: E402

from include.settings import ml_service_settings  # noqa: E402
from tests.source_runs import write_source_runs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

Row = dict[str, Any]
NIGHT = datetime(2026, 3, 1, tzinfo=UTC)
# A name that is a script, unless the page escapes it.
NASTY = '<script>alert("x")</script><a href="https://elsewhere.example">Ada</a>'


@pytest.fixture(scope="package")
def empty() -> Iterator[Platform]:
    """The migrated stores: the ledger exists, models do not."""
    with own_platform() as platform:
        yield platform


@pytest.fixture(scope="package")
def filled(empty: Platform, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Data is loaded, one file of sales was refused, sources have run, and the models are built."""
    warehouse = Warehouse(empty, tmp_path_factory.mktemp("dbt"))
    with pytest.MonkeyPatch.context() as patch, FaultyMlService() as service:
        patch.setenv("ML_SERVICE_URL", service.url)
        ml_service_settings.cache_clear()
        warehouse.send("sales", "sales_1.ndjson", sales())
        warehouse.send(
            "sales", "sales_bad.ndjson", [sale(950, date(2026, 1, 1)), sale(951, date(2026, 1, 1), quantity=-1)]
        )
        warehouse.send("commits", "commits_1.ndjson", commits())
        warehouse.send("transactions", "transactions_1.ndjson", transactions())
        warehouse.send("crypto_prices", "crypto_prices_1.ndjson", live_marts.prices(1, 100))
        warehouse.send("weather", "weather.ndjson", live_marts.hours_of_weather(2, 0.5))
        warehouse.send("github_events", "github_events_1.ndjson", live_marts.events(3, 100, 0))
    ml_service_settings.cache_clear()
    write_source_runs(empty.warehouse_config(), "shop")
    built = warehouse.build("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")
    assert {result["status"] for result in built.values()} == {"success"}
    return warehouse


def sale(number: int, day: date, **changes: Any) -> Row:
    return {
        "sale_id": f"S{number}", "sale_date": day.isoformat(), "customer_id": f"C{number % 17}",
        "customer_name": NASTY if number % 17 == 0 else f"Customer {number % 17}", "product": "Lamp",
        "category": ("Books", "Toys", "Furniture")[number % 3], "quantity": 2, "unit_price": 10.0 + number,
        "total_amount": 2 * (10.0 + number), "region": None, "updated_at": "2026-06-01T00:00:00+00:00", **changes,
    }  # fmt: skip


def sales() -> list[Row]:
    chance = random.Random(8)
    return [sale(number, date(2026, 1, 5) + timedelta(chance.randrange(60))) for number in range(150)]


def commits() -> list[Row]:
    chance = random.Random(7)
    authors = [("Ada", "ada@acme.org"), ("Bob", "bob@gmail.com"), ("Ada", "ada@home.example"), ("Cy", None)]
    rows = []
    for number in range(60):
        at = NIGHT + timedelta(hours=chance.randrange(200))
        name, address = authors[min(chance.randrange(5), 3)]
        rows.append({
            "sha": f"{number:040x}", "repository": ("o/one", "o/two")[number % 2], "author_name": name,
            "author_email": address, "authored_at": at.isoformat(), "committed_at": at.isoformat(),
            "message": f"Change {number}", "parent_count": 2 if number % 5 == 0 else 1, "comment_count": number % 3,
            "is_verified": number % 2 == 0, "fetched_at": "2026-06-01T00:00:00+00:00",
        })  # fmt: skip
    return rows


def transactions() -> list[Row]:
    return [
        {
            "id": str(UUID(int=number)), "description": f"Payment {number}", "amount": number + 0.5,
            "timestamp": (NIGHT + timedelta(hours=7 * number)).isoformat(), "merchant": None, "operation_type": "card",
            "side": "credit" if number % 4 == 0 else "debit",
        }
        for number in range(40)
    ]  # fmt: skip
