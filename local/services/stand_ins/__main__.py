"""`python -m local.services.stand_ins --port 8201` serves the stand-ins until the process is stopped."""

from __future__ import annotations

from typing import Annotated

import typer
import uvicorn

from local.services.stand_ins.server import create_app
from local.services.stand_ins.state import State


def main(
    port: Annotated[int, typer.Option(min=1, max=65535, help="on the loopback interface")],
    seed: Annotated[int, typer.Option(help="another seed gives other values")] = 0,
) -> None:
    """Serve the stand-ins for CoinGecko, Binance, GitHub, Open-Meteo and OpenWeatherMap."""
    uvicorn.run(
        create_app(State(seed)),
        host="127.0.0.1", port=port, access_log=False, lifespan="off", server_header=False, date_header=False,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
