"""Commands that pages, messages and comments name: those of `filegate` exist, make targets are ones that stay."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.filegate_command import named_in, problem_of

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
# Tests name what they test; the Makefile has the targets of before; the change log explains them.
EXEMPT = ("tests/", "Makefile", "CHANGELOG.md")
KEPT = {"demo", "up", "down", "test", "test-long", "lint", "format", "bench", "lock", "setup", "clean", "help"}
TARGETS = set(re.findall(r"(?m)^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(encoding="utf-8")))
_GONE = "|".join(sorted(TARGETS - KEPT, key=len, reverse=True))
# Options, settings and other targets may be between; a line may end behind `make`.
_PROSE = re.compile(rf"\bmake(?:[\s#]+(?:-\S+|[A-Z]+=\S+|{'|'.join(KEPT)}))*[\s#]+({_GONE})(?![\w-])")
_CODE = re.compile(r"(?m)(?:`|^ *\$ |^)make((?: [a-z][a-z-]*)+)(?=[`\n]| [A-Z#])")


def targets_that_go(text: str) -> list[str]:
    """The make targets that a text names and that do not stay."""
    in_code = {word for words in _CODE.findall(text) for word in words.split()}
    return sorted(set(_PROSE.findall(text)) | in_code - KEPT)


@cache
def texts() -> dict[str, str]:
    """Path and text of every tracked text file that users see."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if not name.startswith(EXEMPT) and path.is_file():
            found[name] = path.read_bytes().decode("utf-8", errors="replace")
    return found


def test_no_text_names_a_make_target_that_goes() -> None:
    assert {name: targets for name, text in texts().items() if (targets := targets_that_go(text))} == {}


def test_every_filegate_command_that_a_text_names_exists() -> None:
    found = {
        (name, "filegate " + " ".join(words)): problem
        for name, text in texts().items()
        for words in named_in(text)
        if (problem := problem_of(words))
    }
    assert found == {}


def test_pages_name_commands() -> None:
    """The search finds what it should find."""
    assert len(texts()) > 300
    for name in ("README.md", "docs/operations.md", "docs/transactions.md", "include/errors/work_reasons.py"):
        assert list(named_in(texts()[name])), name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("see `make status`", ["status"], id="code"),
        pytest.param("run make replay-dlq TOPIC=x", ["replay-dlq"], id="prose"),
        pytest.param("make down status", ["status"], id="behind one that stays"),
        pytest.param("$(make --no-print-directory env)", ["env"], id="behind an option"),
        pytest.param("# run make\n# dbt-docs", ["dbt-docs"], id="over two lines"),
        pytest.param("`make up`, `make test-long PART=1`", [], id="ones that stay"),
        pytest.param("`make nonsense`", ["nonsense"], id="no target"),
        pytest.param("make sure, make it, make environments, make reports", [], id="English"),
    ],
)
def test_search_finds_planted_targets(text: str, found: list[str]) -> None:
    assert targets_that_go(text) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("`filegate nonsense`", "there is no command nonsense", id="command"),
        pytest.param("$ filegate schema shwo sales\n", "there is no command shwo", id="command of a group"),
        pytest.param('eval "$(filegate env --onwer)"', "env has no option --onwer", id="option"),
        pytest.param("`filegate drop FILE [--wait]`", "", id="sound"),
        pytest.param("$ filegate dbt test --select x | head\n", "", id="options of another program"),
    ],
)
def test_search_finds_planted_commands(text: str, problem: str) -> None:
    [words] = named_in(text)
    assert problem_of(words) == problem
