"""What the documents say and a machine can look up: where links lead, which commands and settings there are."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in ROOT.rglob("*.md") if not {".venv", ".local", "node_modules"} & set(path.relative_to(ROOT).parts)
)
TARGETS = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8")))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"(https?|mailto):", link):
            continue
        place, _, anchor = link.partition("#")
        goal = (page.parent / place).resolve() if place else page
        assert goal.exists(), f"{link}: there is no {place}"
        assert not anchor or anchor in anchors(goal), f"{link}: no heading is called that"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_command_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    told = re.findall(r"(?m)(?:`|^\$ |^)make ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)(?=[`\s])", text)

    assert {word for words in told for word in words.split()} <= TARGETS


def test_every_setting_is_explained() -> None:
    settings = re.findall(r"(?m)^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"))
    explained = re.findall(r"`([A-Z][A-Z0-9_]+)`", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))

    assert len(settings) > 50
    assert set(settings) <= set(explained)
