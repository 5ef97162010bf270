"""The stand-ins as a service of the embedded platform, and the connections of the sources."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from local.services.service import Service, get_json
from local.settings import REPOSITORY, source_connections

if TYPE_CHECKING:
    from local.settings import PlatformSettings

NAME = "stand-ins"
# The key that the stand-ins accept. It protects nothing: whatever they answer is invented.
KEY = "stand-in"
GITHUB = "source_github"
# The API behind each connection of a shipped source, by the first part of its path on the server.
APIS = {
    "source_crypto_prices": "coingecko",
    "source_crypto_candles": "binance",
    GITHUB: "github",
    "source_weather": "open-meteo",
    "source_weather_now": "openweathermap",
}
_WITH_KEY = frozenset({GITHUB, "source_weather_now"})


def url(settings: PlatformSettings) -> str:
    """Return the server's address."""
    return f"http://127.0.0.1:{settings.stand_ins_port}"


def connections(settings: PlatformSettings) -> dict[str, str]:
    """Return the connections `source_<name>` as variables of Airflow: those of the user, else the stand-ins.

    SOURCE_GITHUB_URL and SOURCE_GITHUB_TOKEN are such a connection, too. With stand-ins, Airflow gets SOURCES_STAND_IN;
    a variable of the user comes first.
    """
    stand_ins = {}
    if settings.stand_ins:
        stand_ins["SOURCES_STAND_IN"] = os.environ.get("SOURCES_STAND_IN", "true")
        for name, api in APIS.items():
            host = f"{url(settings)}/{api}"
            connection: dict[str, Any] = {"conn_type": "http", "host": host, "extra": {"stand_in": True}}
            if name in _WITH_KEY:
                connection["password"] = KEY
            stand_ins[_variable(name)] = json.dumps(connection)
    if settings.source_github_url:
        token = settings.source_github_token.get_secret_value()
        real = {"conn_type": "http", "host": settings.source_github_url, "password": token}
        stand_ins[_variable(GITHUB)] = json.dumps(real)
    return stand_ins | source_connections()


def _variable(connection_id: str) -> str:
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def service(settings: PlatformSettings) -> Service:
    """Declare the server as a supervised program."""

    def probe(_since: float) -> str | None:
        try:
            get_json(f"{url(settings)}/")
        except (OSError, ValueError) as error:
            return f"it does not answer ({error})"
        return None

    return Service(
        name=NAME,
        command=(sys.executable, "-m", "local.services.stand_ins", "--port", str(settings.stand_ins_port)),
        environment={"PYTHONPATH": str(REPOSITORY)},
        directory=settings.layout.home,
        probe=probe,
        port=settings.stand_ins_port,
        port_variable="STAND_INS_PORT",
        address=url(settings),
    )
