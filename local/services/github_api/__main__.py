"""`python -m local.services.github_api --port 8200` serves the replay until the process is stopped."""

from __future__ import annotations

import os
from typing import Annotated

import typer
import uvicorn

from local.services.github_api.server import Replay, create_app


def main(port: Annotated[int, typer.Option(min=1, max=65535, help="on the loopback interface")]) -> None:
    """Serve the shipped recording. The only accepted token is the environment variable GITHUB_REPLAY_TOKEN."""
    token = os.environ.get("GITHUB_REPLAY_TOKEN", "")
    app = create_app(Replay(tokens=(token,) if token else ()))
    uvicorn.run(
        app, host="127.0.0.1", port=port, access_log=False, lifespan="off", server_header=False, date_header=False
    )


if __name__ == "__main__":
    typer.run(main)
