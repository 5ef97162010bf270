"""The content determines the format of a file; its name is not used."""

import bz2
import gzip
import lzma
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from include.contracts.model import Column, ColumnType, Contract
from include.errors import Code
from include.ingestion.compression import compression_of, expanded
from include.ingestion.readers.detect import HEAD_BYTES, detect
from include.ingestion.readers.encoding import refuse_other_than_utf_8
from include.ingestion.records import FileFormat, FileRefusedError, Layout
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

CSV = b"id,name\n1,Ada\n2,Grace\n"
ACCENTS = "id,name\n1,Zoë\n2,Façade\n"
JSON = b'[\n{"id": 1},\n{"id": 2}\n]\n'
NDJSON = b'{"id": 1}\n{"id": 2}\n'
CONTRACT = Contract(
    dataset="things",
    version="1.0.0",
    description="",
    columns=(Column("id", ColumnType.TEXT, required=True), Column("x", ColumnType.TEXT)),
    key=("id",),
    newest_by=None,
    path=Path("things.yaml"),
)
LIMITS = IngestSettings(max_row_bytes=2 * HEAD_BYTES)


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["1", "2"]}), sink)
    return sink.getvalue().to_pybytes()


def detected(tmp_path: Path, content: bytes, name: str = "dropped") -> Layout:
    path = tmp_path / name
    path.write_bytes(content)
    return detect(path, CONTRACT, LIMITS)


def refused(tmp_path: Path, content: bytes) -> FileRefusedError:
    with pytest.raises(FileRefusedError) as caught:
        detected(tmp_path, content)
    return caught.value


LONG = b"x" * HEAD_BYTES


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet", "a.png", "a"])
@pytest.mark.parametrize(
    ("content", "layout"),
    [
        pytest.param(CSV, Layout(FileFormat.CSV), id="csv"),
        pytest.param(JSON, Layout(FileFormat.JSON), id="json"),
        pytest.param(NDJSON, Layout(FileFormat.NDJSON), id="ndjson"),
        pytest.param(parquet(), Layout(FileFormat.PARQUET), id="parquet"),
        pytest.param(gzip.compress(CSV), Layout(FileFormat.CSV, "gzip"), id="csv-gzip"),
        pytest.param(zstandard.compress(NDJSON), Layout(FileFormat.NDJSON, "zstd"), id="ndjson-zstd"),
        pytest.param(bz2.compress(CSV), Layout(FileFormat.CSV, "bzip2"), id="csv-bzip2"),
        pytest.param(lzma.compress(NDJSON), Layout(FileFormat.NDJSON, "xz"), id="ndjson-xz"),
        pytest.param(
            b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstandard.compress(CSV), Layout(FileFormat.CSV, "zstd"), id="csv-pzstd"
        ),
    ],
)
def test_detect_uses_the_content_and_not_the_name(tmp_path: Path, name: str, content: bytes, layout: Layout) -> None:
    assert detected(tmp_path, content, name) == layout


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b'[{"a": 1}]', FileFormat.JSON, id="array-on-one-line"),
        pytest.param(b"[]", FileFormat.JSON, id="empty-array"),
        pytest.param(b'[null, 7, "x", {"a": 1}]', FileFormat.JSON, id="array-that-begins-with-something-else"),
        pytest.param(b' \n [ \n {"a": 1}]', FileFormat.JSON, id="array-after-blanks"),
        pytest.param(b'{\n  "a": 1,\n  "b": 2\n}\n', FileFormat.JSON, id="pretty-printed-object"),
        pytest.param(b'{"a": 1,\n "b": 2}\n', FileFormat.JSON, id="object-over-two-lines"),
        pytest.param(b'{"a": 1}', FileFormat.NDJSON, id="one-line-without-end"),
        pytest.param(b'{"a": 1\n{"a": 2}\n', FileFormat.NDJSON, id="first-line-broken"),
        pytest.param(b'{"a": "' + LONG + b'"}\n', FileFormat.NDJSON, id="first-line-beyond-the-head"),
        pytest.param(b"[id],name\n1,2\n", FileFormat.CSV, id="csv-that-begins-with-a-bracket"),
        pytest.param(b'"id","name"\n', FileFormat.CSV, id="csv-in-quotes"),
        pytest.param(b"ORCID,name\n1,Ada\n", FileFormat.CSV, id="csv-that-begins-like-orc"),
        pytest.param(b"BZhour,name\n1,Ada\n", FileFormat.CSV, id="csv-that-begins-like-bzip2"),
        pytest.param(b"PAR1,name\n1,Ada\n", FileFormat.CSV, id="csv-that-begins-like-parquet"),
    ],
)
def test_detect_distinguishes_text_formats(tmp_path: Path, content: bytes, kind: FileFormat) -> None:
    assert detected(tmp_path, content).format is kind


