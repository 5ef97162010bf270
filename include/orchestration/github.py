"""The tasks of ingest_github: which repositories, and one of them with all its endpoints.

The connection `source_github` says where the API is (host, as in https://api.github.com) and holds its token
(password). DAG files import this module: what collects is imported by the task.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection, get_current_context, task
from pydantic import SecretStr

from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import github_settings, ingest_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.sources.github.client import Address
    from include.sources.github.collect import Collector

SOURCE_GITHUB = "source_github"

log = logging.getLogger(__name__)


@task
def list_repositories() -> list[str]:
    """Those of the run's parameter, else those of the settings."""
    from include.sources.github.endpoints import checked_repositories

    context: Any = get_current_context()
    chosen = context["params"].get("repositories") or github_settings().repository_names
    with no_retry_of_permanent_errors():
        return checked_repositories(chosen)


@task(map_index_template="{{ repository_label }}")
def collect_repository(repository: str) -> dict[str, dict[str, Any]]:
    """Ask every endpoint for news of one repository; what came of each."""
    from include.sources.github.collect import collect_all
    from include.sources.github.endpoints import endpoints_named

    context: Any = get_current_context()
    context["repository_label"] = repository
    full = bool(context["params"].get("full"))
    with no_retry_of_permanent_errors():
        endpoints = endpoints_named(github_settings().endpoint_names)
        with connected_collector() as collector:
            collected = collect_all(collector, [repository], endpoints, full=full)
    context["repository_label"] = f"{repository}: {sum(one.records for one in collected):,} records"
    return {one.endpoint: one.summary() for one in collected}


@contextmanager
def connected_collector() -> Iterator[Collector]:
    """A collector with everything it needs: API, buckets, warehouse."""
    from include.orchestration.stores import connected_stores
    from include.sources.github.client import GithubClient
    from include.sources.github.collect import Collector
    from include.sources.github.objects import SourceObjects
    from include.sources.github.state import States

    settings, landing = github_settings(), ingest_settings().landing_bucket
    with connected_stores() as stores, GithubClient(github_address(), settings) as client:
        states = States(stores.ledger.connection)
        objects = SourceObjects(stores.objects, states, settings.raw_bucket, landing)
        yield Collector(client, objects, states, settings)


def github_address(connection_id: str = SOURCE_GITHUB) -> Address:
    """The API as the connection describes it: its address in the host, or host, port and schema apart."""
    from include.sources.github.client import Address

    connection = Connection.get(connection_id)
    host = (connection.host or "").strip()
    if host and "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    url = f"{host}:{connection.port}" if host and connection.port else host
    return Address(url, SecretStr(connection.password or ""))
