"""The stand-ins answer as the real APIs do: shapes, pages, limits and errors; and the shipped definitions fit them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from include.sources.definition import RestSource
from local.credentials import load_or_make
from local.services import airflow
from local.services.served_api import Fault
from local.services.stand_ins import binance, coingecko, open_meteo, openweathermap, service
from local.services.stand_ins.server import APIS, NOW, StandIns
from local.services.stand_ins.values import Values
from local.settings import REPOSITORY, temporary_settings
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.sources.definition import Request

pytestmark = pytest.mark.unit

MARKETS = "/coingecko/api/v3/coins/markets"
KLINES = "/binance/api/v3/klines"
FORECAST = "/open-meteo/v1/forecast"
WEATHER = "/openweathermap/data/2.5/weather"
BERLIN = {"latitude": "52.52", "longitude": "13.41"}
HOUR = 3_600_000


@pytest.fixture(scope="module")
def served() -> Iterator[StandIns]:
    with StandIns() as api:
        yield api


@pytest.fixture
def api(served: StandIns) -> StandIns:
    """The server in its initial state."""
    served.reset()
    return served


def get(api: StandIns, path: str, params: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    return httpx.get(f"{api.url}{path}", params=params, headers=headers, timeout=30)


# The shipped definitions

SOURCES = {
    path.stem: RestSource.model_validate(yaml.safe_load(path.read_text()))
    for path in sorted((REPOSITORY / "sources").glob("*.yaml"))
}


def requests_of(source: RestSource) -> Iterator[tuple[Request, dict[str, str]]]:
    """Each request of a definition with the values of its placeholders."""
    for request in source.requests:
        for values in product(*request.for_each.values()):
            yield request, dict(zip(request.for_each, map(str, values), strict=True))


def filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{\+?(\w+)\}", lambda found: values.get(found[1], found[0]), text)


def asked(api: StandIns, source: RestSource, request: Request, values: dict[str, str]) -> httpx.Response:
    """The answer to a request of a definition, with its key."""
    params = {name: filled(str(value), values) for name, value in request.params.items()}
    if source.incremental and source.incremental.initial_value is not None:
        params[source.incremental.start_param] = str(source.incremental.initial_value)
    if source.auth and source.auth.type == "api_key" and source.auth.placed == "query":
        params[source.auth.name] = service.KEY
    return get(api, f"/{service.APIS[source.connection]}{filled(request.path, values)}", params)


def test_every_shipped_source_has_a_stand_in() -> None:
    assert set(service.APIS) == {source.connection for source in SOURCES.values()}
    assert set(service.APIS.values()) == set(APIS)


@pytest.mark.parametrize("name", SOURCES)
def test_every_shipped_source_is_collected_every_half_hour(name: str) -> None:
    """Those of one connection at different times: GitHub asks for serial requests."""
    minutes = re.fullmatch(r"(?:\*/30|(\d+),(\d+)) \* \* \* \*", SOURCES[name].schedule or "")
    assert minutes
    assert minutes[1] is None or int(minutes[2]) - int(minutes[1]) == 30
    others = [source for source in SOURCES.values() if source.connection == SOURCES[name].connection]
    assert len({source.schedule for source in others}) == len(others)


@pytest.mark.parametrize("name", SOURCES)
def test_requests_of_a_definition_have_records_at_its_paths(api: StandIns, name: str) -> None:
    source = SOURCES[name]
    for request, values in requests_of(source):
        answer = asked(api, source, request, values)
        assert (answer.status_code, answer.headers["x-stand-in"]) == (200, "true"), answer.text
        content = answer.json()
        if name.startswith(("crypto", "github")):
            assert len(content) >= 100
        elif name == "weather":
            arrays = [content["hourly"][path.rpartition(".")[2]] for path in source.records.zip]
            assert {len(array) for array in arrays} == {72}
        else:
            assert content["cod"] == 200


# What all have


def test_values_move_over_time_and_are_the_same_for_the_same_time_and_seed(api: StandIns) -> None:
    paths = [(MARKETS, {"vs_currency": "usd"}), (KLINES, {"symbol": "BTCUSDT", "interval": "1h"}),
             (FORECAST, {**BERLIN, "hourly": "temperature_2m", "current": "wind_speed_10m"}),
             (WEATHER, {"q": "Berlin", "appid": service.KEY})]  # fmt: skip
    first = [get(api, *path).content for path in paths]
    assert [get(api, *path).content for path in paths] == first
    with StandIns() as again:
        assert [get(again, *path).content for path in paths] == first
    with StandIns(seed=7) as other:
        assert all(one != two for one, two in zip([get(other, *path).content for path in paths], first, strict=True))
    api.now = NOW + timedelta(hours=7)
    assert all(one != two for one, two in zip([get(api, *path).content for path in paths], first, strict=True))


def test_waves_stay_within_their_bounds_and_have_no_jumps() -> None:
    values = Values(3)
    found = [values.wave("x", 1_764_000_000 + 60 * at) for at in range(3000)]
    assert -1 <= min(found) < max(found) <= 1
    assert max(abs(one - two) for one, two in pairwise(found)) < 0.05


@pytest.mark.parametrize("path", ["/", "/nothing", "/coingecko/nothing", MARKETS, WEATHER])
def test_every_answer_says_that_it_is_invented(api: StandIns, path: str) -> None:
    answer = get(api, path)
    assert answer.headers["x-stand-in"] == "true"
    assert answer.headers.get_list("date") == ["Sat, 28 Nov 2026 12:00:30 GMT"]
    assert httpx.post(f"{api.url}{path}").headers["x-stand-in"] == "true"


def test_faults_replace_answers_and_requests_are_kept(api: StandIns) -> None:
    api.state.faults += [Fault(502, path_contains="klines"), Fault(None, headers={"x-mark": "1"})]
    assert get(api, MARKETS, {"vs_currency": "usd"}).headers["x-mark"] == "1"
    assert [get(api, KLINES).status_code for _ in range(2)] == [502, 400]
    first = api.state.requests[0]
    assert (first.path, first.query) == (MARKETS, {"vs_currency": "usd"})


# CoinGecko


def test_markets_are_pages_of_an_array_that_an_empty_one_ends(api: StandIns) -> None:
    pages = [get(api, MARKETS, {"vs_currency": "usd", "per_page": 250, "page": at}).json() for at in (1, 2, 3)]
    assert [len(page) for page in pages] == [250, 50, 0]
    found = [coin for page in pages for coin in page]
    assert len({coin["id"] for coin in found}) == 300
    caps = [coin["market_cap"] for coin in found]
    assert caps == sorted(caps, reverse=True)
    assert [coin["market_cap_rank"] for coin in found] == list(range(1, 301))
    assert {coin["max_supply"] is None for coin in found} == {True, False}
    assert all(coin["low_24h"] <= coin["current_price"] <= coin["high_24h"] for coin in found)
    bitcoin = next(coin for coin in found if coin["id"] == "bitcoin")
    assert re.fullmatch(r"2026-11-28T1[12]:\d\d:\d\d\.\d{3}Z", bitcoin["last_updated"])
    assert 30_000 < bitcoin["current_price"] < 120_000


@pytest.mark.parametrize(("size", "given"), [("7", 7), ("1000", 250), ("x", 100), ("0", 100)])
def test_a_page_of_markets_has_at_most_250(api: StandIns, size: str, given: int) -> None:
    assert len(get(api, MARKETS, {"vs_currency": "eur", "per_page": size}).json()) == given


def test_unknown_ids_are_left_out(api: StandIns) -> None:
    ids = {"ids": "bitcoin,no-such-coin,ethereum"}
    assert [coin["id"] for coin in get(api, MARKETS, {"vs_currency": "usd", **ids}).json()] == ["bitcoin", "ethereum"]
    prices = get(
        api, "/coingecko/api/v3/simple/price",
        {**ids, "vs_currencies": "usd,eur", "include_last_updated_at": "true"},
    ).json()  # fmt: skip
    expected = ["eur", "last_updated_at", "usd"]
    assert {name: sorted(price) for name, price in prices.items()} == {"bitcoin": expected, "ethereum": expected}


def test_markets_are_refreshed_every_minute_and_a_304_until_then(api: StandIns) -> None:
    asked_for = {"vs_currency": "usd", "per_page": 5}
    etag = get(api, MARKETS, asked_for).headers["etag"]
    api.now = NOW + timedelta(seconds=29)
    again = get(api, MARKETS, asked_for, **{"if-none-match": etag})
    assert (again.status_code, again.content, again.headers["x-stand-in"]) == (304, b"", "true")
    api.now = NOW + timedelta(seconds=30)
    assert get(api, MARKETS, asked_for, **{"if-none-match": etag}).status_code == 200


@pytest.mark.parametrize("order", ["volume_asc", "id_desc", "market_cap_asc"])
def test_markets_have_an_order(api: StandIns, order: str) -> None:
    name = {"volume_asc": "total_volume", "id_desc": "id", "market_cap_asc": "market_cap"}[order]
    found = [coin[name] for coin in get(api, MARKETS, {"vs_currency": "usd", "order": order}).json()]
    assert found == sorted(found, reverse=order.endswith("desc"))


@pytest.mark.parametrize(
    ("params", "headers", "status", "content"),
    [
        pytest.param({}, {}, 422, {"error": "Missing parameter vs_currency"}, id="no-currency"),
        pytest.param({"vs_currency": "xyz"}, {}, 400, {"error": "invalid vs_currency"}, id="unknown-currency"),
        pytest.param({"vs_currency": "usd", "order": "x"}, {}, 400, {"error": "invalid order"}, id="unknown-order"),
        pytest.param({}, {"x-cg-demo-api-key": "wrong"}, 401, {"status": {"error_code": 10002}}, id="wrong-key"),
        pytest.param({}, {"x-cg-pro-api-key": "any"}, 400, {"status": {"error_code": 10010}}, id="key-of-another-plan"),
    ],
)
def test_coingecko_words_its_refusals(
    api: StandIns, params: dict[str, str], headers: dict[str, str], status: int, content: dict[str, Any]
) -> None:
    answer = get(api, MARKETS, params, **headers)
    found = answer.json()
    if "status" in found:
        assert found["status"].pop("error_message")
    assert (answer.status_code, found) == (status, content)


def test_coingecko_limits_requests_a_minute_and_says_how_long_to_wait(api: StandIns) -> None:
    api.state.lowered[coingecko.NAME] = 2
    ping = "/coingecko/api/v3/ping"
    assert [get(api, ping).status_code for _ in range(2)] == [200, 200]
    api.now = NOW + timedelta(seconds=20)
    refused = get(api, ping)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
    assert refused.json()["status"]["error_code"] == 429
    assert get(api, ping, **{"x-cg-demo-api-key": service.KEY}).status_code == 200, "another client"
    api.now = NOW + timedelta(seconds=60)
    assert get(api, ping).status_code == 200


# Binance


def test_candles_are_arrays_of_twelve_oldest_first(api: StandIns) -> None:
    found = get(api, KLINES, {"symbol": "BTCUSDT", "interval": "1h"}).json()
    assert len(found) == 500
    opened = [candle[0] for candle in found]
    assert opened == list(range(opened[0], opened[0] + 500 * HOUR, HOUR))
    assert opened[-1] == int(datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp() * 1000), "the last one is still moving"
    for candle in found:
        assert [type(value) for value in candle] == [int, *[str] * 5, int, str, int, *[str] * 3]
        first, high, low, last = map(Decimal, candle[1:5])
        assert 0 < low <= min(first, last) <= max(first, last) <= high
        assert (candle[6] - candle[0], candle[11]) == (HOUR - 1, "0")
        assert re.fullmatch(r"\d+\.\d{8}", candle[5])
    assert [one[4] for one in found[:-1]] == [one[1] for one in found[1:]], "each begins where the one before ends"


def test_the_last_candle_moves_and_the_others_do_not(api: StandIns) -> None:
    asked_for = {"symbol": "ETHUSDT", "interval": "5m", "limit": 3}
    before = get(api, KLINES, asked_for).json()
    api.now = NOW + timedelta(minutes=3)
    after = get(api, KLINES, asked_for).json()
    assert (after[:2], after[2][0]) == (before[:2], before[2][0])
    assert after[2] != before[2]


def test_the_next_page_of_candles_starts_behind_the_last_value(api: StandIns) -> None:
    source = SOURCES["crypto_candles"]
    start, opened = source.incremental.initial_value, []
    while True:
        page = get(api, KLINES, {"symbol": "BTCUSDT", "interval": "1h", "limit": 1000, "startTime": start}).json()
        opened += [candle[int(source.pagination.path)] for candle in page]
        if len(page) < source.pagination.limit:
            break
        start = opened[-1] + source.pagination.step
    first, now = source.incremental.initial_value, int(NOW.timestamp() * 1000)
    assert opened == list(range(first, now, HOUR))
    assert len(opened) > 7000


def test_candles_of_a_time(api: StandIns) -> None:
    start = 1_790_000_000_000
    asked_for = {"symbol": "BTCUSDT", "interval": "1d", "startTime": start, "endTime": start + 3 * 24 * HOUR}
    found = get(api, KLINES, asked_for).json()
    assert [candle[0] % (24 * HOUR) for candle in found] == [0, 0, 0]
    assert start <= found[0][0] < found[-1][0] <= start + 3 * 24 * HOUR
    assert get(api, KLINES, {**asked_for, "startTime": 10**15}).json() == []
    assert get(api, KLINES, {**asked_for, "startTime": 0, "limit": 1}).json()[0][0] == binance.FIRST
    monday = get(api, KLINES, {"symbol": "BTCUSDT", "interval": "1w", "limit": 1}).json()[0][0]
    assert datetime.fromtimestamp(monday / 1000, UTC).weekday() == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        pytest.param({"interval": "1h"}, -1102, id="no-symbol"),
        pytest.param({"symbol": "BTCUSDT"}, -1102, id="no-interval"),
        pytest.param({"symbol": "NOPE", "interval": "1h"}, -1121, id="unknown-symbol"),
        pytest.param({"symbol": "BTCUSDT", "interval": "7h"}, -1120, id="unknown-interval"),
        pytest.param({"symbol": "BTCUSDT", "interval": "1h", "limit": "x"}, -1100, id="limit-is-no-number"),
        pytest.param({"symbol": "BTCUSDT", "interval": "1h", "startTime": "-1"}, -1100, id="negative-time"),
        pytest.param({"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130, id="no-candles"),
    ],
)
def test_binance_words_its_refusals(api: StandIns, params: dict[str, str], code: int) -> None:
    answer = get(api, KLINES, params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["msg"]
    assert answer.headers["x-mbx-used-weight-1m"] == "2"


def test_binance_counts_weights_and_bans_clients_that_do_not_wait(api: StandIns) -> None:
    api.state.lowered[binance.NAME] = 5
    price = "/binance/api/v3/ticker/price"
    assert get(api, price).headers["x-mbx-used-weight-1m"] == "4"
    assert get(api, "/binance/api/v3/time").json() == {"serverTime": int(NOW.timestamp() * 1000)}
    refused = [get(api, price, {"symbol": "BTCUSDT"}) for _ in range(6)]
    assert [one.status_code for one in refused] == [429] * 5 + [418]
    assert (refused[0].headers["retry-after"], refused[5].headers["retry-after"]) == ("60", "120")
    assert {one.json()["code"] for one in refused} == {-1003}
    api.now = NOW + timedelta(seconds=90)
    assert get(api, price).status_code == 418, "the limit is reset, and the ban goes on"
    api.now = NOW + timedelta(seconds=120)
    assert get(api, price).status_code == 200


def test_prices_of_both_apis_are_those_of_one_market(api: StandIns) -> None:
    api.now = NOW.replace(second=0)
    coin = get(api, MARKETS, {"vs_currency": "usd", "ids": "bitcoin"}).json()[0]
    price = get(api, "/binance/api/v3/ticker/price", {"symbol": "BTCUSDT"}).json()
    assert price["symbol"] == "BTCUSDT"
    assert float(price["price"]) == pytest.approx(coin["current_price"])


# Open-Meteo


def test_a_forecast_has_parallel_arrays_of_local_hours(api: StandIns) -> None:
    names = "temperature_2m,precipitation,visibility"
    found = get(api, FORECAST, {**BERLIN, "hourly": names, "timezone": "Europe/Berlin"}).json()
    assert (found["latitude"], found["longitude"]) == (52.5, 13.4375), "those of the grid"
    assert (found["utc_offset_seconds"], found["timezone_abbreviation"]) == (3600, "CET")
    hourly = found["hourly"]
    assert list(hourly) == ["time", *names.split(",")] == list(found["hourly_units"])
    assert {len(array) for array in hourly.values()} == {7 * 24}
    assert (hourly["time"][0], hourly["time"][-1]) == ("2026-11-28T00:00", "2026-12-04T23:00")
    assert None in hourly["visibility"], "it is not forecast so far ahead"
    assert None not in hourly["temperature_2m"]
    assert all(-40 < value < 50 for value in hourly["temperature_2m"])


def test_later_hours_change_with_each_run_of_the_forecast_and_past_ones_do_not(api: StandIns) -> None:
    asked_for = {**BERLIN, "hourly": "temperature_2m", "timezone": "UTC", "forecast_days": 3, "past_days": 1}
    before = get(api, FORECAST, asked_for).json()["hourly"]
    api.now = NOW + timedelta(hours=6)
    after = get(api, FORECAST, asked_for).json()["hourly"]
    assert after["time"] == before["time"]
    assert after["temperature_2m"][:36] == before["temperature_2m"][:36]
    assert after["temperature_2m"][-1] != before["temperature_2m"][-1]


def test_several_places_are_an_array(api: StandIns) -> None:
    found = get(
        api, FORECAST, {"latitude": "52.52,-33.87", "longitude": "13.41,151.21", "current": "weather_code"}
    ).json()
    assert [one.get("location_id") for one in found] == [None, 1]
    assert [sorted(one["current"]) for one in found] == [["interval", "time", "weather_code"]] * 2
    assert "hourly" not in found[0]


def test_times_may_be_numbers(api: StandIns) -> None:
    hourly = get(api, FORECAST, {**BERLIN, "hourly": "weather_code", "timeformat": "unixtime"}).json()["hourly"]
    assert hourly["time"][0] == int(datetime(2026, 11, 28, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        pytest.param({}, "Value of type 'Float' required for key 'latitude'.", id="no-place"),
        pytest.param({**BERLIN, "latitude": "91"}, "Latitude must be in range of -90 to 90°. Given: 91.",
                     id="latitude"),
        pytest.param({**BERLIN, "latitude": "nan"}, "Latitude must be in range of -90 to 90°. Given: nan.", id="nan"),
        pytest.param({**BERLIN, "latitude": "1,2"}, "Parameter 'latitude' and 'longitude' must have the same number of "
                     "elements", id="numbers-of-places"),
        pytest.param({**BERLIN, "hourly": "warmth"}, "Cannot initialize WeatherVariable from invalid String value "
                     "warmth for key hourly", id="unknown-variable"),
        pytest.param({**BERLIN, "timezone": "Moon"}, "Invalid timezone", id="unknown-zone"),
        pytest.param({**BERLIN, "forecast_days": "17"}, "Parameter 'forecast_days' is out of allowed range from 0 to "
                     "16. Given 17.", id="too-many-days"),
    ],
)  # fmt: skip
def test_open_meteo_words_its_refusals(api: StandIns, params: dict[str, str], reason: str) -> None:
    answer = get(api, FORECAST, params)
    assert (answer.status_code, answer.json()) == (400, {"error": True, "reason": reason})


def test_open_meteo_limits_requests_without_saying_how_long_to_wait(api: StandIns) -> None:
    api.state.lowered[f"{open_meteo.NAME} hourly"] = 1
    assert get(api, FORECAST, BERLIN).status_code == 200
    refused = get(api, FORECAST, BERLIN)
    assert (refused.status_code, "retry-after" in refused.headers) == (429, False)
    assert refused.json()["reason"].startswith("Hourly API request limit exceeded")
    api.now = NOW + timedelta(hours=1)
    assert get(api, FORECAST, BERLIN).status_code == 200


# OpenWeatherMap


def test_present_weather_is_one_object(api: StandIns) -> None:
    found = get(api, WEATHER, {"lat": 52.52, "lon": 13.41, "units": "metric", "appid": service.KEY}).json()
    assert (found["name"], found["id"], found["cod"], found["dt"] % 600) == ("Berlin", 2950159, 200, 0)
    assert found["coord"] == {"lon": 13.41, "lat": 52.52}
    assert {"id", "main", "description", "icon"} == set(found["weather"][0])
    assert -30 < found["main"]["temp"] < 40
    kelvin = get(api, WEATHER, {"q": "Berlin,DE", "appid": service.KEY}).json()
    assert kelvin["main"]["temp"] == pytest.approx(found["main"]["temp"] + 273.15, abs=0.02)
    imperial = get(api, WEATHER, {"q": "berlin", "units": "imperial", "appid": service.KEY}).json()
    assert imperial["main"]["temp"] == pytest.approx(found["main"]["temp"] * 1.8 + 32, abs=0.02)
    assert get(api, WEATHER, {"lat": -45, "lon": -120, "appid": service.KEY}).json()["name"] == ""


@pytest.mark.parametrize(
    ("params", "status", "content"),
    [
        pytest.param({"q": "Berlin"}, 401, {"cod": 401}, id="no-key"),
        pytest.param({"q": "Berlin", "appid": "wrong"}, 401, {"cod": 401}, id="wrong-key"),
        pytest.param({"q": "Atlantis", "appid": service.KEY}, 404, {"cod": "404", "message": "city not found"},
                     id="city"),
        pytest.param({"appid": service.KEY}, 400, {"cod": "400", "message": "Nothing to geocode"}, id="no-place"),
        pytest.param({"lat": "95", "lon": "0", "appid": service.KEY}, 400, {"cod": "400", "message": "wrong latitude"},
                     id="latitude"),
        pytest.param({"lat": "1", "lon": "x", "appid": service.KEY}, 400, {"cod": "400", "message": "wrong longitude"},
                     id="longitude"),
    ],
)  # fmt: skip
def test_openweathermap_words_its_refusals(
    api: StandIns, params: dict[str, str], status: int, content: dict[str, Any]
) -> None:
    answer = get(api, WEATHER, params)
    assert answer.status_code == status
    assert answer.json() | content == answer.json()


def test_openweathermap_limits_requests_of_a_key(api: StandIns) -> None:
    api.state.lowered[openweathermap.NAME] = 1
    asked_for = {"q": "Berlin", "appid": service.KEY}
    assert [get(api, WEATHER, asked_for).status_code for _ in range(2)] == [200, 429]
    assert get(api, WEATHER, asked_for).json()["cod"] == 429


# The service


def test_sources_without_a_connection_read_from_the_stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = temporary_settings(tmp_path)
    variables = service.connections(settings)
    assert {name: json.loads(value) for name, value in variables.items()} == {"SOURCES_STAND_IN": True} | {
        f"AIRFLOW_CONN_{name.upper()}": {
            "conn_type": "http", "host": f"{service.url(settings)}/{api}", "extra": {"stand_in": True},
        }
        | ({"password": service.KEY} if name in {"source_weather_now", "source_github"} else {})
        for name, api in service.APIS.items()
    }  # fmt: skip
    real = '{"conn_type": "http", "host": "https://api.coingecko.com"}'
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE_CRYPTO_PRICES", real)
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE_SHOP", "http://shop.example")
    monkeypatch.setenv("SOURCES_STAND_IN", "false")
    named = service.connections(settings)
    assert named["AIRFLOW_CONN_SOURCE_CRYPTO_PRICES"] == real
    assert named["AIRFLOW_CONN_SOURCE_SHOP"] == "http://shop.example"
    assert named["SOURCES_STAND_IN"] == "false"
    assert named["AIRFLOW_CONN_SOURCE_WEATHER"] == variables["AIRFLOW_CONN_SOURCE_WEATHER"]


def test_setting_names_the_real_api_of_github(tmp_path: Path) -> None:
    real = {"conn_type": "http", "host": "https://api.example", "password": "t"}
    for has_stand_ins in (True, False):
        settings = temporary_settings(
            tmp_path, stand_ins=has_stand_ins, source_github_url="https://api.example", source_github_token="t"
        )
        assert json.loads(service.connections(settings)["AIRFLOW_CONN_SOURCE_GITHUB"]) == real


def test_without_stand_ins_a_source_needs_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE_SHOP", "http://shop.example")
    settings = temporary_settings(tmp_path, stand_ins=False)
    assert service.connections(settings) == {"AIRFLOW_CONN_SOURCE_SHOP": "http://shop.example"}


def test_the_probe_asks_the_server(tmp_path: Path, api: StandIns) -> None:
    running = temporary_settings(tmp_path, stand_ins_port=int(api.url.rpartition(":")[2]))
    assert service.service(running).probe(0.0) is None
    assert "does not answer" in (service.service(temporary_settings(tmp_path)).probe(0.0) or "")


@pytest.mark.parametrize("has_stand_ins", [True, False])
def test_the_platform_starts_the_server_before_airflow(tmp_path: Path, *, has_stand_ins: bool) -> None:
    settings = temporary_settings(tmp_path / "home", stand_ins=has_stand_ins)
    settings.layout.home.mkdir()
    credentials = load_or_make(settings.layout.secrets)
    names = [one.name for one in Platform(settings).services()]
    assert (names[names.index("ml-api") + 1] == service.NAME) is has_stand_ins
    assert (service.NAME in names) is has_stand_ins
    variables = airflow.environment(settings, credentials)
    assert service.connections(settings).items() <= variables.items()
    assert ("AIRFLOW_CONN_SOURCE_WEATHER" in variables) is has_stand_ins


def test_the_server_is_a_program_that_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    declared = service.service(temporary_settings(tmp_path))
    with subprocess.Popen(declared.command, env=dict(declared.environment), cwd=tmp_path) as process:
        try:
            while declared.probe(0.0) is not None:
                assert process.poll() is None
                time.sleep(0.1)
            answer = httpx.get(f"{declared.address}{WEATHER}", params={"q": "Tokyo", "appid": service.KEY})
            assert answer.json()["name"] == "Tokyo"
            assert abs(answer.json()["dt"] - time.time()) < 700
        finally:
            process.terminate()
        assert process.wait(timeout=10) in {0, -15}