BAD_LINES = {
    "single-quotes": b"{'id':'1'}",
    "no-quotes": b"{id:1}",
    "comma": b"{,}",
    "bracket": b"{",
    "brackets-one-too-many": b"{}}",
    "raw-line-end-in-a-text": b'{"id":"1","x":"a\nb"}',
    "cut-in-a-text": b'{"id":"1","x":"a',
    "cut-after-a-colon": b'{"id":"1","x":',
    "cut-after-a-comma": b'{"id":"1",',
    "cut-in-an-array": b'{"id":"1","x":[1,',
    "without-its-beginning": b'"id":"1"}',
    "null": b"null",
    "array": b"[1,2]",
    "empty-array": b"[]",
    "array-of-an-object": b'[{"id":"1"}]',
    "text": b'"a"',
    "words": b"ERROR: timeout",
    "words-and-a-comma": b"ERROR, after 5 s",
    "several": b"ERROR\nnull\n{\n{,}",
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("line", BAD_LINES.values(), ids=list(BAD_LINES))
def test_detect_recognises_ndjson_with_any_first_line(tmp_path: Path, line: bytes, line_end: bytes) -> None:
    content = (line + b'\n\n{"id":"2","x":2}\n').replace(b"\n", line_end)
    assert detected(tmp_path, content).format is FileFormat.NDJSON
    assert detected(tmp_path, content + NDJSON * HEAD_BYTES).format is FileFormat.NDJSON


@pytest.mark.parametrize("around", [b'{"id":%s}\n{"id":2}\n', b'{\n{"id":%s}\n', b'ERROR\n{"id":%s}\n'])
def test_detect_reads_no_number(tmp_path: Path, around: bytes) -> None:
    """Python's parser refuses integers of over 4,300 digits."""
    for number in (b"9" * 5_000, b"1e999999999"):
        assert detected(tmp_path, around % number).format is FileFormat.NDJSON


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b'{"id":1,\n"x":[\n{"id":1},\n{"id":2}\n]}', FileFormat.JSON, id="objects-within-an-object"),
        pytest.param(b'{"x":[\n{"id":1},\n{"id":2}\n]}', FileFormat.JSON, id="objects-after-the-first-line"),
        pytest.param(b'{"x":\n{"id":1}\n}\n{"x":\n{"id":1}\n}', FileFormat.JSON, id="object-after-a-colon"),
        pytest.param(b'{"x": {"id":1}\n,"y":2}', FileFormat.JSON, id="first-line-ends-as-an-object"),
        pytest.param(b'{\n"id":NaN,\n"x":1,}\n', FileFormat.JSON, id="broken-object-over-lines"),
        pytest.param(b'{\n"id":1,,\n"x":[\n{"id":1},\n{"id":2}\n]}', FileFormat.JSON, id="objects-within-a-broken-one"),
        pytest.param(b'{\n"id":1,\n"x":[\n{"id":1}', FileFormat.JSON, id="cut-off-after-an-object"),
        pytest.param(b'{\n"x": [\n' + b'{"id":1},\n' * HEAD_BYTES, FileFormat.JSON, id="document-beyond-the-head"),
        pytest.param(b'[{"id":1},\n{"id":2}\n]', FileFormat.JSON, id="array-over-lines"),
        pytest.param(b'[\n{"id":NaN},\n{"id":2}\n]', FileFormat.JSON, id="broken-array-over-lines"),
        pytest.param(b'[{"id":1}]\n[{"id":2}]\n', FileFormat.JSON, id="arrays-one-after-another"),
        pytest.param(b"{'id':'1'}", FileFormat.NDJSON, id="one-bad-line"),
        pytest.param(b'{"id":1},\n{"id":2},\n', FileFormat.NDJSON, id="lines-with-commas"),
        pytest.param(b'id,x\n{"a":1}\n{"id":"2","x":2}\n', FileFormat.CSV, id="csv-of-objects"),
        pytest.param(b'x\n{"id":1}\n', FileFormat.CSV, id="csv-of-one-column-of-objects"),
        pytest.param(b'\n"a";"X"\n{"id":1}\n', FileFormat.CSV, id="csv-with-one-known-column"),
        pytest.param(b'"a\nb"|id\n{"id":1}\n', FileFormat.CSV, id="csv-with-a-line-end-in-its-header"),
        pytest.param(b'a,b\n{"c":1}\n', FileFormat.CSV, id="csv-of-nothing-known"),
    ],
)
def test_detect_recognises_documents_and_csv_in_which_lines_are_objects(
    tmp_path: Path, content: bytes, kind: FileFormat
) -> None:
    assert detected(tmp_path, content).format is kind


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b'{"x":"' + LONG + b'"}\n{"id":"2","x":NaN}\n{"id":', FileFormat.NDJSON, id="within-the-limit"),
        pytest.param(b'{"x":"' + LONG * 4 + b'"}\n{"id":"2"}\n', FileFormat.NDJSON, id="beyond-the-limit"),
        pytest.param(b'{"x":"' + LONG + b'",}\n{"id":"2"}\n', FileFormat.NDJSON, id="broken"),
        pytest.param(b"ERROR " + LONG + b'\n{"id":"2"}\n', FileFormat.NDJSON, id="words"),
        pytest.param(b'{"x":"' + LONG + b'",\n"id":"2"\n}\n', FileFormat.JSON, id="object-over-lines"),
        pytest.param(b'{"id":"1"}' * HEAD_BYTES, FileFormat.JSON, id="many-objects-on-one-line"),
        pytest.param(b'[{"x":"' + LONG + b'"},\n{"id":"2"}\n]', FileFormat.JSON, id="array"),
        pytest.param(b"id," + LONG + b'\n{"id":"2"}\n', FileFormat.CSV, id="header"),
    ],
)
def test_detect_considers_the_lines_after_a_first_line_beyond_the_head(
    tmp_path: Path, content: bytes, kind: FileFormat, encoding: str
) -> None:
    assert detected(tmp_path, content.decode().encode(encoding)).format is kind


