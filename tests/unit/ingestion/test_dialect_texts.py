"""Encodings, lines around the records, names of columns and dates of text files, as a contract declares them."""

import bz2
import codecs
import gzip
import lzma
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.header import map_columns
from include.ingestion.readers import csv_bytes
from include.ingestion.readers.csv_fields import CsvSyntax
from include.ingestion.readers.encoding import other_than_utf_8
from include.ingestion.readers.plain_lines import end_of_records, recoded, with_empty_lines
from include.ingestion.records import FallBackToSlowPath, FileRefusedError

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.INTEGER, required=True)
NAME = Column("name", ColumnType.TEXT)


def loaded(stages, contract, content: bytes) -> tuple[list, list]:
    """Names by row, and line and code of refused rows: the same on both paths."""
    found = []
    for slow in (False, True):
        validated = stages.validate(contract, content, slow=slow)
        rows = [(row["id"], row["name"]) for row in stages.processed(contract, validated)]
        found.append((rows, [(one.source_line, one.code) for one in validated.rejects.first]))
    assert found[0] == found[1]
    return found[0]


TEXTS = {
    "cp1252": "Größe €", "cp1250": "Łódź", "cp1251": "Сергей", "cp1253": "Ώρα", "koi8-r": "Ёж", "cp437": "Café",
    "iso8859-15": "œuvre €", "mac-roman": "naïve", "gb18030": "价格", "big5": "價格", "shift_jis": "価格ソ",
    "euc_kr": "가격", "cp932": "①表", "utf-8": "🙂 é", "utf-16-le": "é🙂", "utf-16-be": "é🙂",
    "utf-32-le": "é🙂", "cp037": "Cafe 1",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
@pytest.mark.parametrize(("encoding", "text"), TEXTS.items(), ids=list(TEXTS))
def test_text_in_a_declared_encoding_is_read_exactly(stages, contract_of, encoding: str, text: str, kind: str) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding=codecs.lookup(encoding).name))
    content = f"id,name\n1,{text}\n" if kind == "csv" else f'{{"id": 1, "name": "{text}"}}\n'
    assert loaded(stages, contract, content.encode(encoding)) == ([(1, text)], [])


@pytest.mark.parametrize(
    ("encoding", "broken"),
    [("cp1252", b"\x81"), ("cp1253", b"\xaa\xd2"), ("ascii", b"\xc3\xa9"), ("gb18030", b"\xff"), ("shift_jis", b"\x80"),
     ("utf-8", b"\xe9"), ("iso8859-7", b"\xff\xae")],
)  # fmt: skip
def test_bytes_that_the_encoding_lacks_refuse_their_row_alone(
    stages, contract_of, encoding: str, broken: bytes
) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding=codecs.lookup(encoding).name))
    content = b"id,name\n1,a" + broken + b"b\n2,c\n"
    assert loaded(stages, contract, content) == ([(2, "c")], [(2, Code.BAD_ENCODING)])
    rejected = stages.validate(contract, content).rejects.first[0]
    assert f"0x{broken[0]:02x} at character 4" in rejected.message
    assert rejected.raw == "1,a" + "".join(f"\\x{byte:02x}" for byte in broken) + "b"


def test_a_byte_order_mark_counts_more_than_the_declared_encoding(stages, contract_of) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding="cp1252"))
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert loaded(stages, contract, "id,name\n1,é\n".encode(encoding)) == ([(1, "é")], [])
    mixed = codecs.BOM_UTF8 + "id,name\n1,é\n2,b\n".encode("cp1252")
    assert loaded(stages, contract, mixed) == ([(2, "b")], [(2, Code.BAD_ENCODING)])


