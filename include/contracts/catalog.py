"""All contracts of a directory, the sound and the broken ones, and which one a file belongs to.

What belongs here: finding contracts and matching keys to them. What does not: reading one (`reader`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from include.contracts.checked import read_contracts
from include.contracts.content import read_content
from include.contracts.file_patterns import literal_characters, pattern_fault, pattern_regex
from include.contracts.model import Contract
from include.contracts.problems import ContractError, Problem, Remains
from include.errors import CommandError, visible
from include.errors.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class UnknownDatasetError(CommandError):
    """There is no such dataset; the message has the nearest names and lists those that there are."""

    @classmethod
    def of(cls, dataset: str, known: Iterable[str], what: str = "there is no contract for") -> UnknownDatasetError:
        """Build the error: `there is no contract for 'sale'; did you mean sales? datasets: inventory, sales`."""
        names = sorted(known)
        near = did_you_mean(dataset, names)
        return cls(f"{what} '{visible(dataset)}'; {near}datasets: {', '.join(names) or 'none'}")


@dataclass(frozen=True)
class Catalog:
    """The active contracts by dataset name, the broken files, and the drafts by dataset name, which make no DAG."""

    contracts: dict[str, Contract]
    broken: tuple[ContractError, ...] = ()
    drafts: dict[str, Contract] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Contract]:
        """Every dataset with a usable contract, active or not."""
        return self.drafts | self.contracts

    @property
    def names(self) -> set[str]:
        """Every dataset with a contract, sound or broken."""
        return {*self.known, *(error.dataset for error in self.broken)}

    @property
    def is_empty(self) -> bool:
        """Whether the directory has no contract at all."""
        return not (self.contracts or self.drafts or self.broken)

    def find(self, dataset: str, *, drafts: bool = True) -> Contract:
        """The contract of a dataset, by its name.

        Args:
            dataset: the name.
            drafts: whether a contract may be a draft.

        Raises:
            ContractError: the contract is broken.
            UnknownDatasetError: there is none.
        """
        for error in self.broken:
            if error.file.stem == dataset:
                raise error
        known = self.known if drafts else self.contracts
        if dataset not in known:
            raise UnknownDatasetError.of(dataset, known)
        return known[dataset]

    def match(self, relative_key: str) -> Contract | None:
        """The active contract of a file by its key below `incoming/`; None when there is none.

        `<dataset>/anything` belongs to that dataset. Other keys are compared with the file patterns; if several match,
        the one with the most literal characters wins, then the first dataset by name.
        """
        return _match(self.contracts, relative_key)

    def match_draft(self, relative_key: str) -> Contract | None:
        """The draft that the file waits for; None if an active contract matches it, or no draft does."""
        return None if self.match(relative_key) else _match(self.drafts, relative_key)

    def match_broken(self, relative_key: str) -> str | None:
        """The dataset of the broken contract that a file outside of the datasets' folders waits for; None if none.

        The patterns of a broken contract are ranked with those of sound contracts: if a sound contract ranks first, the
        file does not wait.
        """
        folder, slash, name = relative_key.partition("/")
        if relative_key.endswith("/") or (slash and name and folder in self.known):
            return None
        for sound, broken in zip((self.contracts, self.drafts), self._broken_patterns, strict=True):
            best_sound = _rank(((one, contract.file_patterns) for one, contract in sound.items()), relative_key)
            best_broken = _rank(broken, relative_key)
            if best_broken and (best_sound is None or best_broken < best_sound):
                return best_broken[1]
            if best_sound:
                return None
        return None

    @cached_property
    def _broken_patterns(self) -> tuple[list[tuple[str, tuple[str, ...]]], list[tuple[str, tuple[str, ...]]]]:
        """Dataset and file patterns of each broken contract: active ones in the first list, drafts in the second."""
        found: tuple[list[tuple[str, tuple[str, ...]]], list[tuple[str, tuple[str, ...]]]] = ([], [])
        for error in self.broken:
            if error.dataset not in self.known:  # else it is a second file of a dataset with a sound contract
                found[error.remains.is_draft].append((error.dataset, self._patterns_of(error)))
        return found

    def _patterns_of(self, error: ContractError) -> tuple[str, ...]:
        patterns = error.remains.file_patterns
        if patterns is None:  # unreadable: the contract file's name is used as the pattern
            own = f"{error.dataset}*"
            return () if pattern_fault(own) else (own,)
        # A copy that still has the original's dataset name takes no files from the original.
        copied = self.known.get(error.remains.dataset or "")
        return tuple(pattern for pattern in patterns if copied is None or pattern not in copied.file_patterns)


def _match(contracts: dict[str, Contract], relative_key: str) -> Contract | None:
    folder, slash, name = relative_key.partition("/")
    if relative_key.endswith("/"):
        return None
    if slash and name and folder in contracts:
        return contracts[folder]
    found = _rank(((one, contract.file_patterns) for one, contract in contracts.items()), relative_key)
    return contracts[found[1]] if found else None


def _rank(datasets: Iterable[tuple[str, tuple[str, ...]]], relative_key: str) -> tuple[int, str] | None:
    """Rank and dataset of the best matching pattern, the lowest rank is best; None when none matches."""
    found = (
        (-literal_characters(pattern), name)
        for name, patterns in datasets
        for pattern in patterns
        if pattern_regex(pattern).fullmatch(relative_key)
    )
    return min(found, default=None)


def read_catalog(directory: Path, *, mentions: str = "") -> Catalog:
    """Read every contract of a directory. A broken one is listed in `broken` and affects no other.

    Args:
        directory: the folder of the YAML files; folders below it are not searched.
        mentions: leave out files whose text does not contain this word, for a caller that needs one of hundreds.

    Raises:
        ContractError: there is no such directory.
    """
    if not directory.is_dir():
        problem = Problem("", "no such directory", "set INGEST_CONTRACTS_DIR to the directory of the contracts")
        raise ContractError.of(directory, [problem])
    paths = [
        path
        for path in sorted(directory.iterdir())
        if path.suffix in {".yaml", ".yml"} and not path.name.startswith(".") and _holds(path, mentions)
    ]
    found = read_contracts(paths)
    broken = [error for error in found if isinstance(error, ContractError)]
    sound = [contract for contract in found if isinstance(contract, Contract)]
    contracts: dict[str, Contract] = {}
    # Active ones first: a draft must not replace one of them.
    for contract in sorted(sound, key=lambda one: one.is_draft):
        if clash := _clash(contract, contracts):
            remains = Remains(contract.file_patterns, contract.dataset, contract.is_draft)
            broken.append(ContractError.of(contract.path, [clash], remains))
            continue
        contracts[contract.dataset] = contract
    return Catalog(
        {name: contract for name, contract in contracts.items() if not contract.is_draft},
        tuple(sorted(broken, key=lambda error: error.file)),
        {name: contract for name, contract in contracts.items() if contract.is_draft},
    )


def _holds(path: Path, word: str) -> bool:
    """Whether a file's text contains a whole word; true for an unreadable file, so that its error is reported."""
    try:
        text = read_content(path).decode("utf-8", "replace") if word else ""
    except ContractError:
        return True
    return not word or re.search(rf"\b{re.escape(word)}\b", text) is not None


def _clash(contract: Contract, others: dict[str, Contract]) -> Problem | None:
    """The problem if another contract has the same dataset or topic."""
    if contract.dataset in others:
        other = others[contract.dataset].path.name
        return Problem("schema[0].name", f"{other} describes '{contract.dataset}' too", "remove one of the two")
    for other_contract in others.values():
        # Both would use the same consumer group, and each message would reach only one of them.
        if contract.topic and contract.topic == other_contract.topic:
            what = f"{other_contract.path.name} has the topic '{contract.topic}' too"
            return Problem("customProperties: ingestion.topic", what, "give each dataset a topic of its own")
    return None