CONTROLS = {
    "nul": b"a\0b",
    "stx": b"\x02",
    "unit-separators": b"a\x1fb\x1fc",
    "block-of-nuls": bytes(200),
    "nul-at-every-other-byte": b"a\0" * 200,
}


@pytest.mark.parametrize(
    ("around", "kind"),
    [
        pytest.param(b"id,x\n1,%s\n2,ok\n", FileFormat.CSV, id="csv"),
        pytest.param(b"ORCID,id\n%s,1\n", FileFormat.CSV, id="csv-that-begins-like-orc"),
        pytest.param(b"PAR1,id\n%s,1\n", FileFormat.CSV, id="csv-that-begins-like-parquet"),
        pytest.param(b'{"id":"1","x":"%s"}\n{"id":"2"}\n', FileFormat.NDJSON, id="ndjson"),
        pytest.param(b'[{"id":"1","x":"%s"}]', FileFormat.JSON, id="json"),
    ],
)
@pytest.mark.parametrize("cell", CONTROLS.values(), ids=list(CONTROLS))
def test_detect_takes_controls_in_a_small_text_for_text(
    tmp_path: Path, around: bytes, kind: FileFormat, cell: bytes
) -> None:
    assert detected(tmp_path, around % cell) == Layout(kind)


def test_detect_takes_few_controls_under_an_unknown_header_for_text(tmp_path: Path) -> None:
    assert detected(tmp_path, b"a,b\n1,\x02\x02\n2,\xc3\xa9\n") == Layout(FileFormat.CSV)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        pytest.param(ACCENTS.encode(), "utf-8", id="utf-8"),
        pytest.param(ACCENTS.encode("utf-8-sig"), "utf-8", id="utf-8-marked"),
        pytest.param(ACCENTS.encode("utf-16"), "utf-16", id="utf-16-le-marked"),
        pytest.param("\ufeff".encode("utf-16-be") + ACCENTS.encode("utf-16-be"), "utf-16", id="utf-16-be-marked"),
        pytest.param(ACCENTS.encode("utf-32"), "utf-32", id="utf-32-le-marked"),
        pytest.param("\ufeff".encode("utf-32-be") + ACCENTS.encode("utf-32-be"), "utf-32", id="utf-32-be-marked"),
        pytest.param(b"id,name\n1,caf\xe9\n" * 9 + "2,é\n".encode(), "utf-8", id="utf-8-after-broken-bytes"),
        pytest.param(b"\xef\xbb\xbfid,name\n1,caf\xe9\n", "utf-8", id="utf-8-marked-with-a-broken-byte"),
        pytest.param(ACCENTS.encode() + b"3,caf\xff\n", "utf-8", id="utf-8-with-a-broken-byte"),
    ],
)
def test_detect_finds_the_encoding(tmp_path: Path, content: bytes, encoding: str) -> None:
    assert detected(tmp_path, content).encoding == encoding


