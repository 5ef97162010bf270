"""The contracts as the DAG files see them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.sdk import get_parsing_context

from include.contracts.catalog import Catalog, read_catalog
from include.settings import ingest_settings

if TYPE_CHECKING:
    from include.contracts.model import Contract


class BrokenContractsError(Exception):
    """Some contracts cannot be used."""


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """All contracts. A worker trusts the expressions that the DAG processor tried when it parsed the file."""
    in_worker = get_parsing_context().dag_id is not None
    return read_catalog(ingest_settings().contracts_dir, check_expressions=not in_worker)


def sound_contracts() -> list[Contract]:
    """The contracts that can be used, by name."""
    return _by_name(catalog())


def contracts_of_this_parse() -> list[Contract]:
    """The contracts whose DAGs a DAG file has to make: all of them, but for a worker.

    A worker parses the file for one task of one DAG, whose name ends with the dataset or the topic. It reads only the
    contracts that mention it: with hundreds of datasets each task would else begin with seconds of reading.
    """
    _, _, wanted = (get_parsing_context().dag_id or "").partition("_")
    if not wanted:
        return sound_contracts()
    return _by_name(read_catalog(ingest_settings().contracts_dir, check_expressions=False, mentions=wanted))


def _by_name(found: Catalog) -> list[Contract]:
    return [contract for _, contract in sorted(found.contracts.items())]


def report_broken_contracts() -> None:
    """Raise what is wrong with the others.

    Raises:
        BrokenContractsError: naming each file, each place in it, and each remedy.
    """
    broken = catalog().broken
    if broken:
        raise BrokenContractsError("\n" + "\n".join(str(error) for error in broken))
