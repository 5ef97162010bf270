"""The category rule: each id has one category, the same in every process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from ml_api.categories import CATEGORIES, category_of

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
IDS = [UUID(int=seed * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128) for seed in range(5000)]

SCRIPT = """
import json, sys
from uuid import UUID
from ml_api.categories import category_of
ids = json.load(sys.stdin)
print(json.dumps({"text": hash(ids[0]), "categories": [category_of(UUID(text)) for text in ids]}))
"""


def in_another_process(hash_seed: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([str(one) for one in IDS]),
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout))


def test_category_of_is_the_same_with_different_hash_seeds() -> None:
    first, second = in_another_process("1"), in_another_process("2")
    assert first["text"] != second["text"], "PYTHONHASHSEED has no effect, so this test proves nothing"
    assert first["categories"] == second["categories"] == [category_of(one) for one in IDS]


def test_category_of_is_the_hash_modulo_the_number_of_categories() -> None:
    assert [category_of(one) for one in IDS] == [CATEGORIES[hash(one) % len(CATEGORIES)] for one in IDS]


@pytest.mark.parametrize(
    ("text", "category"),
    [
        pytest.param("00000000-0000-0000-0000-000000000000", "groceries", id="zero"),
        pytest.param("00000000-0000-0000-0000-00000000000b", "transfers", id="last"),
        pytest.param("00000000-0000-0000-0000-00000000000c", "groceries", id="round-again"),
        pytest.param("ffffffff-ffff-ffff-ffff-ffffffffffff", "housing", id="largest"),
        pytest.param("7f0c2b9e-5a3d-4e52-9a0f-0f6d3c1b8a11", "restaurants", id="random"),
    ],
)
def test_category_of_known_ids_is_unchanged(text: str, category: str) -> None:
    """Rows in warehouses have these categories: a new order or a new category would change them."""
    assert category_of(UUID(text)) == category


def test_every_category_occurs() -> None:
    assert {category_of(one) for one in IDS} == set(CATEGORIES)


def test_categories_are_distinct_lower_case_words() -> None:
    assert len(set(CATEGORIES)) == len(CATEGORIES) == 12
    assert [name for name in CATEGORIES if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []
