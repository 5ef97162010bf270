"""The tasks of ingest_github: which repositories, and one of them with all its endpoints.

The connection `source_github` says where the API is (host, as in https://api.github.com) and holds its token
(password). DAG files import this module: what collects is imported by the task.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import SecretStr

from include.errors import Code, RetryableError
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
    """Those of the run's parameter, else those of the settings; each once."""
    context: Any = get_current_context()
    chosen = context["params"].get("repositories") or github_settings().repository_names
    # Not checked here: a name that is none fails its own task and no other.
    return list(dict.fromkeys(name.strip() for name in chosen))


# One at a time: the API asks for requests in series, and its limit is one for all. A pool would have to be made first.
@task(map_index_template="{{ repository_label }}", max_active_tis_per_dagrun=1)
def collect_repository(repository: str) -> dict[str, dict[str, Any]]:
    """Ask every endpoint for news of one repository; what came of each.

    Raises:
        AirflowSkipException: the API's limit is used up, and nothing else failed.
    """
    from include.sources.github.collect import collect_all
    from include.sources.github.endpoints import checked_repository, endpoints_named

    context: Any = get_current_context()
    context["repository_label"] = repository
    full, retry = bool(context["params"].get("full")), context["ti"].try_number > 1
    with no_retry_of_permanent_errors(), no_retry_within_the_limit():
        checked_repository(repository)
        endpoints = endpoints_named(github_settings().endpoint_names)
        with connected_collector() as collector:
            collected = collect_all(collector, [repository], endpoints, full=full, retry=retry)
    context["repository_label"] = f"{repository}: {sum(one.records for one in collected):,} records"
    return {one.endpoint: one.summary() for one in collected}


@contextmanager
def no_retry_within_the_limit() -> Iterator[None]:
    """Leave to the next run what the rate limit stopped: a retry after seconds would only be refused again."""
    try:
        yield
    except RetryableError as error:
        if error.code is not Code.RATE_LIMITED:
            raise
        raise AirflowSkipException(error.message) from error


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
