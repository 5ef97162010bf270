"""The stand-in for OpenWeatherMap's current weather of a place, which needs a key.

What belongs here: its format, limits and errors. What does not: the weather (`climate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from local.services.stand_ins.climate import GridCell, Weather
from local.services.stand_ins.state import RefusedError, State, json_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from local.services.stand_ins.state import Answer

NAME = "openweathermap"
REQUESTS = 60  # a minute
_REFRESH = 600  # seconds
_NEAR = 0.5  # degrees
_INVALID_KEY = "Invalid API key. Please see https://openweathermap.org/faq#error401 for more info."
_EXCEEDED = (
    "Your account is temporary blocked due to exceeding of requests limitation of your subscription type. Please "
    "choose the proper subscription https://openweathermap.org/price"
)


@dataclass(frozen=True)
class _City:
    """A known city. `offset` is that of its clocks from UTC, in seconds."""

    id: int
    name: str
    country: str
    latitude: float
    longitude: float
    offset: int


_CITIES = (
    _City(2950159, "Berlin", "DE", 52.5244, 13.4105, 3600),
    _City(2643743, "London", "GB", 51.5085, -0.1257, 0),
    _City(2988507, "Paris", "FR", 48.8534, 2.3488, 3600),
    _City(3117735, "Madrid", "ES", 40.4165, -3.7026, 3600),
    _City(756135, "Warsaw", "PL", 52.2298, 21.0118, 3600),
    _City(184745, "Nairobi", "KE", -1.2833, 36.8167, 10800),
    _City(5128581, "New York", "US", 40.7143, -74.006, -18000),
    _City(3448439, "São Paulo", "BR", -23.5475, -46.6361, -10800),
    _City(1850144, "Tokyo", "JP", 35.6895, 139.6917, 32400),
    _City(2147714, "Sydney", "AU", -33.8679, 151.2073, 39600),
)
# Of each code of `Weather.code`: id, group, words, icon.
_CONDITIONS = {
    0: (800, "Clear", "clear sky", "01"),
    1: (801, "Clouds", "few clouds", "02"),
    2: (802, "Clouds", "scattered clouds", "03"),
    3: (804, "Clouds", "overcast clouds", "04"),
    61: (500, "Rain", "light rain", "10"),
    63: (501, "Rain", "moderate rain", "10"),
    71: (600, "Snow", "light snow", "13"),
}


def weather(state: State, request: Request) -> Response:
    """Answer `GET /data/2.5/weather`: one object for a place, by its coordinates or the name of a known city."""
    key = request.query_params.get("appid", "")
    if key not in state.keys:
        raise _error(HTTPStatus.UNAUTHORIZED, _INVALID_KEY)
    if not state.limit(NAME, REQUESTS, client=key).take():
        raise _error(HTTPStatus.TOO_MANY_REQUESTS, _EXCEEDED)
    latitude, longitude = _asked(request)
    return json_answer(_current(state, latitude, longitude, request.query_params.get("units", "standard")))


PATHS: dict[str, Answer] = {"/data/2.5/weather": weather}


def _asked(request: Request) -> tuple[float, float]:
    query = request.query_params
    if name := query.get("q", "").partition(",")[0].strip().casefold():
        city = next((city for city in _CITIES if city.name.casefold() == name), None)
        if city is None:
            raise _error(HTTPStatus.NOT_FOUND, "city not found")
        return city.latitude, city.longitude
    if not query.get("lat") and not query.get("lon"):
        raise _error(HTTPStatus.BAD_REQUEST, "Nothing to geocode")
    return _degrees(query.get("lat", ""), "latitude", 90), _degrees(query.get("lon", ""), "longitude", 180)


def _degrees(text: str, name: str, most: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -most <= value <= most:  # also for not-a-number
        raise _error(HTTPStatus.BAD_REQUEST, f"wrong {name}")
    return value


def _current(state: State, latitude: float, longitude: float, units: str) -> dict[str, Any]:
    time = state.now() // _REFRESH * _REFRESH
    found = Weather(state.values, GridCell.of(latitude, longitude), time)
    city = next((one for one in _CITIES if _is_near(one, latitude, longitude)), None)
    number, group, words, icon = _CONDITIONS[found.code]
    hour = (time / 3600 + longitude / 15) % 24
    is_day = 6 <= hour < 18
    answer: dict[str, Any] = {
        "coord": {"lon": round(longitude, 4), "lat": round(latitude, 4)},
        "weather": [{"id": number, "main": group, "description": words, "icon": icon + ("d" if is_day else "n")}],
        "base": "stations",
        "main": {
            "temp": _degrees_of(found.temperature, units),
            "feels_like": _degrees_of(found.apparent_temperature, units),
            "temp_min": _degrees_of(found.temperature - 0.8, units),
            "temp_max": _degrees_of(found.temperature + 0.9, units),
            "pressure": round(found.pressure),
            "humidity": found.humidity,
        },
        "visibility": min(10_000, found.visibility),
        "wind": {"speed": _speed(found.wind_speed, units), "deg": found.wind_direction},
        "clouds": {"all": found.cloud_cover},
        "dt": int(time),
        "sys": {"sunrise": _day(time, longitude, 6), "sunset": _day(time, longitude, 18)},
        "timezone": city.offset if city else round(longitude / 15) * 3600,
        "id": city.id if city else 0,
        "name": city.name if city else "",
        "cod": 200,
    }
    if found.precipitation > 0:
        answer["snow" if group == "Snow" else "rain"] = {"1h": round(found.precipitation, 2)}
    if city:
        answer["sys"]["country"] = city.country
    return answer


def _is_near(city: _City, latitude: float, longitude: float) -> bool:
    return abs(city.latitude - latitude) < _NEAR and abs(city.longitude - longitude) < _NEAR


def _degrees_of(celsius: float, units: str) -> float:
    """A temperature in Celsius, Fahrenheit, or Kelvin by default."""
    match units:
        case "metric":
            return round(celsius, 2)
        case "imperial":
            return round(celsius * 1.8 + 32, 2)
        case _:
            return round(celsius + 273.15, 2)


def _speed(kilometres_per_hour: float, units: str) -> float:
    """A speed in miles per hour, or metres per second by default."""
    return round(kilometres_per_hour / (1.609344 if units == "imperial" else 3.6), 2)


def _day(time: float, longitude: float, hour: int) -> int:
    """When it is so late on this day, by the sun."""
    midnight = (time + longitude * 240) // 86_400 * 86_400 - longitude * 240
    return int(midnight + hour * 3600)


def _error(status: HTTPStatus, message: str) -> RefusedError:
    # The real API writes the code of these errors as a text.
    code = str(status.value) if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} else status.value
    return RefusedError(json_answer({"cod": code, "message": message}, status))