def russian(encoding: str) -> bytes:
    return "id,name\n1,Сергей Иванович\n2,Анна Петровна\n".encode(encoding)


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        pytest.param(ACCENTS.encode("latin-1"), "0xeb in line 2 (byte 13 ", ["cp1252 ('Zoë')"], id="latin-1"),
        pytest.param(russian("cp1251"), "0xd1 in line 2 (byte 11 ", ["cp1251 ('Сергей')"], id="cp1251"),
        pytest.param(
            "id,n\n1,Анна\n".encode("cp1251"), "in line 2", ["Likely encodings: cp1251 ('Анна')"], id="one-word"
        ),
        pytest.param(russian("koi8_r"), "0xf3 in line 2 (byte 11 ", ["koi8_r ('Сергей')"], id="koi8-r"),
        pytest.param("id,name\n1,東京都\n".encode("cp932"), "in line 2", ["cp932 ('東京都')"], id="shift-jis"),
        pytest.param("id,price\n1,5 €\n".encode("cp1252"), "0x80 in line 2", ["cp1252 ('€')"], id="euro"),
        pytest.param(
            "id,name\r1,a\r\n2,café".encode("latin-1"), "0xe9 in line 3 (byte 19 ", ["cp1252"], id="last-byte"
        ),
        pytest.param(gzip.compress(ACCENTS.encode("latin-1")), "0xeb in line 2 (byte 13 ", ["cp1252"], id="compressed"),
        pytest.param(
            b'{"a": "caf\xe9"}\n', "0xe9 in line 1 (byte 11 ", ["Likely encodings: cp1252 ('café')"], id="ndjson"
        ),
        pytest.param(CSV + b"3,cut \xc3", "0xc3 in line 4", [], id="cut-character"),
        pytest.param(ACCENTS.encode("utf-16-le"), "looks like UTF-16 (little-endian) without", [], id="utf-16-le"),
        pytest.param(ACCENTS.encode("utf-16-be"), "looks like UTF-16 (big-endian) without", [], id="utf-16-be"),
        pytest.param(ACCENTS.encode("utf-32-le"), "looks like UTF-32 (little-endian) without", [], id="utf-32-le"),
        pytest.param(ACCENTS.encode("utf-32-be"), "looks like UTF-32 (big-endian) without", [], id="utf-32-be"),
        pytest.param(
            ("id,name\n" + "1,東京都千代田区\n" * 9).encode("utf-16-le"),
            "UTF-16 (little-endian)",
            [],
            id="utf-16-le-cjk",
        ),
        pytest.param(
            ("id,name\n" + "1,Сергей Иванович\n" * 9).encode("utf-16-be"), "UTF-16 (big-endian)", [], id="utf-16-be-ru"
        ),
        pytest.param(
            ('[{"id": "' + "東京都" * 30 + '"}]').encode("utf-16-le"), "UTF-16 (little-endian)", [], id="utf-16-le-json"
        ),
        pytest.param(
            ("id;name\n" + "1;東京都千代田区\n" * 9).encode("utf-32-be"), "UTF-32 (big-endian)", [], id="utf-32-be-cjk"
        ),
    ],
)
def test_detect_refuses_an_encoding_that_nothing_declares(
    tmp_path: Path, content: bytes, where: str, words: list[str]
) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code is Code.UNDECLARED_ENCODING
    assert where in refusal.message
    assert [word for word in words if word not in refusal.message] == []


