"""Checks of the pages: their links, their length, and that every setting is explained."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in ROOT.rglob("*.md") if not {".venv", ".local", "node_modules"} & set(path.relative_to(ROOT).parts)
)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_has_a_target(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{link}: there is no {file}"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_every_setting_is_explained() -> None:
    settings = re.findall(r"(?m)^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"))
    explained = re.findall(r"`([A-Z][A-Z0-9_]+)`", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))

    assert len(settings) > 50
    assert set(settings) <= set(explained)


# Tables of every code, setting and key of a definition, which grow with the code.
TABLES = {"configuration.md", "features.md", "reason-codes.md", "sources.md"}
DOCS = sorted((ROOT / "docs").rglob("*.md"))


def words(page: Path) -> int:
    return len(page.read_text(encoding="utf-8").split())


def test_documentation_stays_short() -> None:
    pages = [page for page in DOCS if page.name not in TABLES]

    assert 600 <= words(ROOT / "README.md") <= 900
    assert words(ROOT / "README.md") + sum(map(words, pages)) <= 15_000


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in TABLES], ids=named)
def test_page_has_at_most_1200_words(page: Path) -> None:
    assert words(page) <= 1_200


def test_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[a-z/-]+\.md)", (ROOT / "README.md").read_text(encoding="utf-8")))

    assert linked == set(map(named, DOCS))
