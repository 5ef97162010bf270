"""`python -m deploy.stand_ins`: the stand-ins for the sources' APIs for the other containers, on port 8201.

GitHub's needs no token: only containers reach it, and its limit without a token is enough for the two repositories.
"""

from __future__ import annotations

import uvicorn

from local.services.stand_ins.server import create_app
from local.services.stand_ins.state import State

PORT = 8201


def main() -> None:
    """Serve until the process is stopped."""
    uvicorn.run(
        create_app(State()),
        host="0.0.0.0",  # noqa: S104 - a container's own network
        port=PORT,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main()
