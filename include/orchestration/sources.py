"""The definitions of sources that DAG files are built from, and the connection of a source."""

from __future__ import annotations

import json
import os
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from airflow.sdk import Connection, get_parsing_context
from airflow.sdk.exceptions import AirflowNotFoundException

from include.contracts.catalog import read_catalog
from include.errors import Code, PermanentError
from include.orchestration.catalog import catalog
from include.settings import ingest_settings, source_settings
from include.sources.reader import SourceCatalog, read_sources

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.sources.kinds import AnySource

# What a connection has, by the kind of its source.
_PARTS = {
    "rest": (
        "host is the API's address, such as https://api.example.org/v2, password the token or key; login and password "
        "are both needed for basic and oauth2"
    ),
    "database": "type postgres or mysql, host, port, login, password; schema is the database",
    "bucket": "login is the access key, password the secret; host is the store's address, if it is not AWS",
}


class BrokenSourcesError(Exception):
    """Some definitions of sources cannot be used."""


@lru_cache(maxsize=1)
def source_catalog() -> SourceCatalog:
    """Read the definitions of all sources. Contracts are read only if there is a definition."""
    return read_sources(source_settings().dir, _contract_of)


def sources_of_this_parse() -> list[tuple[AnySource, Contract]]:
    """Return the sources for which a DAG file has to define DAGs, sorted by name, each with its contract.

    In a worker it is only that of the task's DAG, whose id ends with the source's name, and only the contracts that
    mention its dataset are read.
    """
    _, _, wanted = (get_parsing_context().dag_id or "").partition("_")
    find = cache(_one_contract) if wanted else _contract_of
    found = read_sources(source_settings().dir, find, only=wanted) if wanted else source_catalog()
    return [(source, find(source.dataset)) for _, source in sorted(found.sources.items())]


def report_broken_sources() -> None:
    """Raise an error if definitions of sources are broken.

    Raises:
        BrokenSourcesError: with file, position and remedy of each problem.
    """
    if problems := [str(error) for error in source_catalog().broken]:
        raise BrokenSourcesError("\n" + "\n".join(problems))


def source_connection(connection_id: str, kind: str = "rest") -> Connection:
    """Return the connection of a source.

    Args:
        connection_id: in Airflow.
        kind: of the source. One of a bucket needs no host: without one it is AWS.

    Raises:
        PermanentError: there is none, it has no host, or it is a stand-in's where stand-ins may not answer.
    """
    try:
        connection: Connection = Connection.get(connection_id)
    except AirflowNotFoundException as error:
        raise _unusable(connection_id, "There is no connection {id}. Add it", kind) from error
    if kind != "bucket" and not (connection.host or "").strip():
        raise _unusable(connection_id, "The connection {id} has no host. Add it", kind)
    if is_stand_in(connection) and not source_settings().stand_in:
        message = (
            f"The connection {connection_id} is that of a stand-in (stand_in in its extra). Give it the address of the "
            "real API, or set SOURCES_STAND_IN=true."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message)
    return connection


def is_stand_in(connection: Connection) -> bool:
    """Whether a stand-in answers at the connection, and not the real API."""
    return bool(connection.extra_dejson.get("stand_in"))


def stand_in_note(connection_id: str) -> str:
    """Return a note for the DAG's page if the environment names a stand-in for the connection; else an empty text.

    DAG files are parsed without access to Airflow's connections, so only a variable can tell.
    """
    try:
        connection = json.loads(os.environ.get(f"AIRFLOW_CONN_{connection_id.upper()}") or "{}")
        answers = bool(connection["extra"]["stand_in"])
    except (ValueError, TypeError, LookupError):  # a URL, or the connection of a user
        return ""
    if not answers:
        return ""
    return (
        f"> **The values are invented**: a stand-in answers at the connection `{connection_id}`, not the real API. "
        f"Set AIRFLOW_CONN_{connection_id.upper()} to the address of the real API.\n\n"
    )


def _unusable(connection_id: str, what: str, kind: str) -> PermanentError:
    message = (
        f"{what.format(id=connection_id)} in Airflow (Admin, Connections), or as AIRFLOW_CONN_{connection_id.upper()} "
        f"in sources.env, which is read at the next start: {_PARTS[kind]}."
    )
    return PermanentError(Code.SOURCE_REFUSED, message)


def _contract_of(dataset: str) -> Contract:
    return catalog().find(dataset)


def _one_contract(dataset: str) -> Contract:
    return read_catalog(ingest_settings().contracts_dir, mentions=dataset).find(dataset)
