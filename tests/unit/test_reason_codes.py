"""The registry of reason codes: complete, used, and the same as its page."""

from __future__ import annotations

import ast
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

import pytest

from include.errors import Code, registry
from include.errors.__main__ import PAGE, page
from include.errors.reason import Kind
from include.errors.registry import REASONS, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

INCLUDE = Path(__file__).parents[2] / "include"
CELL_FIELDS = {"column", "value", "expected"}
# Templates whose code the program chooses at run time, with the fields that it gives them.
CHOSEN = {
    **{(code, ""): CELL_FIELDS for code in Code if REASONS[code].kind is Kind.CELL},
    **{(code, ""): {"fields", "width"} for code in (Code.TOO_MANY_FIELDS, Code.TOO_FEW_FIELDS)},
    **{(code, "parquet"): {"name"} for code in (Code.OUT_OF_RANGE, Code.BAD_ENCODING)},
    # Of cells of workbooks (`bad_cells`).
    **{(code, ""): {"name", "value"} for code in (Code.ERROR_CELL, Code.INEXACT_NUMBER, Code.UNCALCULATED_FORMULA)},
    **{(code, "number in a workbook"): {"name", "value"} for code in (Code.BAD_DATE, Code.BAD_TIMESTAMP)},
    (Code.BAD_TEXT, "added"): set(),
    (Code.BAD_JSON, "rescued"): set(),
}


def templates() -> dict[tuple[Code, str], str]:
    found = {}
    for code, reason in REASONS.items():
        if reason.template:
            found[code, ""] = reason.template
        found |= {(code, name): variant.template + variant.remedy for name, variant in reason.variants.items()}
    return found


def fields(template: str) -> set[str]:
    """The names that a template is filled with; `column` of `{column.name}`."""
    return {name.partition(".")[0] for _, name, _, _ in Formatter().parse(template) if name}


def uses() -> Iterator[tuple[tuple[Code, str], set[str]]]:
    """Each use of a template in the code, with the values it is filled with, or may be."""
    for path in INCLUDE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (keys := keys_of(node)):
                given = {str(keyword.arg) for keyword in node.keywords}
                yield from ((key, given) for key in keys)


def keys_of(call: ast.Call) -> list[tuple[Code, str]]:
    """Code and variants of a call of `message`, `text`, `for_code`, or an error without a message."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    is_error = name in {"RetryableError", "PermanentError"} and len(call.args) == 1
    if not (is_error or name in {"message", "text", "for_code"}) or not call.args or not is_code(call.args[0]):
        return []
    code = Code[call.args[0].attr]  # type: ignore[attr-defined]
    match call.args[1:]:
        case []:
            return [(code, "")]
        case [ast.Constant(value=str(variant))]:
            return [(code, variant)]
        case [ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other)))]:
            return [(code, one), (code, other)]
    raise AssertionError(f"{ast.unparse(call)}: name the variant")


def is_code(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"


def test_page_is_generated_from_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python -m include.errors"


@pytest.mark.parametrize("code", Code)
def test_code_has_every_field(code: Code) -> None:
    reason = REASONS[code]
    for text in (reason.title, reason.meaning, reason.remedy):
        assert text.strip() == text != ""
        assert "\n" not in text
        assert "|" not in text, "a bar ends a cell of the page"
    assert reason.meaning.endswith((".", ")"))
    assert not reason.title.endswith(".")
    assert bool(reason.retried) == (reason.kind is Kind.WORK)


def test_registry_has_no_other_code() -> None:
    assert set(REASONS) == set(Code)


def test_titles_differ() -> None:
    assert len({reason.title for reason in REASONS.values()}) == len(Code)


def test_every_use_of_a_template_fills_its_fields() -> None:
    known = templates()
    for key, given in [*uses(), *CHOSEN.items()]:
        assert key in known, key
        needed = fields(known[key])
        assert needed <= given, key


def test_every_template_is_used() -> None:
    assert set(templates()) - {key for key, _ in uses()} - set(CHOSEN) == set()


def test_text_fills_the_template_and_adds_the_remedy_of_the_variant() -> None:
    assert registry.text(Code.UNREADABLE_FILE, "header", reason="{odd}.") == (
        "The header cannot be read: {odd}.",
        "Correct the first line.",
    )


def test_text_has_the_remedy_of_the_code_without_marks() -> None:
    text = registry.text(Code.TOO_MANY_COLUMNS, columns=2_001, limit=2_000)
    assert text.message == "The file has 2,001 columns; the limit is 2000."
    assert text.remedy == "Send the contract's columns only, or raise INGEST_MAX_COLUMNS."


def test_remedies_leave_out_what_is_no_code() -> None:
    assert registry.remedies(["bad-date", None, "of-another-version"]) == {
        "bad-date": "Send ISO 8601, or add formats.",
    }


@pytest.mark.parametrize(
    ("code", "stops"),
    [("warehouse-refused", True), ("bad-date", False), ("error-budget-exceeded", False), (None, False), ("x", False)],
    ids=str,
)
def test_stops_the_work_for_the_codes_of_the_work_itself(code: str | None, stops: bool) -> None:
    assert registry.stops_the_work(code) is stops


def test_plain_writes_a_link_as_the_page_that_it_names() -> None:
    assert plain("[Make room](retention.md#disk), see `x`") == "Make room (docs/retention.md#disk), see x"
