"""JSON read with all digits, and the values that PostgreSQL's jsonb can store."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ingestion.readers.json_values import (
    MAX_JSON_DEPTH,
    DuplicateKeyError,
    NestedTooDeepError,
    NotJsonError,
    Number,
    json_cell,
    kept_by_jsonb,
    kept_by_jsonb_column,
    read_value,
    spelled,
    text_cell,
    value_end,
)

pytestmark = pytest.mark.unit

NUMBERS = ["1.10", "4.9e10", "-0", "0.1234567890123456789", "98765432109876543210999", "1E400", "-1e-400", "1.0E+2"]


@pytest.mark.parametrize("number", NUMBERS)
def test_read_value_keeps_the_characters_of_a_number(number: str) -> None:
    text = f'{{"a":[{number},{{"b":{number}}}],"c":{number}}}'
    value, end = read_value(text)
    assert (spelled(value), end) == (text, len(text))
    assert type(value["c"]) is Number


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(document=DOCUMENTS, indent=st.sampled_from([None, 1]))
@settings(max_examples=100, deadline=None)
def test_spelled_writes_the_value_that_was_read(document: object, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    assert json.loads(spelled(read_value(text)[0])) == document
    if isinstance(document, dict | list):
        assert value_end(text + "tail", 0) == len(text)


def test_spelled_writes_every_member_of_a_value_of_hundreds_of_levels() -> None:
    text = '{"é":[1.10,true,{},[],{"a":[]},"\\n",' * 400 + "null" + '],"b":-0}' * 400
    assert spelled(read_value(text)[0]) == text


@pytest.mark.parametrize(
    ("text", "reason", "cut"),
    [
        ("NaN", "NaN is no JSON value", False),
        ('{"a": -Infinity}', "-Infinity is no JSON value", False),
        ("[1,]", "a value is missing", False),
        ('{"a": 1,}', "expecting property name", False),
        ('{"a": 1', "expecting ',' delimiter", True),
        ('{"a', "unterminated string", True),
        ("[01]", "expecting ',' delimiter", False),
        ("[.5]", "a value is missing", False),
        ('"a\nb"', "invalid control character", False),
        ("", "a value is missing", True),
    ],
)
def test_read_value_refuses_what_is_not_json(text: str, reason: str, *, cut: bool) -> None:
    with pytest.raises(NotJsonError) as caught:
        read_value(text)
    assert caught.value.reason.lower().startswith(reason.lower()) or "value" in caught.value.reason
    assert caught.value.cut is cut


@pytest.mark.parametrize("text", ['{"k":1,"k":1}', '{"a":[{"k":1,"x":2,"k":3}]}', r'{"k":1,"\u006b":2}', '{"":1,"":2}'])
def test_read_value_refuses_a_duplicate_key_in_any_spelling(text: str) -> None:
    with pytest.raises(DuplicateKeyError):
        read_value(text)
    assert not kept_by_jsonb(text)


def test_read_value_survives_any_depth() -> None:
    with pytest.raises(NestedTooDeepError):
        read_value("[" * 100_000)
    assert not kept_by_jsonb("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        *((number, True) for number in NUMBERS),
        ("1e131071", True),
        ("1e131072", False),
        ("9" * 131_072, True),
        ("9" * 131_073, False),
        ("0." + "0" * 16_382 + "1", True),
        ("0." + "0" * 16_383 + "1", False),
        ("1e-16383", True),
        ("1e-16384", False),
        ("1.5e-16383", False),
        ("0." + "0" * 15_500 + "1e-999", False),
        ("9" * 15_900 + "e-999", True),
        ("0e131073", True),
        ("0e-16384", False),
        ("[0e9999999999]", False),
        ("1e" + "9" * 5000, False),
        ('{"a": {"b": [1e999999999]}}', False),
        (" {} ", True),
        ("{} {}", False),
        ("\u00a0{}", False),
        (r'"\u0000"', False),
        (r'{"\u0000": 1}', False),
        (r'"\\u0000"', True),
        (r'"\ud800"', False),
        (r'"\ud83d\ude00"', True),
        ('["info, nan,]"]', True),
        ("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH, True),
        ("[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1), False),
        ("[" + "[]," * 500 + "[]]", True),
    ],
    ids=lambda value: str(value)[:30].replace("\\", "/"),
)
def test_kept_by_jsonb_is_what_postgresql_keeps(text: str, *, kept: bool) -> None:
    """The integration tests compare the limits of numbers with PostgreSQL."""
    assert kept_by_jsonb(text) is kept
    assert kept_by_jsonb_column(pa.chunked_array([[None, text]])).to_pylist() == [None, kept]


@pytest.mark.parametrize(
    ("text", "as_text", "as_json"),
    [
        ("null", None, None),
        ("true", "true", "true"),
        ("1.10", "1.10", "1.10"),
        ('" "', " ", None),
        ('"a\\nb"', "a\nb", '"a\\nb"'),
        ('[1.0, "é"]', '[1.0,"é"]', '[1.0,"é"]'),
    ],
)
def test_cells_are_texts(text: str, as_text: str | None, as_json: str | None) -> None:
    value, _ = read_value(text)
    assert (text_cell(value), json_cell(value)) == (as_text, as_json)
