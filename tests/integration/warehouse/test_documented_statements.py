"""The psql examples of the documentation: each runs as the role whose address it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from include.stores.warehouse import connect

if TYPE_CHECKING:
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(variable, statement, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (variable, statement) in enumerate(
        re.findall(r'psql (?:"\$(WAREHOUSE_\w+)"|--(?= -c))[^\n]*? -c "([^"]+)"', page.read_text(encoding="utf-8"))
    )
]
ROLES = {"": "reader", "WAREHOUSE_DSN": "reader", "WAREHOUSE_OWNER_DSN": "owner"}  # "": `filegate psql`


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize(("variable", "statement"), EXAMPLES)
def test_documented_statement_runs_as_its_role(platform: Platform, variable: str, statement: str) -> None:
    """A table of a dataset that the example assumes to be loaded may be missing; a right may not."""
    with connect(platform.warehouse_config(ROLES[variable])) as connection, connection.transaction(force_rollback=True):
        try:
            connection.execute(statement)
        except psycopg.errors.UndefinedTable as error:
            if not re.search(r"(raw|analytics|staging)\.", str(error)):
                raise
