"""Reads checked contracts: from the cache, else with a child process with limits.

What belongs here: the order of cache and child. What does not: either of them (`cache`, `check_parent`). This process
reads only a contract's bytes and compiles none, so that no contract can exhaust it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from include.contracts.cache import ContractCache, Entry, content_key
from include.contracts.check_parent import contract_checker
from include.contracts.codec import decoded
from include.contracts.content import read_content
from include.contracts.problems import ContractError, Problem, Remains
from include.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.contracts.model import Contract


def read_contracts(paths: Iterable[Path]) -> list[Contract | ContractError]:
    """Each file's contract or its error, in the order of the paths. A broken file affects no other."""
    cache = _cache(ingest_settings().contracts_cache_dir)
    return [_read(path, cache) for path in paths]


def _read(path: Path, cache: ContractCache) -> Contract | ContractError:
    try:
        content = read_content(path)
    except ContractError as error:
        return error
    key = content_key(path.name, content)
    if (kept := cache.get(key)) is not None and (found := _result(kept, path)) is not None:
        return found
    entry, lasting = contract_checker().check(path.name, content)
    if lasting:
        cache.put(key, entry)
    result = _result(entry, path)
    return result or ContractError.of(path, [Problem("", "could not be compiled", "report this as a defect")])


def _result(entry: Entry, path: Path) -> Contract | ContractError | None:
    """The contract or error of a cache entry; None when it is damaged."""
    try:
        if "contract" in entry:
            return decoded(entry["contract"], path)
        problems = [Problem(str(at), str(what), str(remedy)) for at, what, remedy in entry["problems"]]
        remains = Remains.of_json(entry.get("remains"))
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return ContractError.of(path, problems, remains) if problems else None


@lru_cache(maxsize=8)
def _cache(folder: Path) -> ContractCache:
    return ContractCache(folder)