def test_an_undeclared_encoding_is_refused_with_the_line_to_add_to_the_contract(stages, contract_of) -> None:
    content = "id,name\n1,Größe\n".encode("cp1252")
    refusal = stages.refusal(contract_of(ID, NAME), content)
    assert refusal.code is Code.UNDECLARED_ENCODING
    assert "- {property: dialect, value: {encoding: cp1252}}" in refusal.message
    assert loaded(stages, contract_of(ID, NAME, dialect=Dialect(encoding="cp1252")), content) == ([(1, "Größe")], [])
    wide = "id,name\n1,x\n".encode("utf-16-le")
    refusal = stages.refusal(contract_of(ID, NAME), wide)
    assert "{encoding: utf-16-le}" in refusal.message
    assert loaded(stages, contract_of(ID, NAME, dialect=Dialect(encoding="utf-16-le")), wide) == ([(1, "x")], [])


@pytest.mark.parametrize("kind", ["csv", "ndjson", "json"])
@pytest.mark.parametrize("encoding", ["cp1252", "iso8859-1", "cp1251", "koi8-r", "cp850", "mac-roman", "cp874"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast path", "slow path"])
def test_utf_8_under_another_declared_encoding_refuses_the_file(
    stages, contract_of, encoding: str, kind: str, slow: bool
) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding=encoding))
    content = {
        "csv": "id,name\n1,a\n2,Müller\n3,é\n",
        "ndjson": '{"id": 1, "name": "a"}\n{"id": 2, "name": "Müller"}\n',
        "json": '[{"id": 1, "name": "a"},\n\n{"id": 2, "name": "Müller"}]',
    }[kind]
    refusal = stages.refusal(contract, content.encode(), slow=slow)
    line, position = (content[: content.index("ü")].count("\n") + 1, content.index("ü") + 1)
    assert refusal.code is Code.ENCODING_DIFFERS
    assert f"Byte 0xc3 in line {line} (byte {position} of the text)" in refusal.message
    assert "'Müller'. The contract declares " + encoding + ": 'M" in refusal.message
    assert refusal.message.endswith("- {property: dialect, value: {encoding: utf-8}}.")
    assert (refusal.layout.encoding, refusal.sha256 is not None) == (encoding, True)
    rows = stages.rows(contract_of(ID, NAME, dialect=Dialect(encoding="utf-8")), content.encode(), slow=slow)
    assert rows[1]["name"] == "Müller"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        pytest.param("cp1252", b"Caf\xe9", id="accent at the end of a word"),
        pytest.param("cp1252", "MÃ¼ller, Größe".encode("cp1252"), id="one word is UTF-8 by chance"),
        pytest.param("cp1252", "MÃ¼ller ".encode("cp1252") + b"\xc3", id="cut off in a character"),
        pytest.param("cp1252", b"\xc0\xaf", id="overlong"),
        pytest.param("cp1252", b"\xed\xa0\xbd", id="surrogate"),
        pytest.param("cp1251", "Сергей".encode("cp1251"), id="cyrillic"),
        pytest.param("cp1252", b"plain", id="ascii"),
        pytest.param("ascii", b"plain", id="declared ascii"),
        pytest.param(
            "shift_jis", "ﾅｼ".encode("shift_jis"), id="two bytes of Shift JIS that are one character of UTF-8"
        ),
        pytest.param("gb18030", "脗".encode("gb18030"), id="a character of GB 18030 that is one of UTF-8"),
        pytest.param("cp037", b"Ba", id="letters of EBCDIC that are UTF-8"),
    ],
)
def test_text_in_the_declared_encoding_is_never_taken_for_utf_8(
    stages, contract_of, encoding: str, text: bytes
) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding=codecs.lookup(encoding).name))
    if encoding == "cp037":
        content, word = b"".join(part.encode(encoding) for part in ("id,name\n1,", "Ba", "\n")), "Ba"
    else:
        content, word = b'id,name\n1,"' + text + b'"', text.decode(encoding)
    assert loaded(stages, contract, content) == ([(1, word)], [])


