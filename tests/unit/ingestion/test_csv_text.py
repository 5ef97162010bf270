"""Every CSV record is accepted or refused on its own, with its first line."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.model import Column, ColumnType
from include.errors import Code
from include.ingestion.readers.csv_fields import CsvSyntax
from include.ingestion.readers.csv_text import CsvRecord, read_records, sniff
from include.ingestion.records import FileRefusedError

pytestmark = pytest.mark.unit


def records(tmp_path: Path, content: bytes, width: int | None = 2, limit: int = 1000) -> list[CsvRecord]:
    path = tmp_path / "text"
    path.write_bytes(content)
    return list(read_records(path, CsvSyntax(","), width, limit))


def lines_and_fields(found: list[CsvRecord]) -> list[tuple]:
    return [(record.line, record.fields or record.code) for record in found]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"a,b\n1,2\n", [(1, ["a", "b"]), (2, ["1", "2"])], id="plain"),
        pytest.param(b"a,b\n1,2", [(1, ["a", "b"]), (2, ["1", "2"])], id="no-end"),
        pytest.param(b"a,b\r\n1,2\r\n", [(1, ["a", "b"]), (2, ["1", "2"])], id="crlf"),
        pytest.param(b"a,b\r1,2\r", [(1, ["a", "b"]), (2, ["1", "2"])], id="cr"),
        pytest.param(b"\n\na,b\n\n1,2\n\n", [(3, ["a", "b"]), (5, ["1", "2"])], id="blank-lines"),
        pytest.param(b'a,b\n"x\ny",2\n3,4\n', [(1, ["a", "b"]), (2, ["x\ny", "2"]), (4, ["3", "4"])], id="newline"),
        pytest.param(b'a,b\r\n"x\r\ny",2\r\n3,4', [(1, ["a", "b"]), (2, ["x\r\ny", "2"]), (4, ["3", "4"])], id="in"),
        pytest.param(b'"a,b",c\n', [(1, ["a,b", "c"])], id="delimiter-in-quotes"),
        pytest.param(b'"say ""hi""",c\n', [(1, ['say "hi"', "c"])], id="escaped-quote"),
        pytest.param(b'"",\n', [(1, ["", ""])], id="empty-quotes"),
        pytest.param(b"a,b\n1,2,3\n4,5\n", [(1, ["a", "b"]), (2, Code.TOO_MANY_FIELDS), (3, ["4", "5"])], id="many"),
        pytest.param(b"a,b\n1\n4,5\n", [(1, ["a", "b"]), (2, Code.TOO_FEW_FIELDS), (3, ["4", "5"])], id="too-few"),
        pytest.param(b'1,"x"y\n3,4\n', [(1, Code.BROKEN_QUOTE), (2, ["3", "4"])], id="text-after-its-quote"),
        pytest.param(b'1,"x\n3,4\n5,6\n', [(1, Code.BROKEN_QUOTE), (2, ["3", "4"]), (3, ["5", "6"])], id="open"),
        pytest.param(
            b'1,"x\n3,4\n5,"y"\n7,8\n',
            [(1, Code.BROKEN_QUOTE), (2, ["3", "4"]), (3, ["5", "y"]), (4, ["7", "8"])],
            id="open-until-another-record-has-quotes",
        ),
        pytest.param(b"1,caf\xff\n3,4\n", [(1, Code.BAD_ENCODING), (2, ["3", "4"])], id="not-utf-8"),
        pytest.param(b'1,"a\ncaf\xff"\n3,4\n', [(1, Code.BAD_ENCODING), (3, ["3", "4"])], id="not-utf-8-in-quotes"),
        pytest.param(b"1,a\0b\n", [(1, ["1", "a\0b"])], id="nul"),
        pytest.param("1,a\u2028b\u0085c\x0bd\n".encode(), [(1, ["1", "a\u2028b\u0085c\x0bd"])], id="other-line-ends"),
        pytest.param('"a","b"\n\ufeff"1","x,y"\n'.encode(), [(1, ["a", "b"]), (2, ["1", "x,y"])], id="mark-quotes"),
        pytest.param('\ufeff"a\n\ufeffb",2\n'.encode(), [(1, ["a\n\ufeffb", "2"])], id="mark-inside-quotes"),
        pytest.param('"\ufeffa",\ufeff\n'.encode(), [(1, ["\ufeffa", "\ufeff"])], id="mark-in-a-value"),
        pytest.param("1,2\n\ufeff\n\ufeff\ufeff3,4\n".encode(), [(1, ["1", "2"]), (3, ["3", "4"])], id="marks"),
        pytest.param('1,2\n\ufeff"x\n3,4\n'.encode(), [(1, ["1", "2"]), (2, Code.BROKEN_QUOTE), (3, ["3", "4"])],
                     id="mark-and-open-quote"),
        pytest.param(b"1," + b"x" * 2000 + b"\n3,4\n", [(1, Code.ROW_TOO_LONG), (2, ["3", "4"])], id="too-long"),
        pytest.param(b"1," + b"x" * 2000 + b"\r\n3,4\r\n", [(1, Code.ROW_TOO_LONG), (2, ["3", "4"])], id="long"),
    ],
)  # fmt: skip
def test_read_records_gives_line_and_fields_or_the_reason(tmp_path: Path, content: bytes, expected: list) -> None:
    assert lines_and_fields(records(tmp_path, content)) == expected