def test_detect_finds_a_bad_byte_in_the_last_line_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    line = b"17,a name without accents,2026-01-31,12.50\n"
    with path.open("wb") as stream:
        for _ in range(64):
            stream.write(line * 25_000)
        stream.write(b"18,caf\xe9,2026-01-31,12.50\n")
    tracemalloc.start()
    with pytest.raises(FileRefusedError) as caught:
        detect(path, CONTRACT, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code is Code.UNDECLARED_ENCODING
    assert "in line 1,600,001 (byte 68,800,007 of the text)" in caught.value.message
    assert peak < 24 * 1024**2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_refuse_other_than_utf_8_finds_characters_split_between_two_chunks(size: int) -> None:
    def pieces(text: bytes) -> list[bytes]:
        return [text[at : at + size] for at in range(0, len(text), size)]

    refuse_other_than_utf_8(lambda: pieces(b"a\xff\r\nb" + "c😀d".encode()))
    with pytest.raises(FileRefusedError, match=r"0xff in line 5 \(byte 9 of"):
        refuse_other_than_utf_8(lambda: pieces(b"a\r\nb\rc\n\r\xffd\xc3e"))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(64), "PNG", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(64), "JPEG", id="jpeg"),
        pytest.param(b"GIF89a" + bytes(64), "GIF", id="gif"),
        pytest.param(b"%PDF-1.7\n", "PDF", id="pdf"),
        pytest.param(b"7z\xbc\xaf\x27\x1c" + bytes(64), "7-Zip", id="7-zip"),
        pytest.param(b"SQLite format 3\0" + bytes(64), "SQLite", id="sqlite"),
        pytest.param(b"\x7fELF" + bytes(64), "program", id="elf"),
        pytest.param(gzip.compress(b"PK\x03\x04" + bytes(64)), "ZIP or Excel inside gzip", id="zip-inside-gzip"),
        pytest.param(lzma.compress(b"Obj\x01" + bytes(64)), "Avro inside xz", id="avro-inside-xz"),
        pytest.param(bz2.compress(b"ARROW1\0\0" + bytes(64)), "Arrow inside bzip2", id="arrow-inside-bzip2"),
        pytest.param(b"FEA1" + bytes(64), "Feather 1", id="feather-1"),
        pytest.param(gzip.compress(parquet()), "Parquet inside gzip", id="parquet-inside-gzip"),
        pytest.param(random.Random(1).randbytes(50_000), "binary", id="binary"),
        pytest.param(random.Random(2).randbytes(60), "binary", id="small-binary"),
        pytest.param(b"\x01\x02\x03a", "binary", id="hardly-anything-but-controls"),
        pytest.param(b"P6\n4 4\n255\n" + bytes(48), "binary", id="binary-after-lines-of-text"),
        pytest.param(b"MZ\x90\0\x03\0\0\0" + b"This program cannot be run" + bytes(32), "binary", id="exe"),
        pytest.param(gzip.compress(b"ORC\x01id,x" + bytes(64)), "ORC", id="orc-inside-gzip"),
    ],
)
def test_detect_names_the_format_of_a_foreign_file(tmp_path: Path, content: bytes, word: str) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code is Code.UNKNOWN_FORMAT
    assert word in refusal.message
    assert "CSV" in refusal.remedy or "Parquet" in refusal.remedy or refusal.remedy.endswith("file as it is.")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="no-bytes"),
        pytest.param(b" \r\n\t\n", id="blanks"),
        pytest.param(bytes(100), id="nuls"),
        pytest.param(gzip.compress(b""), id="gzip-of-nothing"),
        pytest.param(zstandard.compress(b""), id="zstd-of-nothing"),
        pytest.param(bz2.compress(b""), id="bzip2-of-nothing"),
        pytest.param(lzma.compress(b""), id="xz-of-nothing"),
        pytest.param(b"\xef\xbb\xbf", id="only-a-utf-8-mark"),
        pytest.param(b"\xff\xfe\n\0", id="only-a-utf-16-mark"),
    ],
)
def test_detect_calls_a_file_without_content_empty(tmp_path: Path, content: bytes) -> None:
    assert refused(tmp_path, content).code is Code.EMPTY_FILE