def test_ascii_as_declared_refuses_the_rows_with_other_characters_alone(stages, contract_of) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding="ascii"))
    assert loaded(stages, contract, "id,name\n1,é\n2,b\n".encode()) == ([(2, "b")], [(2, Code.BAD_ENCODING)])


@given(
    body=st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\xc3\xbc", b"\xc3", b"\xbc", b"\xe2\x82\xac"]), max_size=9),
    size=st.integers(1, 5),
)
@budget(max_examples=1000, deadline=None)
@example(body=[b"\xc3", b"a", b"\xbc"], size=1)
def test_utf_8_is_found_whatever_the_chunks_are(body: list[bytes], size: int) -> None:
    content = b"".join(body)

    def chunks() -> list[bytes]:
        return [content[at : at + size] for at in range(0, len(content), size)]

    passed: list[bytes] = []
    if "\ufffd" in content.decode("utf-8", "replace") or content.isascii():
        passed.extend(other_than_utf_8(chunks, "cp1252"))
    else:
        first = next(at for at, byte in enumerate(content) if byte > 127)
        line = len(content[:first].decode().splitlines()) + content[:first].endswith((b"\n", b"\r")) or 1
        with pytest.raises(FileRefusedError) as caught:
            passed.extend(other_than_utf_8(chunks, "cp1252"))
        assert f"in line {line} (byte {first + 1} of the text)" in caught.value.message
    assert b"".join(passed) == content


@pytest.mark.parametrize("compression", [gzip.compress, bz2.compress, lzma.compress, lambda content: content])
def test_utf_8_is_found_in_the_last_line_behind_skipped_ones(stages, contract_of, compression) -> None:
    contract = contract_of(ID, NAME, dialect=Dialect(encoding="cp1252", skip_lines=1, footer_lines=1))
    content = ("Export\nid,name\n" + "1,a\n" * 2_000_000 + "1,é\nend\n").encode()
    refusal = stages.refusal(contract, compression(content))
    assert refusal.code is Code.ENCODING_DIFFERS
    position = content.index("é".encode()) + 1
    assert f"in line 2,000,003 (byte {position:,} of the text)" in refusal.message


@pytest.mark.parametrize(
    "content", [bytes(range(32)) * 200, b"\x89PNG\r\n\x1a\n" + bytes(64), b"id,name\n1," + bytes(300)]
)
def test_binary_content_is_refused_in_any_encoding(stages, contract_of, content: bytes) -> None:
    contract = contract_of(ID, Column("name", ColumnType.TEXT), dialect=Dialect(encoding="cp1252", has_header=False))
    with pytest.raises(FileRefusedError) as caught:
        stages.validate(contract, content)
    assert caught.value.code in {Code.UNKNOWN_FORMAT, Code.ERROR_BUDGET_EXCEEDED}


# Bytes


@given(text=st.text("ab\r\n", max_size=30), count=st.integers(1, 5), size=st.integers(1, 7))
@budget(max_examples=300, deadline=None)
def test_first_lines_become_empty_and_all_others_stay(text: str, count: int, size: int) -> None:
    body = text.encode()
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    found = b"".join(with_empty_lines(chunks, count)).decode()
    lines = text.splitlines(keepends=True)
    expected = [line.strip("ab") for line in lines[:count]] + lines[count:]
    assert found == "".join(expected)


@given(text=st.text("ab \r\n", max_size=40), footer=st.integers(1, 4), skipped=st.integers(0, 3))
@budget(max_examples=400, deadline=None)
def test_last_lines_are_cut_off(tmp_path_factory, monkeypatch_piece, text: str, footer: int, skipped: int) -> None:
    lines = ["\n"] * skipped + text.splitlines(keepends=True)
    path = tmp_path_factory.getbasetemp() / "footer"
    path.write_bytes("".join(lines).encode())
    kept = lines[skipped:]
    while kept and not kept[-1].strip():
        kept.pop()
    kept = lines[:skipped] + kept[: max(0, len(kept) - footer)]
    assert path.read_bytes()[: end_of_records(path, footer, skipped)].decode() == "".join(kept)


