"""`python -m ml_api` serves on ML_API_HOST and ML_API_PORT until it gets SIGTERM."""

from __future__ import annotations

import gc
import logging
import os
import re
import signal
import sys

import uvicorn
from pydantic import ValidationError

from ml_api.app import create_app
from ml_api.registry import CLIENT_ENVIRONMENT
from ml_api.settings import MlApiSettings

_KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that the service never closes one in use
_SHUTDOWN_SECONDS = 5

# A batch creates 1,000 short-lived objects. With Python's default threshold the garbage collector runs so often that it
# takes 40 % of the time.
_COLLECT_AFTER_OBJECTS = 50_000


def main() -> None:
    """Serve with one worker process: each process has its own counters."""
    try:
        settings = MlApiSettings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"ML_API_{name.upper()}"
        given = re.sub(r"//.*@", "//...@", str(first["input"]))
        sys.exit(f"error: {variable}={given}: {first['msg']}")
    if not settings.token.get_secret_value():
        sys.exit("error: ML_API_TOKEN is not set: give the secret that callers have to send")
    for name, value in CLIENT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(format="%(levelname)s:     %(message)s")
    logging.getLogger("ml_api").setLevel(logging.INFO)
    app = create_app(settings, loaded=_freeze_loaded_objects)
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
        access_log=False,  # /metrics has the counts
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _freeze_loaded_objects() -> None:
    """Exclude the objects of a new model from garbage collection: with MLflow and scikit-learn they are about 200,000.

    The objects of the model before are collected first, which takes a third of a second per model.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
