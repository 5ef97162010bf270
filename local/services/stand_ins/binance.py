"""The stand-in for Binance's market data: candles and prices, with limits by weight.

What belongs here: its format, limits and errors. What does not: prices (`market`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from local.services.stand_ins.market import CURRENCIES, Coin, coins, price_at, volume_at
from local.services.stand_ins.state import RefusedError, State, json_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from local.services.stand_ins.state import Answer
    from local.services.stand_ins.values import Values

NAME = "binance"
WEIGHT_A_MINUTE = 6000
REFUSED_BEFORE_BAN = 5
BAN_SECONDS = 120
FIRST = 1_577_836_800_000  # 2020-01-01: no candle is older
_PAGE, _MOST = 500, 1000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
_MONDAY = 4 * 86_400_000  # 1970-01-05: weeks begin on Mondays
_POINTS = 8  # prices of a candle
_ADVICE = "Please use WebSocket Streams for live updates to avoid"


@dataclass(frozen=True)
class _Pair:
    """A coin and the currency of its price. USDT counts as a US dollar."""

    coin: Coin
    quote: str

    def price(self, values: Values, milliseconds: float) -> float:
        return price_at(values, self.coin, milliseconds / 1000) * CURRENCIES.get(self.quote.lower(), 1.0)


@dataclass(frozen=True)
class _Asked:
    """The parameters of a request for candles. Times are in milliseconds; `end` is never in the future."""

    pair: _Pair
    interval: str
    start: int | None
    end: int
    limit: int

    @property
    def step(self) -> int:
        return int(self.interval[:-1]) * _UNITS[self.interval[-1]] * 1000

    def opened(self) -> range:
        """When the candles begin: the first ones from `start` on, or the last ones up to `end`."""
        step, offset = self.step, _MONDAY if self.interval == "1w" else 0
        last = (self.end - offset) // step * step + offset
        first = last - (self.limit - 1) * step
        if self.start is not None:
            first = -(-(self.start - offset) // step) * step + offset
        first = max(first, -(-(FIRST - offset) // step) * step + offset)
        return range(first, min(last, first + (self.limit - 1) * step) + 1, step)


def klines(state: State, request: Request) -> Response:
    """Answer `GET /api/v3/klines`: candles as arrays, oldest first. Without startTime: the last ones."""
    _admit(state, 2)
    asked = _asked(state, request)
    return json_answer([_candle(state, asked, opened) for opened in asked.opened()], headers=_used(state))


def ticker_price(state: State, request: Request) -> Response:
    """Answer `GET /api/v3/ticker/price`: the price of a symbol, or an array of all."""
    symbol = request.query_params.get("symbol")
    _admit(state, 4 if symbol is None else 2)
    known, now = _pairs(state.values), state.now() * 1000
    if symbol is not None:
        known = {symbol: _pair(state, symbol)}
    found = [{"symbol": name, "price": _decimal(pair.price(state.values, now))} for name, pair in known.items()]
    return json_answer(found if symbol is None else found[0], headers=_used(state))


def server_time(state: State, _: Request) -> Response:
    """Answer `GET /api/v3/time`."""
    _admit(state, 1)
    return json_answer({"serverTime": int(state.now() * 1000)}, headers=_used(state))


PATHS: dict[str, Answer] = {
    "/api/v3/klines": klines,
    "/api/v3/ticker/price": ticker_price,
    "/api/v3/time": server_time,
}


def _pairs(values: Values) -> dict[str, _Pair]:
    """All pairs by their symbols, such as BTCUSDT."""
    known = [coin for coin in coins(values) if not coin.is_invented and coin.symbol != "usdt"]
    return {f"{coin.symbol.upper()}{quote}": _Pair(coin, quote) for coin in known for quote in ("USDT", "EUR")}


def _pair(state: State, symbol: str) -> _Pair:
    pair = _pairs(state.values).get(symbol)
    if pair is None:
        raise _error(state, -1121, "Invalid symbol.")
    return pair


def _asked(state: State, request: Request) -> _Asked:
    query = request.query_params
    for name in ("symbol", "interval"):
        if not query.get(name):
            raise _error(
                state, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            )  # fmt: skip
    numbers = {name: _number(state, name, query.get(name)) for name in ("startTime", "endTime", "limit")}
    if numbers["limit"] == 0:
        raise _error(state, -1130, "Data sent for parameter 'limit' is not valid.")
    if query["interval"] not in _INTERVALS:
        raise _error(state, -1120, "Invalid interval.")
    now, end = int(state.now() * 1000), numbers["endTime"]
    return _Asked(
        _pair(state, query["symbol"]),
        query["interval"],
        numbers["startTime"],
        now if end is None else min(end, now),
        min(numbers["limit"] or _PAGE, _MOST),
    )


def _number(state: State, name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,20}", text):
        reason = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        raise _error(state, -1100, reason)
    return int(text)


def _admit(state: State, weight: int) -> None:
    """Count a request. Too many are refused with a wait first, and a client that does not wait is banned.

    Raises:
        RefusedError: too many requests.
    """
    limit, now = state.limit(NAME, WEIGHT_A_MINUTE), state.now()
    if now >= state.banned_until.get(NAME, 0.0):
        if limit.take(weight):
            state.refused[NAME] = 0
            return
        state.refused[NAME] = state.refused.get(NAME, 0) + 1
        if state.refused[NAME] <= REFUSED_BEFORE_BAN:
            message = f"Too much request weight used; current limit is {limit.limit} request weight per 1 MINUTE."
            content = {"code": -1003, "msg": f"{message} {_ADVICE} polling the API."}
            headers = {"retry-after": str(limit.wait_seconds), **_used(state)}
            raise RefusedError(json_answer(content, HTTPStatus.TOO_MANY_REQUESTS, headers))
        state.banned_until[NAME], state.refused[NAME] = now + BAN_SECONDS, 0
    until = state.banned_until[NAME]
    message = f"Way too much request weight used; IP banned until {int(until * 1000)}. {_ADVICE} bans."
    headers = {"retry-after": str(max(1, round(until - now)))}
    raise RefusedError(json_answer({"code": -1003, "msg": message}, HTTPStatus.IM_A_TEAPOT, headers))


def _used(state: State) -> dict[str, str]:
    used = str(state.limit(NAME, WEIGHT_A_MINUTE).used)
    return {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}


def _error(state: State, code: int, message: str) -> RefusedError:
    return RefusedError(json_answer({"code": code, "msg": message}, HTTPStatus.BAD_REQUEST, _used(state)))


def _candle(state: State, asked: _Asked, opened: int) -> list[Any]:
    """A candle as an array of 12. The last one is still moving."""
    values, pair = state.values, asked.pair
    end = min(opened + asked.step, state.now() * 1000)
    prices = [pair.price(values, opened + (end - opened) * part / _POINTS) for part in range(_POINTS + 1)]
    traded = volume_at(values, pair.coin, opened / 1000) * (end - opened) / 86_400_000
    traded *= 0.02 * (0.5 + values.share("volume", pair.coin.id, opened))
    volume = traded / prices[0]
    bought = 0.4 + 0.2 * values.share("bought", pair.coin.id, opened)
    return [
        opened, _decimal(prices[0]), _decimal(max(prices)), _decimal(min(prices)), _decimal(prices[-1]),
        _decimal(volume), opened + asked.step - 1, _decimal(traded), int(traded / 900),
        _decimal(volume * bought), _decimal(traded * bought), "0",
    ]  # fmt: skip


def _decimal(value: float) -> str:
    return f"{value:.8f}"
