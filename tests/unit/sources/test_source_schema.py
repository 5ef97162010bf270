"""The JSON Schema of definitions, for editors: it takes what the reader takes, and refuses wrong keys and values."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from include.sources.__main__ import BUCKET_EXAMPLE, DATABASE_EXAMPLE, EXAMPLE
from include.sources.kinds import schema
from tests.unit.sources.source_files import document

pytestmark = pytest.mark.unit

VALIDATOR = Draft202012Validator(schema(), format_checker=FormatChecker())
EXAMPLES = {"rest": EXAMPLE, "database": DATABASE_EXAMPLE, "bucket": BUCKET_EXAMPLE}


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("kind", EXAMPLES)
def test_examples_are_taken(kind: str) -> None:
    VALIDATOR.validate(yaml.safe_load(EXAMPLES[kind]))


def test_the_shipped_definitions_are_taken() -> None:
    files = sorted((Path(__file__).parents[3] / "sources").glob("*.yaml"))
    assert files
    for path in files:
        VALIDATOR.validate(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"schedule": 5},
        {"incremental": {"cursor": "updated_at", "overlap": "10 minutes"}},
        {"pagination": {"type": "cursor", "cursorPath": "meta.next"}},
    ],
    ids=["unknown key", "wrong type", "no duration", "missing key"],
)
def test_faults_are_refused(changes: dict[str, object]) -> None:
    assert list(VALIDATOR.iter_errors(document(**changes)))