@pytest.fixture(scope="module")
def monkeypatch_piece():
    """Read the end of a file in pieces of three bytes."""
    from include.ingestion.readers import plain_lines

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_lines, "_TAIL_BYTES", 3)
        yield


@given(text=st.text(), size=st.integers(1, 5), encoding=st.sampled_from(["gb18030", "utf-16-le", "utf-32-be", "utf-8"]))
@budget(max_examples=200, deadline=None)
def test_a_text_is_recoded_whatever_the_chunks_are(text: str, size: int, encoding: str) -> None:
    body = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert b"".join(recoded(chunks, encoding)) == b"".join(recoded([body], encoding))


SYNTAX = CsvSyntax(",", escape="\\", comment="#", nulls=frozenset({"\\N"}))


@given(parts=st.lists(st.sampled_from(["\\", "a", '"', ",", "\n", "\\\\", "\\N"]), max_size=14), size=st.integers(1, 4))
@budget(max_examples=400, deadline=None)
def test_escapes_are_found_whatever_the_chunks_are(parts: list[str], size: int) -> None:
    body = "".join(parts).encode()
    escapes = csv_bytes._Escapes("\\")
    masked = b"".join(escapes.masked(body[at : at + size]) for at in range(0, len(body), size))
    expected, at = bytearray(body), 0
    while at < len(body):
        if body[at : at + 1] == b"\\":
            expected[at + 1 : at + 2] = b"x"[: len(body) - at - 1]
            at += 1
        at += 1
    assert masked == bytes(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,\\N\n\\N,b\n", True), ("\\N", True), ("\\N,\\N\r\n", True), ("a\\N,b\n", False), ("\\Na,b\n", False),
        ("\\n,b\n", False), ("\\\\N,b\n", False), ('"a",\\N\n', False), ("a,b\\", False), ("a,\\", False),
    ],
)  # fmt: skip
def test_escapes_that_only_begin_nulls(tmp_path: Path, monkeypatch, content: str, expected: bool) -> None:
    path = tmp_path / "text"
    path.write_text(content, newline="")
    for size in (1, 2, 3, 4 * 1024**2):
        monkeypatch.setattr(csv_bytes, "_CHUNK_BYTES", size)
        assert csv_bytes.escapes_only_nulls(path, SYNTAX) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("#a\nb\n", "\nb\n"), ("b\r#a\r#\r\nc", "b\r\r\r\nc"), ('b,"x\n#y"\n#z"\nc', 'b,"x\n#y"\n\nc'),
        ('#"\n#"\nb,"\n#"\n', '\n\nb,"\n#"\n'), ("a#b\n #c\n", "a#b\n #c\n"),
    ],
)  # fmt: skip
def test_comments_become_empty_lines(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(content.encode())
    syntax = CsvSyntax(",", comment="#")
    assert csv_bytes.without_comments(path, syntax).read_bytes().decode() == expected
    if content == expected:
        assert csv_bytes.without_comments(path, syntax) == path


def test_comments_beside_escapes_are_for_the_slow_path(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"#a\n\\b\n")
    with pytest.raises(FallBackToSlowPath):
        csv_bytes.without_comments(path, SYNTAX)


# Names of columns


def test_source_names_are_exact_and_come_first(contract_of) -> None:
    columns = (
        Column("id", ColumnType.INTEGER, required=True, source_names=("% Rabatt", "Größe (m)")),
        Column("name", ColumnType.TEXT, source_names=("title",)),
        Column("title", ColumnType.TEXT, source_names=("Name",)),
    )
    contract = contract_of(*columns, unknown_columns=UnknownColumns.IGNORE)
    given = ["\ufeff% Rabatt ", "Name", "title", "% rabatt", "Rabatt"]
    assert map_columns(given, contract, 10).names == ("id", "title", "name", None, None)
    assert map_columns(["ID", "TITLE", "NAME"], contract, 10).names == ("id", "title", "name")
    for twice in (["% Rabatt", "Größe (m)"], ["id", "Gro\u0308ße (m)"]):
        with pytest.raises(FileRefusedError) as caught:
            map_columns(twice, contract, 10)
        assert caught.value.code is Code.DUPLICATE_COLUMNS


@pytest.mark.parametrize(
    "content", [b"% Rabatt;Name\n1;x\n", b'{"% Rabatt": 1, "Name": "x"}\n', b'[{"% Rabatt": 1, "Name": "x"}]']
)
def test_source_names_hold_in_every_text_format(stages, contract_of, content: bytes) -> None:
    columns = (
        Column("id", ColumnType.INTEGER, required=True, source_names=("% Rabatt",)),
        Column("name", ColumnType.TEXT, required=True),
    )
    assert loaded(stages, contract_of(*columns), content) == ([(1, "x")], [])


# Dates


@pytest.mark.parametrize("kind", [ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ])
def test_dates_before_1900_are_refused_unless_the_column_has_a_minimum(stages, contract_of, kind: ColumnType) -> None:
    content = b"id,name\n1,1899-12-31\n2,1900-01-01\n3,0001-04-02\n"
    contract = contract_of(ID, Column("name", kind))
    rows, refused = loaded(stages, contract, content)
    assert ([number for number, _ in rows], refused) == ([2], [(2, Code.IMPLAUSIBLE_DATE), (4, Code.IMPLAUSIBLE_DATE)])
    minimum = {ColumnType.DATE: "1800-01-01", ColumnType.TIMESTAMP: "1800-01-01T00:00:00"}.get(
        kind, "1800-01-01T00:00:00Z"
    )
    rows, refused = loaded(stages, contract_of(ID, Column("name", kind, minimum=minimum)), content)
    assert ([number for number, _ in rows], refused) == ([1, 2], [(4, Code.OUT_OF_RANGE)])
    lines = b'{"id": 1, "name": "1899-12-31"}\n{"id": 2, "name": "1900-01-01"}\n'
    assert loaded(stages, contract, lines)[1] == [(1, Code.IMPLAUSIBLE_DATE)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("31.12.69", date(1969, 12, 31)), ("01.01.99", date(1999, 1, 1)), ("01.01.00", date(2000, 1, 1)),
     ("31.12.68", date(2068, 12, 31)), ("1.2.26", date(2026, 2, 1)), ("01.01.2026", None), ("01.01.026", None)],
)  # fmt: skip
def test_years_of_two_digits_have_a_pivot(stages, contract_of, text: str, expected: date | None) -> None:
    contract = contract_of(ID, Column("name", ColumnType.DATE, formats=("%d.%m.%y",)))
    rows, refused = loaded(stages, contract, f"id,name\n1,{text}\n2,02.01.70\n".encode())
    good = [(2, date(1970, 1, 2))]
    assert (rows, refused) == (([(1, expected), *good], []) if expected else (good, [(2, Code.BAD_DATE)]))


def test_times_with_formats_are_read_on_the_fast_path(stages, contract_of) -> None:
    for kind, zone in ((ColumnType.TIMESTAMP, ""), (ColumnType.TIMESTAMPTZ, " +0200")):
        contract = contract_of(ID, Column("name", kind, formats=("%d/%m/%Y %H:%M" + (" %z" if zone else ""),)))
        content = f"id,name\n1,31/01/2026 12:30{zone}\n2,\n3,2026-01-31 10:30\n".encode()
        rows, _ = loaded(stages, contract, content)
        assert stages.validate(contract, content).path_taken == "fast"
        assert [value and value.replace(tzinfo=None) for _, value in rows] == [
            datetime(2026, 1, 31, 10 if zone else 12, 30),  # noqa: DTZ001
            None,
            datetime(2026, 1, 31, 10, 30),  # noqa: DTZ001
        ]
