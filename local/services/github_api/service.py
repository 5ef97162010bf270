"""The replay as a service of the embedded platform, and the connection of its clients."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from local.services.service import Service, get_json
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

NAME = "github-replay"


def url(settings: PlatformSettings) -> str:
    """Return the replay's address."""
    return f"http://127.0.0.1:{settings.github_replay_port}"


def connection(settings: PlatformSettings, credentials: Credentials) -> dict[str, object]:
    """Return Airflow's connection `source_github`: the real API if the settings name it, else the replay."""
    if settings.source_github_url:
        token = settings.source_github_token.get_secret_value()
        return {"conn_type": "http", "host": settings.source_github_url, "password": token}
    return {"conn_type": "http", "host": url(settings), "password": credentials.github_replay_token}


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the replay as a supervised program."""

    def probe(_since: float) -> str | None:
        try:
            get_json(f"{url(settings)}/rate_limit")
        except (OSError, ValueError) as error:
            return f"it does not answer ({error})"
        return None

    return Service(
        name=NAME,
        command=(sys.executable, "-m", "local.services.github_api", "--port", str(settings.github_replay_port)),
        environment={"PYTHONPATH": str(REPOSITORY), "GITHUB_REPLAY_TOKEN": credentials.github_replay_token},
        directory=settings.layout.home,
        probe=probe,
        port=settings.github_replay_port,
        port_variable="GITHUB_REPLAY_PORT",
        address=url(settings),
    )
