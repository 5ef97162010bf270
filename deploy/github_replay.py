"""`python -m deploy.github_replay`: the replay of GitHub's API for the other containers, on port 8200.

It needs no token: only containers reach it, and the rate limit without a token is enough for the two repositories.
"""

from __future__ import annotations

import uvicorn

from local.services.github_api.server import Replay, create_app

PORT = 8200


def main() -> None:
    """Serve until the process is stopped."""
    uvicorn.run(
        create_app(Replay()),
        host="0.0.0.0",  # noqa: S104 - a container's own network
        port=PORT,
        access_log=False,
        lifespan="off",
        server_header=False,
    )


if __name__ == "__main__":
    main()