NOISE = b"".join(f"{number},{number * 7919 % 10007}\n".encode() for number in range(20_000))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(parquet()[:-5], id="parquet"),
        pytest.param(b"PAR1", id="parquet-of-four-bytes"),
        pytest.param(gzip.compress(NOISE)[: len(gzip.compress(NOISE)) // 2], id="gzip"),
        pytest.param(gzip.compress(CSV)[:-4], id="gzip-without-its-length"),
        pytest.param(gzip.compress(CSV)[:5], id="gzip-of-five-bytes"),
        pytest.param(zstandard.compress(NOISE)[: len(zstandard.compress(NOISE)) // 2], id="zstd"),
        pytest.param(zstandard.compress(CSV)[:-3], id="zstd-without-its-end"),
        pytest.param(zstandard.compress(CSV)[:5], id="zstd-of-five-bytes"),
        pytest.param(bz2.compress(NOISE)[: len(bz2.compress(NOISE)) // 2], id="bzip2"),
        pytest.param(bz2.compress(CSV)[:-1], id="bzip2-without-its-last-byte"),
        pytest.param(bz2.compress(CSV)[:5], id="bzip2-of-five-bytes"),
        pytest.param(bz2.compress(CSV) + bz2.compress(CSV)[:-3], id="bzip2-whose-second-stream-is-cut"),
        pytest.param(lzma.compress(NOISE)[: len(lzma.compress(NOISE)) // 2], id="xz"),
        pytest.param(lzma.compress(CSV)[:-1], id="xz-without-its-last-byte"),
        pytest.param(lzma.compress(CSV)[:5], id="xz-of-five-bytes"),
    ],
)
def test_detect_refuses_a_file_that_was_cut_off(tmp_path: Path, content: bytes) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code is Code.TRUNCATED_FILE
    assert "again" in refusal.remedy


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x1f\x8b" + b"nonsense" * 20, id="gzip-in-name-only"),
        pytest.param(gzip.compress(CSV) + b"tail", id="gzip-and-a-tail"),
        pytest.param(gzip.compress(CSV)[:-8] + bytes(8), id="gzip-of-another-sum"),
        pytest.param(zstandard.compress(CSV) + b"tail", id="zstd-and-a-tail"),
        pytest.param(bz2.compress(CSV) + b"tail", id="bzip2-and-a-tail"),
        pytest.param(bz2.compress(CSV)[:-4] + bytes(4), id="bzip2-of-another-sum"),
        pytest.param(lzma.compress(CSV) + b"tail" * 5, id="xz-and-a-tail"),
        pytest.param(lzma.compress(CSV) + b"\0" * 4 + b"tail" * 5, id="xz-and-padding-and-a-tail"),
        pytest.param(b"\xfd7zXZ\0" + bytes(64), id="xz-in-name-only"),
    ],
)
def test_detect_distinguishes_damage_from_a_missing_end(tmp_path: Path, content: bytes) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code is Code.UNREADABLE_FILE
    assert "is damaged: " in refusal.message


EXCEL_2003 = (
    '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
    '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet/></Workbook>'
)
MARKUP = {
    "html": ("<html><body><table><tr><td>id</td></tr></table></body></html>", "HTML"),
    "html-in-capitals": ("\r\n <HTML>\n<table>", "HTML"),
    "doctype": ('<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN">\n<html>', "HTML"),
    "table": ("<table border=1>\n<tr><td>1</td></tr>", "HTML"),
    "comment-first": ("<!-- exported --><meta charset=utf-8><table>", "HTML"),
    "xhtml": ('<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>', "HTML"),
    "excel-2003": (EXCEL_2003, "Excel 2003"),
    "xml": ('<?xml version="1.0"?>\n<rows><row id="1"/></rows>', "is XML."),
    "mhtml": ("MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n--x", "MHTML"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(("text", "word"), MARKUP.values(), ids=list(MARKUP))
def test_detect_refuses_markup_and_says_how_to_save_it(tmp_path: Path, text: str, word: str, encoding: str) -> None:
    body = f"{text}<!-- Größe -->" if encoding == "cp1252" else text
    refusal = refused(tmp_path, body.encode(encoding))
    assert (refusal.code, word in refusal.message) == (Code.UNKNOWN_FORMAT, True)
    assert "CSV" in refusal.remedy


@pytest.mark.parametrize("text", ["<x>,id\n1,2\n", "<table>;id\n1;2\n", "<html>\tid\n1\t2\n"])
def test_detect_takes_a_header_that_begins_like_markup_for_csv(tmp_path: Path, text: str) -> None:
    assert detected(tmp_path, text.encode()).format is FileFormat.CSV


@pytest.mark.parametrize("press", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
@pytest.mark.parametrize("padding", [b"", b"\0" * 4, b"\0" * 400_000], ids=["none", "four-bytes", "long"])
def test_expanded_reads_every_stream_of_a_file(tmp_path: Path, press: Callable[[bytes], bytes], padding: bytes) -> None:
    """The standard library ends silently where padding or a damaged stream follows."""
    path = tmp_path / "x"
    path.write_bytes(press(CSV) + padding + press(b"") + press(NOISE) + padding)
    found = compression_of(path.read_bytes()[:16])
    assert b"".join(expanded(path, found)) == CSV + NOISE


def test_expanded_refuses_a_dictionary_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(_with_dictionary(lzma.compress(CSV, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])))
    with pytest.raises(zlib.error, match="Memory"):
        b"".join(expanded(path, "xz"))


def _with_dictionary(body: bytes) -> bytes:
    """The file with a block header that asks for a dictionary of 4 GB (the last value of the format)."""
    size = (body[12] + 1) * 4
    header = bytearray(body[12 : 12 + size - 4])
    header[header.index(b"\x21\x01") + 2] = 40
    return body[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "little") + body[12 + size :]
