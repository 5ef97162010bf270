"""All contracts of a directory, the sound ones beside the broken ones, and which one a file belongs to.

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

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Catalog:
    """The contracts by dataset name, the files that are none, and the drafts by dataset name, which make no DAG."""

    contracts: dict[str, Contract]
    broken: tuple[ContractError, ...] = ()
    drafts: dict[str, Contract] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Contract]:
        """Every dataset with a usable contract, active or not."""
        return self.drafts | self.contracts

    @property
    def is_empty(self) -> bool:
        """Whether the directory has no contract at all, so that nothing can be said about any file."""
        return not (self.contracts or self.drafts or self.broken)

    def match(self, relative_key: str) -> Contract | None:
        """The active contract of a file whose key, below `incoming/`, is `relative_key`; None when there is none.

        `<dataset>/anything` belongs to that dataset. Other keys are compared with the file patterns; where several
        match, the one with the most literal characters wins, then the first dataset by name.
        """
        return _match(self.contracts, relative_key)

    def match_draft(self, relative_key: str) -> Contract | None:
        """The draft that such a file waits for; None where an active contract matches it, or no draft does."""
        return None if self.match(relative_key) else _match(self.drafts, relative_key)

    def match_broken(self, relative_key: str) -> str | None:
        """The dataset of the broken contract that a file outside of the datasets' folders waits for, if there is one.

        The file patterns of a broken contract compete with those of the others as they would if it were sound: it is
        None where a sound contract comes first.
        """
        folder, slash, rest = relative_key.partition("/")
        if relative_key.endswith("/") or (slash and rest and folder in self.known):
            return None
        for sound, broken in zip((self.contracts, self.drafts), self._broken_patterns, strict=True):
            ours = _rank(((name, contract.file_patterns) for name, contract in sound.items()), relative_key)
            found = _rank(broken, relative_key)
            if found and (ours is None or found < ours):
                return found[1]
            if ours:
                return None
        return None

    @cached_property
    def _broken_patterns(self) -> tuple[list[tuple[str, tuple[str, ...]]], list[tuple[str, tuple[str, ...]]]]:
        """Dataset and file patterns of each broken contract: first of those that are no drafts, then of drafts."""
        found: tuple[list[tuple[str, tuple[str, ...]]], list[tuple[str, tuple[str, ...]]]] = ([], [])
        for error in self.broken:
            if error.dataset not in self.known:  # else a second file of it, and the first one decides
                found[error.remains.is_draft].append((error.dataset, self._patterns_of(error)))
        return found

    def _patterns_of(self, error: ContractError) -> tuple[str, ...]:
        patterns = error.remains.file_patterns
        if patterns is None:  # what is read in its place is the file's name
            own = f"{error.dataset}*"
            return () if pattern_fault(own) else (own,)
        # A copy that still has the name of the contract that it was made of takes nothing from that one.
        copied = self.known.get(error.remains.dataset or "")
        return tuple(pattern for pattern in patterns if copied is None or pattern not in copied.file_patterns)


def _match(contracts: dict[str, Contract], relative_key: str) -> Contract | None:
    folder, slash, rest = relative_key.partition("/")
    if relative_key.endswith("/"):
        return None
    if slash and rest and folder in contracts:
        return contracts[folder]
    found = _rank(((name, contract.file_patterns) for name, contract in contracts.items()), relative_key)
    return contracts[found[1]] if found else None


def _rank(datasets: Iterable[tuple[str, tuple[str, ...]]], relative_key: str) -> tuple[int, str] | None:
    """The rank of the pattern that matches best, lowest first, with its dataset; None when none matches."""
    found = (
        (-literal_characters(pattern), name)
        for name, patterns in datasets
        for pattern in patterns
        if pattern_regex(pattern).fullmatch(relative_key)
    )
    return min(found, default=None)


def read_catalog(directory: Path, *, mentions: str = "") -> Catalog:
    """Every contract of a directory. A broken one ends up in `broken` and touches no other.

    Args:
        directory: where the YAML files lie; folders below it are not searched.
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
    # Active ones first: a draft must not push one of them out.
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
    """Whether a file's text holds a word of its own; one that cannot be read may, and its reader says what is wrong."""
    try:
        text = read_content(path).decode("utf-8", "replace") if word else ""
    except ContractError:
        return True
    return not word or re.search(rf"\b{re.escape(word)}\b", text) is not None


def _clash(contract: Contract, others: dict[str, Contract]) -> Problem | None:
    """What a contract wants to have alone and another one has already."""
    if contract.dataset in others:
        other = others[contract.dataset].path.name
        return Problem("schema[0].name", f"{other} describes '{contract.dataset}' too", "remove one of the two")
    for other_contract in others.values():
        # Both would be one group, and each message would reach one of the two.
        if contract.topic and contract.topic == other_contract.topic:
            what = f"{other_contract.path.name} has the topic '{contract.topic}' too"
            return Problem("customProperties: ingestion.topic", what, "give each dataset a topic of its own")
    return None
