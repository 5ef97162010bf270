"""The dataset or topic that a command names, or an error with the nearest names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from include.cli.platform_access import use_platform
from include.command_errors import explained

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.contracts.catalog import Catalog
    from include.contracts.model import Contract


def contract_of(dataset: str) -> Contract:
    """The contract of a dataset, active or a draft.

    Raises:
        SystemExit: there is none, or it is broken.
    """
    use_platform()  # first: its environment says where the contracts are
    return found_in(catalog(), dataset)


def catalog() -> Catalog:
    """All contracts.

    Raises:
        SystemExit: their directory is not there.
    """
    from include.contracts.catalog import read_catalog
    from include.settings import ingest_settings

    with explained():
        return read_catalog(ingest_settings().contracts_dir)


def found_in(contracts: Catalog, dataset: str, *, drafts: bool = True) -> Contract:
    """The contract of a dataset.

    Raises:
        SystemExit: there is none, it is broken, or it is a draft and may not be one.
    """
    with explained():
        return contracts.find(dataset, drafts=drafts)


def require_known(dataset: str) -> None:
    """End with the nearest names unless a dataset has a contract, an entry in the ledger, or files in incoming/.

    Raises:
        SystemExit: it has none of them.
    """
    from include.contracts.reserved import UNKNOWN

    known = known_datasets()
    if dataset not in known | {UNKNOWN}:  # files of no dataset are quarantined under that name
        unknown(dataset, known, "there is no contract for, and the ledger has no file of,")


def known_datasets() -> set[str]:
    """Every dataset with a contract, sound or broken, an entry in the ledger, or files in incoming/."""
    from include.cli.stores import query

    return {row["dataset"] for row in query("list_datasets", {})} | catalog().names


def unknown(dataset: str, known: Iterable[str], what: str) -> NoReturn:
    """End with the nearest names of the datasets that there are."""
    from include.contracts.catalog import UnknownDatasetError

    with explained():
        raise UnknownDatasetError.of(dataset, known, what)


def contract_of_topic(contracts: Catalog, topic: str) -> Contract:
    """The active contract with a topic, or the one of the dataset of that name.

    Raises:
        SystemExit: there is none, or it is broken.
    """
    if any(error.dataset == topic for error in contracts.broken):
        return found_in(contracts, topic, drafts=False)
    active = contracts.contracts
    found = next((contract for contract in active.values() if contract.topic == topic), active.get(topic))
    if found is None:
        _unknown_topic(topic, contracts)
    return found


def _unknown_topic(topic: str, contracts: Catalog) -> NoReturn:
    from include.errors import CommandError, visible
    from include.errors.nearest import did_you_mean

    topics = sorted(contract.topic for contract in contracts.contracts.values() if contract.topic)
    datasets = sorted(contracts.contracts)
    with explained():
        raise CommandError(
            f"no contract has the topic '{visible(topic)}', so nothing reads it; "
            f"{did_you_mean(topic, [*topics, *datasets])}topics of contracts: {', '.join(topics) or 'none'}. "
            f"To publish there all the same give --dataset, one of: {', '.join(datasets) or 'none'}"
        )
