"""JSON records with their numbers and lines, compared with a reader that has the whole text in memory."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.model import Column, ColumnType
from include.errors import Code
from include.ingestion.readers import json_document
from include.ingestion.readers.json_document import document_records
from include.ingestion.readers.json_text import ndjson_records

pytestmark = pytest.mark.unit


def ndjson(tmp_path: Path, content: bytes, limit: int = 1000) -> list[tuple]:
    path = tmp_path / "text"
    path.write_bytes(content)
    return [(record.line, record.code or record.raw) for record in ndjson_records(path, limit)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b'{"a":1}\n{"a":2}\n', [(1, '{"a":1}'), (2, '{"a":2}')], id="plain"),
        pytest.param(b'\n{"a":1}\r\n\r\n {"a":2} ', [(2, '{"a":1}'), (4, '{"a":2}')], id="blank-lines-and-crlf"),
        pytest.param(
            b'{"a":\n1\n', [(1, Code.BAD_ROW_JSON), (2, Code.NOT_AN_OBJECT)], id="malformed-lines-are-records"
        ),
        pytest.param(b'{"a":"\xff"}\n1\n', [(1, Code.BAD_ENCODING), (2, Code.NOT_AN_OBJECT)], id="not-utf-8"),
        pytest.param(b'"' + b"x" * 2000 + b'"\n1\n', [(1, Code.ROW_TOO_LONG), (2, Code.NOT_AN_OBJECT)], id="too-long"),
        pytest.param(
            '{"a":"\u2028"}\n{}'.encode(), [(1, '{"a":"\u2028"}'), (2, "{}")], id="line-separator-is-no-line-end"
        ),
        pytest.param(
            b'{"a":1}{"a":2} {"a":3}\n{"a":4}',
            [(1, '{"a":1}'), (1, '{"a":2}'), (1, '{"a":3}'), (2, '{"a":4}')],
            id="objects-one-after-another",
        ),
        pytest.param(
            b'{"a":1}{"a":NaN}{"a":3}\n',
            [(1, '{"a":1}'), (1, Code.BAD_ROW_JSON), (1, '{"a":3}')],
            id="a-broken-one-among-them",
        ),
        pytest.param(b'{"a":1}{"a":"}{\n', [(1, '{"a":1}'), (1, Code.BAD_ROW_JSON)], id="the-last-one-cut-off"),
        pytest.param(
            b'{"a":1} x\n{"a":1},\n[1][2]\n',
            [(1, Code.BAD_ROW_JSON), (2, Code.BAD_ROW_JSON), (3, Code.BAD_ROW_JSON)],
            id="something-else-after-it",
        ),
    ],
)
def test_ndjson_lines_number_records_and_lines(tmp_path: Path, content: bytes, expected: list) -> None:
    assert ndjson(tmp_path, content) == expected


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from(list('ab"\\\n[]{},:é')), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BLANK = st.text(st.sampled_from([" ", "\n", "\t"]), max_size=3)


@given(elements=st.lists(st.tuples(BLANK, CELLS, st.sampled_from([None, 1]), BLANK), max_size=6), cut=st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_document_records_finds_every_element_and_its_line(tmp_path_factory, elements: list, cut: int) -> None:
    text, lines = "\n[", []
    for at, (before, value, indent, after) in enumerate(elements):
        text += ("," if at else "") + before
        lines.append(text.count("\n") + 1)
        text += json.dumps(value, indent=indent, ensure_ascii=False) + after
    path = tmp_path_factory.mktemp("json") / "text"
    path.write_text(text + "]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_document, "READ_CHARACTERS", cut)
        found = list(document_records(path, 10_000))
    assert [record.line for record in found] == lines
    for record, (_, value, _, _) in zip(found, elements, strict=True):
        assert json.loads(record.raw) == value


@pytest.mark.parametrize("cut", range(1, 10))
def test_document_records_do_not_depend_on_where_its_chunks_end(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"[1.5e+3,\r\r\n0.10 ,-2E-7,\r\n{}]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_document, "READ_CHARACTERS", cut)
        found = [(record.line, record.raw) for record in document_records(path, 10_000)]
    assert found == [(1, "1.5e+3"), (3, "0.10"), (3, "-2E-7"), (4, "{}")]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param('{"a": 1}\n{\n"a": 2}\n\n{"a": 3}', [1, 2, 5], id="concatenated"),
        pytest.param('{"a": 1}{\r"a": 2}\r\n\r{"a": 3} 7 8', [1, 1, 4, 4, 4], id="all-line-ends"),
        pytest.param("[]", [], id="none"),
    ],
)
def test_document_records_reads_documents(tmp_path: Path, content: str, lines: list) -> None:
    path = tmp_path / "text"
    path.write_bytes(content.encode())
    assert [record.line for record in document_records(path, 1000)] == lines


@pytest.fixture
def things(contract_of):
    return contract_of(Column("id", ColumnType.INTEGER, required=True))


@pytest.mark.parametrize(
    ("content", "good", "bad"),
    [
        pytest.param(b'[\n{"id": 1},\n{"id": "x"}\n]', [1], [(2, 3, Code.BAD_INTEGER)], id="array"),
        pytest.param(b'[{\n"id": 1\n}, {\n"id": 2\n}, {"id": "x"}]', [1, 2], [(3, 5, Code.BAD_INTEGER)], id="pretty"),
        pytest.param(b'[{"id": 1},\n[1],\n5,\n{"id": 2}]', [1, 2],
                     [(2, 2, Code.NOT_AN_OBJECT), (3, 3, Code.NOT_AN_OBJECT)], id="array-of-all-sorts"),
        pytest.param(b'{\n"id": 1\n}\n{\n"id": "x"\n}\n', [1], [(2, 4, Code.BAD_INTEGER)], id="concatenated"),
        pytest.param(b'{\n "id": 1\n}', [1], [], id="one-object"),
        pytest.param(b'\xef\xbb\xbf [ {"id": 1, "a": "],[", "b": [1, [2]]} ,\n{"id": 2}\n]\r\n', [1, 2], [],
                     id="signs-within"),
        pytest.param(b'{"id": 1}\n{"id": 2\n{"id": 3}\n', [1, 3], [(2, 2, Code.BAD_ROW_JSON)], id="ndjson-cut-line"),
        pytest.param(b'{"id": 1}\nnull\n"x"\n', [1],
                     [(2, 2, Code.NOT_AN_OBJECT), (3, 3, Code.NOT_AN_OBJECT)], id="ndjson-no-objects"),
        pytest.param(b'{"id": null}\n{"id": 2}\n{}\n', [2],
                     [(1, 1, Code.MISSING_VALUE), (3, 3, Code.MISSING_VALUE)], id="ndjson-null-and-absent"),
    ],
)  # fmt: skip
def test_validate_gives_row_and_line_of_json_rejects(stages, things, content: bytes, good: list, bad: list) -> None:
    validated = stages.validate(things, content)
    assert [row["id"] for row in stages.processed(things, validated)] == good
    assert [(r.source_row, r.source_line, r.code) for r in validated.rejects.first] == bad


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        pytest.param(b'[{"id": 1}, {"id": 2', Code.TRUNCATED_FILE, "cut off", id="array-cut-off"),
        pytest.param(b'[{"id": 1}, {"id": 2}', Code.TRUNCATED_FILE, "cut off", id="array-not-closed"),
        pytest.param(b'{\n"id": 1,\n', Code.TRUNCATED_FILE, "cut off", id="object-cut-off"),
        pytest.param(
            b'[{"id": 1}, {"id" 2}]', Code.UNREADABLE_FILE, "broken in record 2 (line 1): expecting", id="array-broken"
        ),
        pytest.param(
            b'[{"ID": 1, "id": 2}]', Code.DUPLICATE_COLUMNS, "'ID' and 'id' differ in case", id="key-in-two-spellings"
        ),
        pytest.param(b'[{"other": 1}]', Code.MISSING_COLUMNS, "id", id="required-key-nowhere"),
        pytest.param(
            b'[{"id": 1}, {"id": 2},', Code.TRUNCATED_FILE, "cut off after record 2", id="array-cut-after-comma"
        ),
        pytest.param(b'[{"id": 1},\n', Code.TRUNCATED_FILE, "cut off after record 1", id="array-cut-after-a-line"),
        pytest.param(b'[{"id": 1}]{"id": 2}]', Code.UNREADABLE_FILE, "before the file does", id="array-goes-on"),
        pytest.param(b'[{"id": 1}]{"id": 2}, {"id": 3}]', Code.UNREADABLE_FILE, "before the file", id="comma-missing"),
        pytest.param(b"[[]][]]", Code.UNREADABLE_FILE, "before the file does", id="arrays-go-on"),
        pytest.param(b"[]", Code.NO_ROWS, "no rows", id="empty-array"),
    ],
)
def test_validate_refuses_a_json_document(stages, things, content: bytes, code: Code, word: str) -> None:
    refusal = stages.refusal(things, content)
    assert refusal.code is code
    assert word in refusal.message


def test_blank_line_is_a_refused_record_where_each_line_is_one(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b'{"a":1}\n \xef\xbb\xbf\n{"a":2}\n')
    found = [(record.line, record.code or record.raw) for record in ndjson_records(path, 1000, one_per_line=True)]
    assert found == [(1, '{"a":1}'), (2, Code.BAD_ROW_JSON), (3, '{"a":2}')]
