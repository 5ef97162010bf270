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
    """All contracts. Each expression in them was checked, here or by another process with the same content."""
    return read_catalog(ingest_settings().contracts_dir)


def sound_contracts() -> list[Contract]:
    """The active contracts, by name."""
    return _by_name(catalog())


def contracts_of_this_parse() -> list[Contract]:
    """The contracts whose DAGs a DAG file has to make: all of them, but for a worker.

    A worker parses the file for one task of one DAG, whose name ends with the dataset or the topic. It reads only the
    contracts that mention it: with hundreds of datasets each task would else begin with seconds of reading.
    """
    _, _, wanted = (get_parsing_context().dag_id or "").partition("_")
    if not wanted:
        return sound_contracts()
    return _by_name(read_catalog(ingest_settings().contracts_dir, mentions=wanted))


def _by_name(found: Catalog) -> list[Contract]:
    return [contract for _, contract in sorted(found.contracts.items())]


def report_broken_contracts() -> None:
    """Raise what is wrong with the others, or that there are none.

    Raises:
        BrokenContractsError: naming each file, each place in it, and each remedy; or the directory without contracts.
    """
    found = catalog()
    problems = [str(error) for error in found.broken]
    if found.is_empty:
        problems.insert(0, no_contract_message())
    if problems:
        raise BrokenContractsError("\n" + "\n".join(problems))


def no_contract_message() -> str:
    """What an empty catalogue means, and what to do about it."""
    return (
        f"no contract in {ingest_settings().contracts_dir}: no DAG loads anything, and no file is touched. "
        "Add a contract, or set INGEST_CONTRACTS_DIR to the directory of the contracts."
    )
