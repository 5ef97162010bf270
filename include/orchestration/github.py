"""The tasks of ingest_github: list the repositories, and collect one repository with all its endpoints.

The connection `source_github` holds the address of the API (host, for example https://api.github.com) and its token
(password). DAG files import this module, so the collector is imported inside the task.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection, get_current_context, task
from pydantic import SecretStr

from include.errors import in_stage
from include.orchestration.defaults import no_retry_of_permanent_errors, no_retry_within_the_limit
from include.orchestration.stores import api_url
from include.settings import github_settings, ingest_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.sources.github.collect import Collector
    from include.stores.http import Address

SOURCE_GITHUB = "source_github"

log = logging.getLogger(__name__)


@task
def list_repositories() -> list[str]:
    """Return the repositories of the run's parameter, or else of the settings, without duplicates."""
    context: Any = get_current_context()
    chosen = context["params"].get("repositories") or github_settings().repository_names
    # Names are not checked here: an invalid name fails only its own mapped task.
    return list(dict.fromkeys(name.strip() for name in chosen))


# One at a time: GitHub asks for serial requests, and all tasks share its rate limit. A pool would need extra setup.
@task(map_index_template="{{ repository_label }}", max_active_tis_per_dagrun=1)
def collect_repository(repository: str) -> dict[str, dict[str, Any]]:
    """Collect the new records of one repository from every endpoint, and return a summary by endpoint.

    Raises:
        AirflowSkipException: the rate limit of the API is used up, and no endpoint failed for another reason.
    """
    from include.sources.github.collect import collect_all
    from include.sources.github.endpoints import SOURCE, checked_repository, endpoints_named

    context: Any = get_current_context()
    context["repository_label"] = repository
    full, retry = bool(context["params"].get("full")), context["ti"].try_number > 1
    with no_retry_of_permanent_errors(), no_retry_within_the_limit(), in_stage(SOURCE):
        checked_repository(repository)
        endpoints = endpoints_named(github_settings().endpoint_names)
        with connected_collector() as collector:
            collected = collect_all(collector, [repository], endpoints, full=full, retry=retry)
    context["repository_label"] = f"{repository}: {sum(one.records for one in collected):,} records"
    return {one.endpoint: one.summary() for one in collected}


@contextmanager
def connected_collector() -> Iterator[Collector]:
    """Yield a collector that is connected to the API, the buckets and the warehouse."""
    from include.orchestration.stores import connected_stores
    from include.sources.github.client import GithubClient
    from include.sources.github.collect import Collector
    from include.sources.github.storage import SourceObjects, States

    settings, landing = github_settings(), ingest_settings().landing_bucket
    with connected_stores() as stores, GithubClient(github_address(), settings) as client:
        states = States(stores.connection)
        objects = SourceObjects(stores.objects, states, settings.raw_bucket, landing)
        yield Collector(client, objects, states, settings)


def github_address(connection_id: str = SOURCE_GITHUB) -> Address:
    """Return the API address and token of the connection: the host is a URL, or host, port and schema are separate."""
    from include.stores.http import Address

    connection = Connection.get(connection_id)
    return Address(api_url(connection), SecretStr(connection.password or ""))
