"""The stand-in for Open-Meteo's forecast: hourly and current values as parallel arrays, for one place or several.

What belongs here: its format, limits and errors. What does not: the weather (`climate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from local.services.stand_ins.climate import GridCell, Weather
from local.services.stand_ins.state import RefusedError, State, json_answer, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from local.services.stand_ins.state import Answer

NAME = "open-meteo"
# Requests in a window of so many seconds, and what the refusal says.
LIMITS = (
    ("minutely", 600, 60, "Minutely API request limit exceeded. Please try again in one minute."),
    ("hourly", 5_000, 3600, "Hourly API request limit exceeded. Please try again in the next hour."),
    ("daily", 10_000, 86_400, "Daily API request limit exceeded. Please try again tomorrow."),
)
_DAYS, _MOST_DAYS, _MOST_PAST, _MOST_PLACES = 7, 16, 92, 1000
_RUN_SECONDS = 6 * 3600  # between two forecasts for the same hours
_QUARTER = 900  # seconds: current values are of the last quarter of an hour


@dataclass(frozen=True)
class _Variable:
    """A variable: its unit, its value, and how many hours ahead it is forecast; beyond them it is null."""

    unit: str
    value: Callable[[Weather], float]
    hours: int = 24 * _MOST_DAYS


_VARIABLES = {
    "temperature_2m": _Variable("°C", lambda weather: round(weather.temperature, 1)),
    "apparent_temperature": _Variable("°C", lambda weather: round(weather.apparent_temperature, 1)),
    "relative_humidity_2m": _Variable("%", lambda weather: weather.humidity),
    "precipitation": _Variable("mm", lambda weather: round(weather.precipitation, 1)),
    "precipitation_probability": _Variable("%", lambda weather: 80 if weather.precipitation else 5, 240),
    "cloud_cover": _Variable("%", lambda weather: weather.cloud_cover),
    "pressure_msl": _Variable("hPa", lambda weather: round(weather.pressure, 1)),
    "wind_speed_10m": _Variable("km/h", lambda weather: round(weather.wind_speed, 1)),
    "wind_direction_10m": _Variable("°", lambda weather: weather.wind_direction),
    "visibility": _Variable("m", lambda weather: float(weather.visibility), 120),
    "weather_code": _Variable("wmo code", lambda weather: weather.code),
}


@dataclass(frozen=True)
class _Asked:
    """The parameters of a request."""

    zone: tzinfo
    zone_name: str
    hourly: tuple[str, ...]
    current: tuple[str, ...]
    days: int
    past_days: int
    is_unix: bool

    def written(self, time: float) -> str | int:
        """A time as the answer has it: local and without its zone, or as seconds since 1970."""
        return int(time) if self.is_unix else datetime.fromtimestamp(time, self.zone).strftime("%Y-%m-%dT%H:%M")

    @property
    def time_unit(self) -> str:
        return "unixtime" if self.is_unix else "iso8601"


def forecast(state: State, request: Request) -> Response:
    """Answer `GET /v1/forecast`: an object for one place, an array of such objects for several."""
    for name, requests, seconds, message in LIMITS:
        if not state.limit(f"{NAME} {name}", requests, seconds).take():
            raise _error(message, HTTPStatus.TOO_MANY_REQUESTS)
    asked = _asked(request)
    latitudes, longitudes = _degrees(request, "latitude", 90), _degrees(request, "longitude", 180)
    if len(latitudes) != len(longitudes):
        raise _error("Parameter 'latitude' and 'longitude' must have the same number of elements")
    if len(latitudes) > _MOST_PLACES:
        raise _error(f"Only up to {_MOST_PLACES} locations can be requested at once")
    found = [_forecast_of(state, asked, GridCell.of(*one)) for one in zip(latitudes, longitudes, strict=True)]
    if len(found) == 1:
        return json_answer(found[0])
    return json_answer([one | ({"location_id": at} if at else {}) for at, one in enumerate(found)])


PATHS: dict[str, Answer] = {"/v1/forecast": forecast}


def _asked(request: Request) -> _Asked:
    hourly, current = listed(request, "hourly"), listed(request, "current")
    for key, names in (("hourly", hourly), ("current", current)):
        for name in names:
            if name not in _VARIABLES:
                raise _error(f"Cannot initialize WeatherVariable from invalid String value {name} for key {key}")
    if "daily" in request.query_params:
        raise _error("The stand-in has no daily values; ask for hourly ones")
    zone = request.query_params.get("timezone", "GMT")
    try:
        info = UTC if zone in {"GMT", "UTC"} else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _error("Invalid timezone") from None
    return _Asked(
        info,
        zone,
        tuple(hourly),
        tuple(current),
        _number(request, "forecast_days", _DAYS, _MOST_DAYS),
        _number(request, "past_days", 0, _MOST_PAST),
        request.query_params.get("timeformat") == "unixtime",
    )


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise _error(f"Value of type 'Int' required for key '{name}'.")
    if int(text) > most:
        raise _error(f"Parameter '{name}' is out of allowed range from 0 to {most}. Given {text}.")
    return int(text)


def _degrees(request: Request, name: str, most: int) -> list[float]:
    found = []
    for text in listed(request, name):
        try:
            value = float(text)
        except ValueError:
            raise _error(f"Value of type 'Float' required for key '{name}'.") from None
        if not -most <= value <= most:  # also for not-a-number
            raise _error(f"{name.capitalize()} must be in range of -{most} to {most}°. Given: {text}.")
        found.append(value)
    if not found:
        raise _error(f"Value of type 'Float' required for key '{name}'.")
    return found


def _forecast_of(state: State, asked: _Asked, cell: GridCell) -> dict[str, Any]:
    now = state.now()
    local = datetime.fromtimestamp(now, asked.zone)
    found: dict[str, Any] = {
        "latitude": cell.latitude,
        "longitude": cell.longitude,
        "generationtime_ms": round(0.02 + 0.1 * state.values.share("generation", cell.name, now), 6),
        "utc_offset_seconds": int((local.utcoffset() or timedelta()).total_seconds()),
        "timezone": asked.zone_name,
        "timezone_abbreviation": asked.zone_name if asked.zone_name in {"GMT", "UTC"} else local.strftime("%Z"),
        "elevation": Weather(state.values, cell, now).elevation,
    }
    if asked.current:
        time = now // _QUARTER * _QUARTER
        units = {name: _VARIABLES[name].unit for name in asked.current}
        found["current_units"] = {"time": asked.time_unit, "interval": "seconds", **units}
        values = {name: _VARIABLES[name].value(Weather(state.values, cell, time)) for name in asked.current}
        found["current"] = {"time": asked.written(time), "interval": _QUARTER, **values}
    if asked.hourly:
        first = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=asked.past_days)
        times = [first.timestamp() + 3600 * at for at in range(24 * (asked.days + asked.past_days))]
        found["hourly_units"] = {"time": asked.time_unit, **{name: _VARIABLES[name].unit for name in asked.hourly}}
        columns = {name: [_hourly(state, cell, name, time) for time in times] for name in asked.hourly}
        found["hourly"] = {"time": [asked.written(time) for time in times], **columns}
    return found


def _hourly(state: State, cell: GridCell, name: str, time: float) -> float | None:
    """The value of an hour as it is forecast now: of a later hour it is less certain, and changes with each run."""
    now, variable = state.now(), _VARIABLES[name]
    ahead = time - now // _RUN_SECONDS * _RUN_SECONDS
    if ahead > 3600 * variable.hours:
        return None
    value = variable.value(Weather(state.values, cell, time))
    if ahead > 0 and variable.unit == "°C":
        share = state.values.share("error", cell.name, int(now // _RUN_SECONDS))
        value = round(value + ahead / 86_400 * (share - 0.5), 1)
    return value


def _error(reason: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> RefusedError:
    return RefusedError(json_answer({"error": True, "reason": reason}, status))
