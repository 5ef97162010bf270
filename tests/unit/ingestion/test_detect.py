"""The content decides what a file is; its name is never looked at."""

import gzip
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from include.errors import Code
from include.ingestion.detect import HEAD_BYTES, detect
from include.ingestion.records import FileFormat, FileRefusedError, Layout

pytestmark = pytest.mark.unit

CSV = b"id,name\n1,Ada\n2,Grace\n"
ACCENTS = "id,name\n1,Zoë\n2,Façade\n"
JSON = b'[\n{"id": 1},\n{"id": 2}\n]\n'
NDJSON = b'{"id": 1}\n{"id": 2}\n'


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["1", "2"]}), sink)
    return sink.getvalue().to_pybytes()


def looked_at(tmp_path: Path, content: bytes, name: str = "dropped") -> Layout:
    path = tmp_path / name
    path.write_bytes(content)
    return detect(path, 10**9)


def refused(tmp_path: Path, content: bytes) -> FileRefusedError:
    with pytest.raises(FileRefusedError) as caught:
        looked_at(tmp_path, content)
    return caught.value


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
    ],
)
def test_detect_goes_by_the_content_whatever_the_name(
    tmp_path: Path, name: str, content: bytes, layout: Layout
) -> None:
    assert looked_at(tmp_path, content, name) == layout


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
        pytest.param(b'{"a": "' + b"x" * HEAD_BYTES + b'"}\n', FileFormat.JSON, id="first-line-beyond-the-head"),
        pytest.param(b"[id],name\n1,2\n", FileFormat.CSV, id="csv-that-begins-with-a-bracket"),
        pytest.param(b'"id","name"\n', FileFormat.CSV, id="csv-in-quotes"),
        pytest.param(b"ORCID,name\n1,Ada\n", FileFormat.CSV, id="csv-that-begins-like-orc"),
        pytest.param(b"BZhour,name\n1,Ada\n", FileFormat.CSV, id="csv-that-begins-like-bzip2"),
        pytest.param(b"PAR1,name\n1,Ada\n", FileFormat.CSV, id="csv-that-begins-like-parquet"),
    ],
)
def test_detect_tells_text_formats_apart(tmp_path: Path, content: bytes, kind: FileFormat) -> None:
    assert looked_at(tmp_path, content).format is kind


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        pytest.param(ACCENTS.encode(), "utf-8", id="utf-8"),
        pytest.param(ACCENTS.encode("utf-8-sig"), "utf-8", id="utf-8-marked"),
        pytest.param(ACCENTS.encode("utf-16"), "utf-16", id="utf-16-le-marked"),
        pytest.param("\ufeff".encode("utf-16-be") + ACCENTS.encode("utf-16-be"), "utf-16", id="utf-16-be-marked"),
        pytest.param(ACCENTS.encode("utf-16-le"), "utf-16-le", id="utf-16-le"),
        pytest.param(ACCENTS.encode("utf-16-be"), "utf-16-be", id="utf-16-be"),
        pytest.param(ACCENTS.encode("latin-1"), "latin-1", id="latin-1"),
        pytest.param("id,name\n1,caf\u00e9".encode("latin-1"), "latin-1", id="latin-1-in-the-last-byte"),
        pytest.param(CSV * 200_000 + ACCENTS.encode("latin-1"), "latin-1", id="latin-1-far-beyond-the-head"),
        pytest.param(gzip.compress(ACCENTS.encode("latin-1")), "latin-1", id="latin-1-compressed"),
        pytest.param(ACCENTS.encode() + b"3,caf\xff\n", "utf-8", id="utf-8-with-a-broken-byte"),
    ],
)
def test_detect_finds_the_encoding(tmp_path: Path, content: bytes, encoding: str) -> None:
    assert looked_at(tmp_path, content).encoding == encoding


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(64), "PNG", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(64), "JPEG", id="jpeg"),
        pytest.param(b"GIF89a" + bytes(64), "GIF", id="gif"),
        pytest.param(b"%PDF-1.7\n", "PDF", id="pdf"),
        pytest.param(b"PK\x03\x04" + bytes(64), "Excel", id="zip"),
        pytest.param(b"\xd0\xcf\x11\xe0" + bytes(64), "Excel", id="old-excel"),
        pytest.param(b"BZh9" + bytes(64), "bzip2", id="bzip2"),
        pytest.param(b"\xfd7zXZ\0" + bytes(64), "xz", id="xz"),
        pytest.param(b"7z\xbc\xaf\x27\x1c" + bytes(64), "7-Zip", id="7-zip"),
        pytest.param(b"ORC" + bytes(64), "ORC", id="orc"),
        pytest.param(b"Obj\x01" + bytes(64), "Avro", id="avro"),
        pytest.param(b"SQLite format 3\0" + bytes(64), "SQLite", id="sqlite"),
        pytest.param(b"\x7fELF" + bytes(64), "program", id="elf"),
        pytest.param(gzip.compress(b"PK\x03\x04" + bytes(64)), "ZIP", id="zip-inside-gzip"),
        pytest.param(gzip.compress(parquet()), "Parquet inside gzip", id="parquet-inside-gzip"),
        pytest.param(random.Random(1).randbytes(50_000), "binary", id="binary"),
    ],
)
def test_detect_names_what_a_foreign_file_is(tmp_path: Path, content: bytes, word: str) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code is Code.UNKNOWN_FORMAT
    assert word in refusal.message
    assert "CSV" in refusal.remedy or "Parquet" in refusal.remedy


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="no-bytes"),
        pytest.param(b" \r\n\t\n", id="blanks"),
        pytest.param(bytes(100), id="nuls"),
        pytest.param(gzip.compress(b""), id="gzip-of-nothing"),
        pytest.param(zstandard.compress(b""), id="zstd-of-nothing"),
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
    ],
)
def test_detect_tells_damage_from_a_missing_end(tmp_path: Path, content: bytes) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code is Code.UNREADABLE_FILE
    assert "is damaged: " in refusal.message
