"""The schedule of faults: repeatable, with every kind."""

from collections import Counter

import pytest

from proof.torture.schedule import Kind, schedule

pytestmark = pytest.mark.unit


def test_same_seed_gives_the_same_schedule() -> None:
    assert schedule(7, 60) == schedule(7, 60)


def test_another_seed_gives_another_schedule() -> None:
    assert schedule(1, 40) != schedule(2, 40)


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_every_kind_occurs_before_any_occurs_twice(seed: int) -> None:
    first = schedule(seed, len(Kind))
    assert {fault.kind for fault in first} == set(Kind)
    assert set(Counter(fault.kind for fault in schedule(seed, 10 * len(Kind))).values()) == {10}


def test_faults_are_numbered_from_one_and_within_their_limits() -> None:
    faults = schedule(3, 200)
    assert [fault.number for fault in faults] == list(range(1, 201))
    assert all(1 <= fault.pause <= 8 and 2 <= fault.lasts <= 8 and 0 <= fault.draw <= 1 for fault in faults)


def test_some_faults_wait_for_a_load_and_some_do_not() -> None:
    assert {fault.calm for fault in schedule(1, 20)} == {True, False}


def test_no_faults_make_an_empty_schedule() -> None:
    assert schedule(1, 0) == []
