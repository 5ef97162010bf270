"""A client of MLflow for the demo: the champion model and its test metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

_TIMEOUT = httpx.Timeout(10.0, connect=2.0)


@dataclass(frozen=True)
class Champion:
    """The model version with the alias `champion`, and its run's metrics by name."""

    version: str
    run_id: str
    metrics: dict[str, float]


def champion(address: str, login: tuple[str, str], model: str) -> Champion | None:
    """Return the model's champion; None while there is none, or while MLflow does not answer.

    Args:
        address: of MLflow.
        login: account and password.
        model: its registered name.
    """
    base = f"{address}/api/2.0/mlflow/"
    try:
        with httpx.Client(base_url=base, auth=login, timeout=_TIMEOUT, trust_env=False) as client:
            found = _get(client, "registered-models/alias", name=model, alias="champion")["model_version"]
            run = _get(client, "runs/get", run_id=found["run_id"])["run"]
    except (httpx.HTTPError, KeyError):
        return None
    metrics = {metric["key"]: float(metric["value"]) for metric in run["data"].get("metrics", [])}
    return Champion(str(found["version"]), str(found["run_id"]), metrics)


def _get(client: httpx.Client, path: str, **query: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(path, params=query).raise_for_status().json()
    return answer
