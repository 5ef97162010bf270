"""Each chosen package has its reason, and the lock files agree with each other and with the Makefile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
# Not installed with the others: its versions differ from theirs.
FEAST = "requirements-feast.txt"


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", (REPOSITORY / lock).read_text(), flags=re.MULTILINE))


def chosen(lock: str) -> list[str]:
    lines = (REPOSITORY / lock).with_suffix(".in").read_text().splitlines()
    return [line for line in lines if line and line[0].isalpha()]


def test_every_lock_file_is_installed_and_compiled() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    assert sorted(path.name for path in REPOSITORY.glob("requirements*.txt")) == sorted([*LOCKS, FEAST])
    assert f"\nREQUIREMENTS := {' '.join(LOCKS)}\n" in text
    assert f"\nLOCKS := $(REQUIREMENTS) {FEAST}\n" in text
    assert "for lock in $(LOCKS); do" in text
    assert "\n$(STAMP): $(REQUIREMENTS) " in text
    assert re.search(r"uv pip sync .+ \$\(REQUIREMENTS\);", text)
    assert "requirements.txt" not in text.replace(" ".join(LOCKS), "")


@pytest.mark.parametrize("lock", [*LOCKS, FEAST])
def test_every_chosen_package_has_a_reason_and_a_pin(lock: str) -> None:
    assert chosen(lock)
    assert [line for line in chosen(lock) if not re.search(r" # \w", line)] == []
    names = {re.match(r"[\w-]+", line)[0].lower() for line in chosen(lock)}  # type: ignore[index]
    assert names <= set(pins(lock))


def test_a_package_of_two_lock_files_has_one_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in pins(lock).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_a_package_is_chosen_once() -> None:
    names = [re.match(r"[\w-]+", line)[0] for lock in LOCKS for line in chosen(lock)]  # type: ignore[index]
    assert len(names) == len(set(names))