@pytest.mark.parametrize("over", range(-3, 4))
def test_read_records_counts_one_line_if_the_limit_is_between_cr_and_lf(tmp_path: Path, over: int) -> None:
    found = records(tmp_path, b"1," + b"x" * (98 + over) + b"\r\n3,4\r\n", limit=100)
    assert (found[-1].line, found[-1].fields) == (2, ["3", "4"])


def test_read_records_keeps_the_raw_text_of_a_broken_record(tmp_path: Path) -> None:
    long, quote, encoding = records(tmp_path, b"1," + b"x" * 20_000 + b'\n2,"y\n3,\xe9\n', limit=10_500)
    assert (len(long.raw), quote.raw, encoding.raw) == (10_000, '2,"y', "3,\\xe9")
    assert "0xe9 at character 3" in encoding.message


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='",\r\n\ufeff'), max_size=6)
RECORD = st.one_of(
    st.tuples(PLAIN, PLAIN).map(lambda f: (f"x{f[0]},{f[1]}", ["x" + f[0], f[1]])),
    st.tuples(PLAIN, PLAIN).map(lambda f: (f'x{f[0]},"{f[1]}\n{f[1]}"', ["x" + f[0], f"{f[1]}\n{f[1]}"])),
    PLAIN.map(lambda text: (f"x{text},b,c", None)),
    PLAIN.map(lambda text: (f'x{text},"q"q', None)),
)


@given(lines=st.lists(RECORD, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_read_records_refuses_bad_records_only(tmp_path_factory, lines: list) -> None:
    content = "".join(text + "\n" for text, _ in lines).encode()
    found = records(tmp_path_factory.mktemp("csv"), content)
    assert [record.fields for record in found] == [fields for _, fields in lines]
    starts = [1]
    for text, _ in lines[:-1]:
        starts.append(starts[-1] + text.count("\n") + 1)
    assert [record.line for record in found] == starts


def test_read_records_skips_a_huge_line_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "text"
    with path.open("wb") as stream:
        stream.write(b"1,")
        for _ in range(50):
            stream.write(b"x" * 1024**2)
        stream.write(b"\n3,4\n")
    tracemalloc.start()
    found = lines_and_fields(list(read_records(path, CsvSyntax(","), 2, 1024**2)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(1, Code.ROW_TOO_LONG), (2, ["3", "4"])]
    assert peak < 12 * 1024**2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [["Unit Price", "id"], ["id", "unit-price", "note, with; all\t the|rest"]])
def test_sniff_takes_the_delimiter_that_finds_the_columns(
    tmp_path: Path, contract_of, delimiter: str, header: list[str]
) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT), Column("unit_price", ColumnType.FLOAT))
    path = tmp_path / "text"
    path.write_text(delimiter.join(f'"{name}"' for name in header) + "\n1\n")
    assert sniff(path, contract, 1000).delimiter == delimiter
    assert sniff(path, contract, 1000).header == tuple(header)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"\n\n", Code.EMPTY_FILE, id="no-line"),
        pytest.param(b'"id,x\n1,2\n', Code.BROKEN_QUOTE, id="broken-quote"),
        pytest.param(b"id," + b"x" * 2000, Code.ROW_TOO_LONG, id="too-long"),
        pytest.param(b"id,\xff\n", Code.BAD_ENCODING, id="not-utf-8"),
    ],
)
def test_sniff_refuses_a_header_that_cannot_be_read(tmp_path: Path, contract_of, content: bytes, code: Code) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(FileRefusedError) as caught:
        sniff(path, contract_of(), 1000)
    assert caught.value.code is code
