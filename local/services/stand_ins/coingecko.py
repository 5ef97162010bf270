"""The stand-in for CoinGecko's API: markets and simple prices, refreshed every minute.

What belongs here: its format, pages, limits and errors. What does not: prices (`market`).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from local.services.stand_ins.market import CURRENCIES, Coin, coins, price_at, volume_at
from local.services.stand_ins.state import RefusedError, State, json_answer, listed
from local.services.stand_ins.values import rounded

if TYPE_CHECKING:
    from starlette.requests import Request

    from local.services.stand_ins.state import Answer

NAME = "coingecko"
WITHOUT_KEY, WITH_KEY = 30, 100  # requests a minute
_PAGE, _MOST = 100, 250
_REFRESH, _DAY = 60, 86_400  # seconds
_CACHE = "max-age=30, public, must-revalidate, s-maxage=60"
_EXCEEDED = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe to our API "
    "plans for higher rate limits."
)
_WRONG_HOST = (
    "If you are using Pro API key, please change your root URL from api.coingecko.com to pro-api.coingecko.com"
)
_WRONG_KEY = "API Key Missing. Please make sure that you send a valid key."


def markets(state: State, request: Request) -> Response:
    """Answer `GET /api/v3/coins/markets`: an array of coins by their market value. A page behind the last is empty."""
    _admit(state, request)
    currency = request.query_params.get("vs_currency", "").lower()
    if not currency:
        raise _error(HTTPStatus.UNPROCESSABLE_ENTITY, "Missing parameter vs_currency")
    if currency not in CURRENCIES:
        raise _error(HTTPStatus.BAD_REQUEST, "invalid vs_currency")
    ranked = _by_value(state)
    ranks = {coin.id: rank for rank, coin in enumerate(ranked, start=1)}
    found = _ordered(state, _wanted(request, ranked), request.query_params.get("order", "market_cap_desc"))
    size = min(_whole(request, "per_page", _PAGE), _MOST)
    start = (_whole(request, "page", 1) - 1) * size
    return _cached(request, [_market(state, coin, ranks[coin.id], currency) for coin in found[start : start + size]])


def simple_price(state: State, request: Request) -> Response:
    """Answer `GET /api/v3/simple/price`: an object of the coins that are known; unknown ids are left out."""
    _admit(state, request)
    ids, currencies = listed(request, "ids"), listed(request, "vs_currencies")
    for name, given in (("ids", ids), ("vs_currencies", currencies)):
        if not given:
            raise _error(HTTPStatus.UNPROCESSABLE_ENTITY, f"Missing parameter {name}")
    time, has_time = _refreshed(state), request.query_params.get("include_last_updated_at") == "true"
    found: dict[str, dict[str, float]] = {}
    for coin in coins(state.values):
        if coin.id in ids:
            price = price_at(state.values, coin, time)
            known = [one.lower() for one in currencies if one.lower() in CURRENCIES]
            found[coin.id] = {one: rounded(price * CURRENCIES[one]) for one in known}
            if has_time:
                found[coin.id]["last_updated_at"] = int(_updated(state, coin))
    return _cached(request, found)


def ping(state: State, request: Request) -> Response:
    """Answer `GET /api/v3/ping`."""
    _admit(state, request)
    return json_answer({"gecko_says": "(V3) To the Moon!"})


PATHS: dict[str, Answer] = {
    "/api/v3/coins/markets": markets,
    "/api/v3/simple/price": simple_price,
    "/api/v3/ping": ping,
}


def _admit(state: State, request: Request) -> None:
    """Count a request.

    Raises:
        RefusedError: a wrong key, or too many requests.
    """
    headers, query = request.headers, request.query_params
    key = headers.get("x-cg-demo-api-key") or query.get("x_cg_demo_api_key", "")
    if headers.get("x-cg-pro-api-key") or query.get("x_cg_pro_api_key"):
        raise _refusal(HTTPStatus.BAD_REQUEST, 10010, _WRONG_HOST)
    if key and key not in state.keys:
        raise _refusal(HTTPStatus.UNAUTHORIZED, 10002, _WRONG_KEY)
    limit = state.limit(NAME, WITH_KEY if key else WITHOUT_KEY, client=key)
    if not limit.take():
        waits = {"retry-after": str(limit.wait_seconds)}
        raise _refusal(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.TOO_MANY_REQUESTS, _EXCEEDED, waits)


def _by_value(state: State) -> list[Coin]:
    """All coins, those with the largest market value first."""
    time = _refreshed(state)
    return sorted(coins(state.values), key=lambda coin: (-price_at(state.values, coin, time) * coin.supply, coin.id))


def _wanted(request: Request, ranked: list[Coin]) -> list[Coin]:
    """The coins that a request names, all if it names none; unknown ones are left out."""
    ids, symbols = listed(request, "ids"), [one.lower() for one in listed(request, "symbols")]
    if not ids and not symbols:
        return ranked
    return [coin for coin in ranked if coin.id in ids or coin.symbol in symbols]


def _ordered(state: State, ranked: list[Coin], order: str) -> list[Coin]:
    by, _, direction = order.rpartition("_")
    time = _refreshed(state)
    match by, direction:
        case "market_cap", "asc" | "desc":
            return ranked if direction == "desc" else ranked[::-1]
        case "volume", "asc" | "desc":
            is_last = direction == "desc"
            return sorted(ranked, key=lambda coin: volume_at(state.values, coin, time), reverse=is_last)
        case "id", "asc" | "desc":
            return sorted(ranked, key=lambda coin: coin.id, reverse=direction == "desc")
        case _:
            raise _error(HTTPStatus.BAD_REQUEST, "invalid order")


def _market(state: State, coin: Coin, rank: int, currency: str) -> dict[str, Any]:
    time, factor = _refreshed(state), CURRENCIES[currency]
    day = [price_at(state.values, coin, time - _DAY * part / 24) for part in range(25)]
    price, before = day[0], day[-1]
    change = round((price / before - 1) * 100, 5)
    highest, lowest = coin.price * 1.5, coin.price * 0.05
    return {
        "id": coin.id,
        "symbol": coin.symbol,
        "name": coin.name,
        "image": f"https://assets.example/coins/{coin.id}.png",
        "current_price": rounded(price * factor),
        "market_cap": round(price * coin.supply * factor),
        "market_cap_rank": rank,
        "fully_diluted_valuation": round(price * (coin.most or coin.supply) * factor),
        "total_volume": round(volume_at(state.values, coin, time) * factor),
        "high_24h": rounded(max(day) * factor),
        "low_24h": rounded(min(day) * factor),
        "price_change_24h": rounded((price - before) * factor),
        "price_change_percentage_24h": change,
        "market_cap_change_24h": rounded((price - before) * coin.supply * factor),
        "market_cap_change_percentage_24h": change,
        "circulating_supply": float(coin.supply),
        "total_supply": float(coin.most or coin.supply),
        "max_supply": coin.most and float(coin.most),
        "ath": rounded(highest * factor),
        "ath_change_percentage": round((price / highest - 1) * 100, 5),
        "ath_date": "2025-03-14T07:10:36.635Z",
        "atl": rounded(lowest * factor),
        "atl_change_percentage": round((price / lowest - 1) * 100, 5),
        "atl_date": "2019-07-06T00:00:00.000Z",
        "roi": None,
        "last_updated": _iso(_updated(state, coin)),
    }


def _refreshed(state: State) -> float:
    """When the values were calculated, in seconds since 1970."""
    return state.now() // _REFRESH * _REFRESH


def _updated(state: State, coin: Coin) -> float:
    """When the coin was updated: up to half a minute earlier, to the millisecond."""
    time = _refreshed(state)
    return time - round(30 * state.values.share("updated", coin.id, time), 3)


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if is_number and int(text) > 0 else default


def _cached(request: Request, content: Any) -> Response:
    """The content with its ETag, or 304 if the client has it."""
    answer = json_answer(content)
    etag = f'W/"{hashlib.md5(answer.body, usedforsecurity=False).hexdigest()}"'
    headers = {"etag": etag, "cache-control": _CACHE}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    answer.headers.update(headers)
    return answer


def _error(status: HTTPStatus, message: str) -> RefusedError:
    return RefusedError(json_answer({"error": message}, status))


def _refusal(status: HTTPStatus, code: int, message: str, headers: dict[str, str] | None = None) -> RefusedError:
    return RefusedError(json_answer({"status": {"error_code": int(code), "error_message": message}}, status, headers))
