"""The contract that a command names, or an error with the nearest names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from include.cli.output import did_you_mean, fail
from include.cli.platform_access import use_platform
from include.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.contracts.catalog import Catalog
    from include.contracts.model import Contract


def contract_of(dataset: str) -> Contract:
    """The contract of a dataset, active or a draft.

    Raises:
        typer.Exit: there is none, or it is broken.
    """
    use_platform()  # first: its environment says where the contracts are
    return found_in(catalog(), dataset)


def catalog() -> Catalog:
    """All contracts.

    Raises:
        typer.Exit: their directory is not there.
    """
    from include.contracts.catalog import read_catalog
    from include.contracts.problems import ContractError
    from include.settings import ingest_settings

    try:
        return read_catalog(ingest_settings().contracts_dir)
    except ContractError as error:
        fail(visible(str(error)))


def found_in(contracts: Catalog, dataset: str) -> Contract:
    """The contract of a dataset.

    Raises:
        typer.Exit: there is none, or it is broken.
    """
    from include.contracts.catalog import UnknownDatasetError
    from include.contracts.problems import ContractError

    try:
        return contracts.find(dataset)
    except ContractError as error:
        fail(visible(str(error)))
    except UnknownDatasetError:
        unknown(dataset, contracts.known, "there is no contract for")


def unknown(dataset: str, known: Iterable[str], what: str) -> NoReturn:
    """End with the nearest names of the datasets that there are."""
    names = sorted(known)
    near = did_you_mean(dataset, names)
    fail(f"{what} {visible(dataset)!r}; {near}datasets: {', '.join(names) or 'none'}")
