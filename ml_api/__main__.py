"""`python -m ml_api` serves on ML_API_HOST and ML_API_PORT until it is told to end."""

from __future__ import annotations

import gc
import signal
import sys

import uvicorn
from pydantic import ValidationError

from ml_api.app import create_app
from ml_api.settings import MlApiSettings

_KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that it is never we who close one in use
_SHUTDOWN_SECONDS = 5

# A batch is 1,000 objects that are gone a moment later: with Python's own threshold the collector looks at all of them
# for rings, again and again, and takes 40 % of the time.
_COLLECT_AFTER_OBJECTS = 50_000


def main() -> None:
    """Serve with one worker: the counters live in the process, and a second one would halve them."""
    try:
        settings = MlApiSettings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        sys.exit(f"error: ML_API_{'.'.join(map(str, first['loc'])).upper()}={first['input']}: {first['msg']}")
    app = create_app()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
    signal.signal(signal.SIGTERM, _end)  # uvicorn passes it on once it has shut down
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        workers=1,
        loop="asyncio",  # uvloop is no faster with requests of this size
        http="httptools",
        lifespan="off",
        access_log=False,  # /metrics counts what a line per request would say
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
