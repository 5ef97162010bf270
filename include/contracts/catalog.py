"""All contracts of a directory, the sound ones beside the broken ones, and which one a file belongs to.

What belongs here: finding contracts and matching keys to them. What does not: reading one (`reader`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from include.contracts.document import read_content
from include.contracts.problems import ContractError, Problem
from include.contracts.reader import read_contract

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract


@dataclass(frozen=True)
class Catalog:
    """The contracts by dataset name, and the files that are none."""

    contracts: dict[str, Contract]
    broken: tuple[ContractError, ...] = ()

    def match(self, relative_key: str) -> Contract | None:
        """The contract of a file whose key, below `incoming/`, is `relative_key`; None when nobody's.

        `<dataset>/anything` belongs to that dataset. Other keys are held against the file patterns; where several
        match, the one with the most literal characters wins, then the first dataset by name.
        """
        folder, slash, rest = relative_key.partition("/")
        if relative_key.endswith("/"):
            return None
        if slash and rest and folder in self.contracts:
            return self.contracts[folder]
        found = [
            (-len(pattern.replace("*", "").replace("?", "")), name)
            for name, contract in self.contracts.items()
            for pattern in contract.file_patterns
            if pattern_regex(pattern).fullmatch(relative_key)
        ]
        return self.contracts[min(found)[1]] if found else None


def read_catalog(directory: Path, *, check_expressions: bool = True, mentions: str = "") -> Catalog:
    """Every contract of a directory. A broken one ends up in `broken` and touches no other.

    Args:
        directory: where the YAML files lie; folders below it are not searched.
        check_expressions: see `read_contract`.
        mentions: leave out files whose text does not hold this. To find a word takes a thousandth of the time of
            reading a contract, which counts for whoever wants one of hundreds.

    Raises:
        ContractError: there is no such directory.
    """
    if not directory.is_dir():
        problem = Problem("", "no such directory", "set INGEST_CONTRACTS_DIR to the directory of the contracts")
        raise ContractError.of(directory, [problem])
    contracts: dict[str, Contract] = {}
    broken: list[ContractError] = []
    for path in sorted(directory.iterdir()):
        if path.suffix not in {".yaml", ".yml"} or path.name.startswith(".") or not _holds(path, mentions):
            continue
        try:
            contract = read_contract(path, check_expressions=check_expressions)
        except ContractError as error:
            broken.append(error)
            continue
        if clash := _clash(contract, contracts):
            broken.append(ContractError.of(path, [clash]))
            continue
        contracts[contract.dataset] = contract
    return Catalog(contracts, tuple(broken))


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


@lru_cache(maxsize=1024)
def pattern_regex(pattern: str) -> re.Pattern[str]:
    """A file pattern as a regular expression: `*` and `?` stand for anything but `/`, all else for itself."""
    wild = {"*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in pattern))
