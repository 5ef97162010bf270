"""What the stand-ins answer, delivered as the design of sources says, fits the contracts of the shipped sources."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from include.contracts.reader import read_contract
from include.sources.definition import RestSource, Zip
from local.services.stand_ins import service
from local.services.stand_ins.server import NOW, StandIns
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit

SOURCES = sorted(path.stem for path in (REPOSITORY / "sources").glob("*.yaml"))


@pytest.fixture(scope="module")
def api() -> Iterator[StandIns]:
    with StandIns() as served:
        yield served


def source_of(name: str) -> RestSource:
    return RestSource.model_validate(yaml.safe_load((REPOSITORY / "sources" / f"{name}.yaml").read_text()))


def delivered(api: StandIns, source: RestSource) -> list[dict[str, Any]]:
    """The records of all requests, with what is put before their own members."""
    found = []
    for request in source.requests:
        for chosen in product(*request.for_each.values()):
            values = {name: str(value) for name, value in zip(request.for_each, chosen, strict=True)}
            params = {name: str(value).format(**values) for name, value in request.params.items()}
            if source.incremental and source.incremental.initial_value is not None:
                params[source.incremental.start_param] = str(source.incremental.initial_value)
            answer = httpx.get(
                f"{api.url}/{service.APIS[source.connection]}{request.path.replace('{+', '{').format(**values)}",
                params=params | {"appid": service.KEY},
                timeout=30,
            )
            before = {f"_for_{name}": value for name, value in values.items()}
            before["_collected_at"] = f"{api.now:%Y-%m-%dT%H:%M:%SZ}"
            found += [before | record for record in records_of(source, answer.json())]
    return found


def records_of(source: RestSource, answer: Any) -> Iterator[dict[str, Any]]:
    if isinstance(source.records, Zip):
        columns = [answer["hourly"][path.removeprefix("hourly.")] for path in source.records.zip]
        for row in zip(*columns, strict=True):
            yield dict(zip(source.records.columns, row, strict=True))
        return
    for record in answer if isinstance(answer, list) else [answer]:
        yield dict(enumerate(record)) if isinstance(record, list) else record


def loaded(stages, contract: Contract, records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    validated = stages.validate(contract, "\n".join(map(json.dumps, records)).encode())
    assert [(one.column, one.code, one.value) for one in validated.rejects.first] == []
    return stages.processed(contract, validated), validated.path_taken


@pytest.mark.parametrize("name", SOURCES)
def test_records_of_a_source_fit_its_contract(stages, api: StandIns, name: str) -> None:
    source = source_of(name)
    contract = read_contract(REPOSITORY / "contracts" / f"{source.dataset}.yaml")
    assert (contract.topic == name) is (source.deliver == "topic")
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for hours in (0, 200, 5000):
        api.now = NOW + timedelta(hours=hours)
        found, _ = loaded(stages, contract, delivered(api, source))
        assert all(row[column.name] is not None for row in found for column in contract.columns if column.required)
        rows |= {tuple(row[name] for name in contract.key): row for row in found}
    least = {"crypto_prices": 300, "crypto_candles": 3000, "weather": 800, "weather_now": 12}
    assert len(rows) >= least.get(name, 300)
    empty = {column.name for column in contract.columns if all(row[column.name] is None for row in rows.values())}
    assert empty == set()


def test_values_of_the_rows_are_those_of_the_answers(stages, api: StandIns) -> None:
    api.now = NOW
    candles, path = loaded(
        stages,
        read_contract(REPOSITORY / "contracts" / "crypto_candles.yaml"),
        delivered(api, source_of("crypto_candles")),
    )
    assert path == "fast", "times as numbers need no slow path"
    first = next(row for row in candles if row["symbol"] == "ETHUSDT")
    assert (first["opened_at"], first["candle_interval"]) == (datetime(2026, 1, 1, tzinfo=UTC), "1h")
    assert first["closed_at"] == datetime(2026, 1, 1, 0, 59, 59, 999_000, tzinfo=UTC)
    hours, path = loaded(
        stages, read_contract(REPOSITORY / "contracts" / "weather.yaml"), delivered(api, source_of("weather"))
    )
    assert path == "fast"
    berlin = next(row for row in hours if row["city"] == "Berlin")
    assert (berlin["observed_at"], type(berlin["temperature_c"])) == (datetime(2026, 11, 28, tzinfo=UTC), float)
