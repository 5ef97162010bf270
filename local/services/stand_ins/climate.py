"""The invented weather behind Open-Meteo and OpenWeatherMap: what it is like at any place and time.

What belongs here: what both APIs report, in metric units. What does not: their formats (`open_meteo`,
`openweathermap`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.services.stand_ins.values import Values

_CELL = 0.0625  # degrees of a grid cell
_YEAR, _WARMEST_DAY, _WARMEST_HOUR = 365.25, 200, 15


@dataclass(frozen=True)
class GridCell:
    """The grid cell of a place, in degrees."""

    latitude: float
    longitude: float

    @classmethod
    def of(cls, latitude: float, longitude: float) -> GridCell:
        """The cell in which a place is."""
        return cls(round(latitude / _CELL) * _CELL, round(longitude / _CELL) * _CELL)

    @property
    def name(self) -> str:
        """The name of the cell's numbers."""
        return f"{self.latitude:.4f},{self.longitude:.4f}"


@dataclass(frozen=True)
class Weather:
    """The weather of a place at a time, in seconds since 1970."""

    values: Values
    cell: GridCell
    time: float

    def _wave(self, name: str) -> float:
        return self.values.wave(f"{name} of {self.cell.name}", self.time)

    def _part(self, name: str) -> float:
        """A number from 0 to 1."""
        return (self._wave(name) + 1) / 2

    @property
    def temperature(self) -> float:
        """In degrees Celsius: warmer near the equator, in summer and in the afternoon."""
        day = datetime.fromtimestamp(self.time, UTC)
        latitude = abs(self.cell.latitude)
        season = math.cos(2 * math.pi * (day.timetuple().tm_yday - _WARMEST_DAY) / _YEAR)
        season *= 0.22 * latitude * (1 if self.cell.latitude >= 0 else -1)
        hour = (self.time / 3600 + self.cell.longitude / 15) % 24
        daily = 4 * math.cos(2 * math.pi * (hour - _WARMEST_HOUR) / 24)
        return 28 - 0.35 * latitude + season + daily + 8 * self._wave("temperature")

    @property
    def apparent_temperature(self) -> float:
        """As it feels in this wind, in degrees Celsius."""
        return self.temperature - 0.08 * self.wind_speed

    @property
    def humidity(self) -> int:
        """In percent."""
        return round(min(100, max(5, 30 + 75 * self._part("humidity"))))

    @property
    def precipitation(self) -> float:
        """Millimetres in an hour; seldom more than none."""
        return max(0.0, self._wave("rain") - 0.25) * 8

    @property
    def cloud_cover(self) -> int:
        """In percent."""
        return 100 if self.precipitation > 0 else round(95 * self._part("clouds"))

    @property
    def pressure(self) -> float:
        """At sea level, in hectopascal."""
        return 1013 + 18 * self._wave("pressure")

    @property
    def wind_speed(self) -> float:
        """In kilometres per hour."""
        return 3 + 32 * self._part("wind") ** 2

    @property
    def wind_direction(self) -> int:
        """In degrees, 0 is from the north."""
        return round(360 * self._part("direction")) % 360

    @property
    def visibility(self) -> int:
        """In metres."""
        return 24_000 - round(1_900 * min(10.0, 3 * self.precipitation)) - 40 * self.cloud_cover

    @property
    def code(self) -> int:
        """The code of the World Meteorological Organization: 0 clear, 3 overcast, 61 rain, 71 snow."""
        if self.precipitation > 0:
            return 71 if self.temperature < 0 else 61 if self.precipitation < 2 else 63
        return min(3, self.cloud_cover // 25)

    @property
    def elevation(self) -> float:
        """Of the place, in metres."""
        return round(600 * self.values.share("elevation", self.cell.name) ** 2, 1)
