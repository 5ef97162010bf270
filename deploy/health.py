"""`python -m deploy.health scheduler`: whether an Airflow component is healthy, according to the API server.

For the containers' health checks. It runs every few seconds, so it imports only the standard library.
"""

from __future__ import annotations

import json
import sys
import urllib.request

URL = "http://airflow-apiserver:8080"


def complaint(component: str, url: str = URL) -> str | None:
    """Return None when the component is healthy, else the reason.

    Args:
        component: `metadatabase`, `scheduler`, `dag_processor` or `triggerer`.
        url: the API server's.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError) as error:
        return f"the API server does not answer ({error})"
    status = (health.get(component) or {}).get("status")
    return None if status == "healthy" else f"{component} is {status or 'unknown'}"


if __name__ == "__main__":
    sys.exit(complaint(*sys.argv[1:]))
