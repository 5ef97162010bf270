"""The files of a torture run: the same for the same seed, and no key has the same version in two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.contracts.reader import read_contract
from proof.torture.proxied_platform import DATASETS, TOPIC, write_contracts
from proof.torture.workload import Drop, Sort, Workload
from tests.oracle.judge import judge

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Contract]:
    folder = tmp_path_factory.mktemp("contracts")
    write_contracts(folder)
    return {name: read_contract(folder / f"{name}.yaml") for name in DATASETS}


def made(contracts: dict[str, Contract], folder: Path, count: int, seed: int = 3) -> list[Drop]:
    folder.mkdir(exist_ok=True)
    workload = Workload(seed, contracts, folder, large_rows=1_000)
    return [workload.next() for _ in range(count)]


def test_events_take_messages(contracts: dict[str, Contract]) -> None:
    assert contracts[TOPIC].topic == TOPIC


def test_same_seed_makes_the_same_files(contracts: dict[str, Contract], tmp_path: Path) -> None:
    one, two = (made(contracts, tmp_path / name, 12) for name in ("one", "two"))
    assert [(drop.key, drop.etag, drop.sort) for drop in one] == [(drop.key, drop.etag, drop.sort) for drop in two]


def test_no_key_has_the_same_version_in_two_files(contracts: dict[str, Contract], tmp_path: Path) -> None:
    newest: dict[tuple[object, ...], str] = {}
    files = {drop.etag: drop for drop in made(contracts, tmp_path, 25) if drop.sort is not Sort.UNMATCHED}
    for drop in files.values():
        contract = contracts[drop.dataset]
        of_file = {
            (drop.dataset, *(row.values[name] for name in contract.key), row.values[contract.newest_by or ""])
            for row in judge(contract, drop.path.read_bytes()).rows
        }
        assert not of_file & newest.keys()
        newest |= dict.fromkeys(of_file, drop.key)
    assert len(newest) > 1_000


def test_file_of_a_used_name_waits_and_a_copy_has_the_same_content(
    contracts: dict[str, Contract], tmp_path: Path
) -> None:
    drops = made(contracts, tmp_path, 60, seed=1)
    keys = [drop.key for drop in drops]
    etags = [drop.etag for drop in drops]
    for drop in drops:
        before = drop.number - 1
        assert (drop.sort in {Sort.NEW_CONTENT, Sort.RACE}) == (drop.key in keys[:before])
        assert drop.after == (drop.sort is Sort.NEW_CONTENT)
        if drop.sort is Sort.COPY:
            assert drop.etag in etags[:before]
    assert {drop.sort for drop in drops} == set(Sort)


def test_key_of_a_race_has_no_file_that_is_held(contracts: dict[str, Contract], tmp_path: Path) -> None:
    drops = made(contracts, tmp_path, 120, seed=1)
    raced, waited = ({drop.key for drop in drops if drop.sort is sort} for sort in (Sort.RACE, Sort.NEW_CONTENT))
    assert raced
    assert waited
    assert not raced & waited
