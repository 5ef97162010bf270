"""The contracts that DAG files are built from."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.sdk import get_parsing_context

from include.contracts.catalog import Catalog, read_catalog
from include.contracts.reserved import EVERY, UNKNOWN
from include.settings import ingest_settings

if TYPE_CHECKING:
    from include.contracts.model import Contract


class BrokenContractsError(Exception):
    """Some contracts cannot be used."""


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """Read all contracts. Their expressions were checked by this process, or by another one with the same content."""
    return read_catalog(ingest_settings().contracts_dir)


def sound_contracts() -> list[Contract]:
    """Return the active contracts, sorted by name."""
    return _by_name(catalog())


def requeue_choices() -> list[str]:
    """Return what a run of `reprocess_failed` may choose: a dataset, the files of no dataset, or those of every one."""
    return [*(contract.dataset for contract in sound_contracts()), UNKNOWN, EVERY]


def contracts_of_this_parse() -> list[Contract]:
    """Return the contracts for which a DAG file has to define DAGs: in a worker only those of the task's DAG.

    A worker parses the file for one task of one DAG, whose id ends with the dataset or the topic. It reads only the
    contracts that mention that name: reading hundreds of contracts would delay each task by seconds.
    """
    _, _, wanted = (get_parsing_context().dag_id or "").partition("_")
    if not wanted:
        return sound_contracts()
    return _by_name(read_catalog(ingest_settings().contracts_dir, mentions=wanted))


def _by_name(found: Catalog) -> list[Contract]:
    return [contract for _, contract in sorted(found.contracts.items())]


def report_broken_contracts() -> None:
    """Raise an error if contracts are broken or missing.

    Raises:
        BrokenContractsError: with file, position and remedy of each problem, or with the directory without contracts.
    """
    found = catalog()
    problems = [str(error) for error in found.broken]
    if found.is_empty:
        problems.insert(0, no_contract_message())
    if problems:
        raise BrokenContractsError("\n" + "\n".join(problems))


def no_contract_message() -> str:
    """Return the message for a directory without contracts: its consequence and the remedy."""
    return (
        f"no contract in {ingest_settings().contracts_dir}: no DAG loads anything, and no file is moved. "
        "Add a contract, or set INGEST_CONTRACTS_DIR to the directory of the contracts."
    )
