"""Archives: which members they have, which of them are refused, and that nothing is left out in silence."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import zstandard

from include.errors import Code
from include.ingestion.compression import CHUNK_BYTES
from include.ingestion.readers import archive_limits
from include.ingestion.readers.archive import Archive, archive_format, open_archive, open_member
from include.ingestion.readers.detect import detect
from include.ingestion.records import FileRefusedError
from include.settings import IngestSettings
from tests.archive_files import encrypted, entry, tarred, zipped, zipped_link
from tests.unit.ingestion.conftest import make_contract
from tests.workbook_files import table

pytestmark = pytest.mark.unit

CSV = b"id\n1\n"
LIMITS = IngestSettings(max_expanded_bytes=1024**2, max_file_bytes=512 * 1024)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "raw"
    path.write_bytes(content)
    return path


def listed(tmp_path: Path, content: bytes, pattern: str | None = None, limits: IngestSettings = LIMITS) -> Archive:
    """The closed archive: what it lists."""
    path = written(tmp_path, content)
    kind = archive_format(path)
    assert kind is not None
    with open_archive(path, kind, pattern, limits) as archive:
        return archive


def refusal(tmp_path: Path, content: bytes, pattern: str | None = None) -> FileRefusedError:
    with pytest.raises(FileRefusedError) as caught:
        listed(tmp_path, content, pattern)
    return caught.value


def codes(archive: Archive) -> dict[str, Code | None]:
    return {member.path: member.refusal.code if member.refusal else None for member in archive.wanted}


def read(tmp_path: Path, content: bytes) -> dict[str, bytes]:
    path = written(tmp_path, content)
    with open_archive(path, archive_format(path) or "", None, LIMITS) as archive:
        return {member.path: b"".join(archive.chunks(member.number)) for member in archive.wanted}


PLAIN_TAR = tarred(("b.csv", CSV), ("a/c.csv", b"x" * 700))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(zipped(("b.csv", CSV), ("a/c.csv", b"x" * 700)), "zip", id="zip"),
        pytest.param(zipped(("b.csv", CSV), ("a/c.csv", b"x" * 700), method=zipfile.ZIP_BZIP2), "zip", id="zip-bzip2"),
        pytest.param(PLAIN_TAR, "tar", id="tar"),
        pytest.param(gzip.compress(PLAIN_TAR), "tar; gzip", id="tar-gz"),
        pytest.param(bz2.compress(PLAIN_TAR), "tar; bzip2", id="tar-bz2"),
        pytest.param(lzma.compress(PLAIN_TAR), "tar; xz", id="tar-xz"),
        pytest.param(zstandard.compress(PLAIN_TAR), "tar; zstd", id="tar-zst"),
    ],
)
def test_archive_is_recognised_and_its_members_are_read(tmp_path: Path, content: bytes, kind: str) -> None:
    assert archive_format(written(tmp_path, content)) == kind
    assert read(tmp_path, content) == {"a/c.csv": b"x" * 700, "b.csv": CSV}
    assert list(read(tmp_path, content)) == ["a/c.csv", "b.csv"], "in the order of the paths"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(CSV, id="csv"),
        pytest.param(gzip.compress(CSV), id="csv-gz"),
        pytest.param(gzip.compress(PLAIN_TAR)[:20], id="cut-gz"),
        pytest.param(b"\0" * 10240, id="zeros"),
        pytest.param(b"x" * 2000, id="text-of-more-than-a-block"),
        pytest.param(b"PK\x03\x04 no zip", id="letters-of-zip"),
        pytest.param(zipped(("b.csv", CSV))[:-10], id="cut-zip"),
    ],
)
def test_other_files_are_no_archives(tmp_path: Path, content: bytes) -> None:
    assert archive_format(written(tmp_path, content)) is None


def test_workbook_and_other_documents_are_no_archives(tmp_path: Path) -> None:
    assert archive_format(written(tmp_path, table([["id"], [1]]))) is None
    for parts in (("[Content_Types].xml", "word/document.xml"), ("mimetype", "content.xml")):
        assert archive_format(written(tmp_path, zipped(*((part, "<x/>") for part in parts)))) is None


def test_folders_are_no_members(tmp_path: Path) -> None:
    assert codes(listed(tmp_path, zipped(("a/", ""), ("a/b.csv", CSV)))) == {"a/b.csv": None}
    assert codes(listed(tmp_path, tarred(entry("a", tarfile.DIRTYPE), ("a/b.csv", CSV)))) == {"a/b.csv": None}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    ("name", "path"),
    [("./a.csv", "a.csv"), ("a//b.csv", "a/b.csv"), ("dir\\a.csv", "dir/a.csv"), ("a#b.csv", "a#b.csv"),
     ("Größe 1.csv", "Größe 1.csv"), ("..a/b..csv", "..a/b..csv")],
)  # fmt: skip
def test_harmless_names_are_read(tmp_path: Path, pack: object, name: str, path: str) -> None:
    assert codes(listed(tmp_path, pack((name, CSV)))) == {path: None}  # type: ignore[operator]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name", ["../a.csv", "a/../../b.csv", "/etc/a.csv", "C:\\a.csv", "\\\\host\\a.csv", "..\\a.csv", "a\nb.csv",
             "a/..", "x" * 1025],
)  # fmt: skip
def test_unsafe_name_is_refused_and_its_neighbour_is_not(tmp_path: Path, pack: object, name: str) -> None:
    found = codes(listed(tmp_path, pack((name, CSV), ("good.csv", CSV))))  # type: ignore[operator]
    assert found.pop("good.csv") is None
    assert list(found.values()) == [Code.UNSAFE_MEMBER_NAME]


def test_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    content = bytearray(tarred(("abcd.csv", CSV)))
    content[:2] = b"\xff\xfe"
    total = sum(content[:148]) + sum(content[156:512]) + 8 * 32
    content[148:156] = b"%06o\0 " % total
    ((path, code),) = codes(listed(tmp_path, bytes(content))).items()
    assert code is Code.UNSAFE_MEMBER_NAME
    path.encode()  # can be stored
    nul = zipped(("abcd.csv", CSV)).replace(b"abcd", b"ab\0d")
    ((path, code),) = codes(listed(tmp_path, nul)).items()
    assert (path, code) == ("ab\ufffdd.csv", Code.UNSAFE_MEMBER_NAME)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_second_member_of_a_name_is_refused(tmp_path: Path, pack: object) -> None:
    archive = listed(tmp_path, pack(("a.csv", CSV), ("b.csv", CSV), ("./a.csv", b"id\n2\n")))  # type: ignore[operator]
    found = [(member.number, member.refusal.code if member.refusal else None) for member in archive.wanted]
    assert found == [(1, None), (3, Code.DUPLICATE_MEMBER), (2, None)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [(tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link"), (tarfile.CHRTYPE, "device"),
     (tarfile.FIFOTYPE, "pipe"), (b"V", "unknown type")],
)  # fmt: skip
def test_link_and_device_are_refused(tmp_path: Path, kind: bytes, words: str) -> None:
    archive = listed(tmp_path, tarred(("good.csv", CSV), entry("bad.csv", kind, "good.csv")))
    assert codes(archive) == {"bad.csv": Code.ARCHIVE_LINK, "good.csv": None}
    assert words in str(archive.wanted[0].refusal)


def test_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    assert codes(listed(tmp_path, zipped_link("a.csv", "/etc/passwd"))) == {"a.csv": Code.ARCHIVE_LINK}


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = encrypted(zipped(("a.csv", CSV), ("b.csv", CSV)), "b.csv")
    assert codes(listed(tmp_path, content)) == {"a.csv": None, "b.csv": Code.ENCRYPTED_ARCHIVE}


def test_member_of_an_unread_compression_is_refused(tmp_path: Path) -> None:
    archive = listed(tmp_path, zipped(("a.csv", CSV), method=zipfile.ZIP_LZMA))
    assert "method 14" in str(archive.wanted[0].refusal)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        (None, ["2026/a.csv", "2026/x/b.csv", "A.CSV", "c.txt"]),
        ("*.csv", ["2026/a.csv", "2026/x/b.csv"]),
        ("2026/*.csv", ["2026/a.csv"]),
        ("*/*/b.csv", ["2026/x/b.csv"]),
        ("?.txt", ["c.txt"]),
    ],
)
def test_pattern_chooses_members(tmp_path: Path, pattern: str | None, wanted: list[str]) -> None:
    packed = [(name, CSV) for name in ("2026/a.csv", "2026/x/b.csv", "A.CSV", "c.txt")]
    archive = listed(tmp_path, zipped(*packed), pattern)
    assert [member.path for member in archive.wanted] == wanted
    assert archive.passed_over == 4 - len(wanted)


def test_files_that_macos_adds_are_passed_over(tmp_path: Path) -> None:
    junk = [(name, b"\0") for name in ("__MACOSX/._a.csv", ".DS_Store", "x/.DS_Store", "x/__MACOSX/y/b.csv")]
    archive = listed(tmp_path, zipped(("a.csv", CSV), *junk))
    assert ([member.path for member in archive.wanted], archive.passed_over) == (["a.csv"], 4)


@pytest.mark.parametrize(
    ("content", "pattern", "words"),
    [
        (zipped(), None, "has no file"),
        (zipped(("a/", "")), None, "has no file"),
        (tarred(entry("a", tarfile.DIRTYPE)), None, "has no file"),
        (zipped((".DS_Store", b"x")), None, "1 are passed over."),
        (tarred(("a.txt", CSV), ("b.txt", CSV)), "*.csv", "2 are passed over (member: *.csv)."),
    ],
)
def test_archive_without_a_member_to_load_is_refused(
    tmp_path: Path, content: bytes, pattern: str | None, words: str
) -> None:
    error = refusal(tmp_path, content, pattern)
    assert error.code is Code.EMPTY_FILE
    assert words in error.message


def test_bomb_is_refused_before_it_is_expanded(tmp_path: Path) -> None:
    limits = IngestSettings(expansion_free_bytes=1024)
    bomb = ("bomb.csv", b"0" * 8 * 1024**2)
    packed = zipped(bomb, ("good.csv", CSV * 2000), method=zipfile.ZIP_DEFLATED)
    assert codes(listed(tmp_path, packed, limits=limits)) == {"bomb.csv": Code.ARCHIVE_BOMB, "good.csv": None}
    with pytest.raises(FileRefusedError, match="expand to more than") as caught:
        listed(tmp_path, gzip.compress(tarred(bomb)), limits=limits)
    assert caught.value.code is Code.ARCHIVE_BOMB


def test_sizes_are_limited(tmp_path: Path) -> None:
    large, half = ("large.csv", bytes(513 * 1024)), bytes(500 * 1024)
    stored = zipped(large, ("good.csv", CSV), method=zipfile.ZIP_STORED)
    assert codes(listed(tmp_path, stored)) == {"large.csv": Code.ARCHIVE_BOMB, "good.csv": None}
    assert codes(listed(tmp_path, tarred(large, ("good.csv", CSV)))) == {
        "large.csv": Code.ARCHIVE_BOMB,
        "good.csv": None,
    }
    for pack in (zipped, tarred):
        error = refusal(tmp_path, pack(("a", half), ("b", half), ("c", half)))  # type: ignore[operator]
        assert error.code is Code.ARCHIVE_BOMB


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_number_of_entries_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: object) -> None:
    monkeypatch.setattr(archive_limits, "MOST_ENTRIES", 3)
    packed = [(f"{number}.csv", CSV) for number in range(4)]
    assert len(listed(tmp_path, pack(*packed[:3])).wanted) == 3  # type: ignore[operator]
    error = refusal(tmp_path, pack(*packed))  # type: ignore[operator]
    assert (error.code, "more than 3 entries" in error.message) == (Code.ARCHIVE_BOMB, True)


def test_huge_header_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_limits, "_MOST_READ", 10_000)
    name = "x" * 20_000 + ".csv"
    assert refusal(tmp_path, tarred((name, CSV))).code is Code.ARCHIVE_BOMB
    packed = zipped(*((f"{number}{'y' * 200}.csv", CSV) for number in range(60)))
    assert refusal(tmp_path, packed).code is Code.ARCHIVE_BOMB


def pax_entry(name: str, **pax: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = pax
    return info


def header(kind: bytes, body: bytes) -> bytes:
    """An extended header of a TAR with its content."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(-(-len(body) // 512) * 512, b"\0")


def sparse_header(continuations: int) -> bytes:
    """A sparse file of GNU tar whose list of parts goes on in so many blocks; 1 byte of content."""
    info = tarfile.TarInfo("sparse.csv")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[386:482] = (b"%011o\0%011o\0" % (1, 1)) * 4
    head[482:495] = b"\1%011o\0" % 512
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:512]) + 8 * 32)
    block = (b"%011o\0%011o\0" % (1, 1)) * 21
    blocks = [block + bytes([number < continuations - 1]) + bytes(7) for number in range(continuations)]
    return bytes(head) + b"".join(blocks) + bytes(512)


XATTR = "SCHILY.xattr.user.x"
TOO_LARGE_HEADERS = {
    "name": tarred(("x" * 300_000, CSV)),
    "attributes": tarred(pax_entry("a.csv", **{XATTR: "x" * 300_000})),
    "headers-of-one-entry": header(tarfile.XHDTYPE, b"12 abc=1234\n") * 200 + PLAIN_TAR,
    "headers-of-all": tarred(*(pax_entry(f"{number}.csv", **{XATTR: "x" * 200_000}) for number in range(200))),
    "global-names": header(tarfile.XGLTYPE, b"".join(b"12 a%04d=12\n" % at for at in range(1_001))) + PLAIN_TAR,
    "sparse-parts-of-one": sparse_header(200) + PLAIN_TAR,
    "sparse-parts-of-all": sparse_header(90) * 60 + PLAIN_TAR,
}


@pytest.mark.parametrize("content", TOO_LARGE_HEADERS.values(), ids=TOO_LARGE_HEADERS)
def test_tar_with_too_large_headers_is_refused(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with (
        pytest.raises(FileRefusedError, match="headers of an entry have more than") as caught,
        open_archive(path, "tar", None, IngestSettings()),
    ):
        pass
    assert caught.value.code is Code.ARCHIVE_BOMB


def test_headers_of_a_tar_are_not_kept_in_memory(tmp_path: Path) -> None:
    packed = [pax_entry(f"{number}.csv", **{XATTR: "x" * 100_000}) for number in range(200)]
    path = written(tmp_path, tarred(*packed))
    tracemalloc.start()
    try:
        with open_archive(path, "tar", None, IngestSettings()) as archive:
            assert len(archive.members) == 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024**2


def test_ordinary_extended_headers_are_read(tmp_path: Path) -> None:
    packed = [(f"{'folder/' * 40}{number}.csv", CSV) for number in range(2_000)]
    content = header(tarfile.XGLTYPE, b"52 comment=0123456789012345678901234567890123456789\n") + tarred(*packed)
    assert set(codes(listed(tmp_path, content)).values()) == {None}
    assert len(listed(tmp_path, content).wanted) == 2_000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(PLAIN_TAR[:2560], Code.TRUNCATED_FILE, id="no-end"),
        pytest.param(PLAIN_TAR[:1024], Code.TRUNCATED_FILE, id="after-the-first-member"),
        pytest.param(PLAIN_TAR[:1500], Code.TRUNCATED_FILE, id="in-a-header"),
        pytest.param(PLAIN_TAR[:1700], Code.TRUNCATED_FILE, id="in-a-member"),
        pytest.param(gzip.compress(PLAIN_TAR)[:-6], Code.TRUNCATED_FILE, id="in-the-compression"),
        pytest.param(PLAIN_TAR[:1024] + b"x" * 512 + PLAIN_TAR[1536:], Code.UNREADABLE_FILE, id="damaged-header"),
        pytest.param(PLAIN_TAR + PLAIN_TAR, Code.UNREADABLE_FILE, id="two-in-one"),
        pytest.param(zipped(("a.csv", CSV)) + zipped(("b.csv", CSV)), Code.UNREADABLE_FILE, id="two-zips-in-one"),
        pytest.param(gzip.compress(PLAIN_TAR)[:-8] + bytes(8), Code.UNREADABLE_FILE, id="wrong-checksum"),
    ],
)
def test_cut_or_damaged_archive_is_refused_as_a_whole(tmp_path: Path, content: bytes, code: Code) -> None:
    assert refusal(tmp_path, content).code is code


def test_damaged_member_is_refused_and_its_neighbour_is_read(tmp_path: Path) -> None:
    content = zipped(("a.csv", CSV), ("b.csv", b"id\n7\n"), method=zipfile.ZIP_STORED).replace(b"id\n7\n", b"id\n8\n")
    path = written(tmp_path, content)
    with open_archive(path, "zip", None, LIMITS) as archive:
        assert b"".join(archive.chunks(1)) == CSV
        with pytest.raises(FileRefusedError, match="CRC") as caught:
            b"".join(archive.chunks(2))
    assert caught.value.code is Code.UNREADABLE_FILE


def test_member_that_is_larger_than_the_archive_says_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(("a.csv", b"id\n" + b"1" * 100_000)))
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    path = written(tmp_path, bytes(content))
    with open_archive(path, "zip", None, LIMITS) as archive, pytest.raises(FileRefusedError):
        b"".join(archive.chunks(1))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2], ids=["deflate", "bzip2"])
def test_member_that_expands_far_is_read_in_bounded_memory(tmp_path: Path, method: int) -> None:
    path = written(tmp_path, zipped(("a.csv", bytes(64 * 1024**2)), method=method))
    limits = IngestSettings(max_expansion_ratio=2_000_000)
    with open_archive(path, "zip", None, limits) as archive:
        tracemalloc.start()
        try:
            assert sum(map(len, archive.chunks(1))) == 64 * 1024**2
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 6 * CHUNK_BYTES


@pytest.mark.parametrize(
    ("at", "words"), [(16, "Bad CRC-32"), (24, "not that in the directory")], ids=["checksum", "size"]
)
@pytest.mark.parametrize("change", [-1, 1])
def test_member_of_bzip2_that_is_not_what_the_directory_says_is_refused(
    tmp_path: Path, at: int, words: str, change: int
) -> None:
    content = bytearray(zipped(("a.csv", CSV), method=zipfile.ZIP_BZIP2))
    content[content.index(b"PK\x01\x02") + at] += change
    with (
        open_archive(written(tmp_path, bytes(content)), "zip", None, LIMITS) as archive,
        pytest.raises(FileRefusedError, match=words) as caught,
    ):
        b"".join(archive.chunks(1))
    assert caught.value.code is Code.UNREADABLE_FILE


def test_member_of_bzip2_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(("a.csv", CSV), method=zipfile.ZIP_BZIP2))
    content[content.index(b"PK\x01\x02") + 20] -= 4
    with (
        open_archive(written(tmp_path, bytes(content)), "zip", None, LIMITS) as archive,
        pytest.raises(FileRefusedError, match="end of the stream is missing"),
    ):
        b"".join(archive.chunks(1))


def test_content_of_a_member_with_an_unsafe_name_can_be_kept(tmp_path: Path) -> None:
    content = zipped(("../a.csv", CSV), ("b.csv", CSV), ("b.csv", b"id\n2\n"))
    assert read(tmp_path, content) == {"../a.csv": CSV, "b.csv": b"id\n2\n"}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_one_member_is_opened_whatever_the_others_are(tmp_path: Path, pack: object) -> None:
    half = bytes(500 * 1024)
    content = pack(("a", half), ("b", half), ("c.csv", CSV), ("d", half))  # type: ignore[operator]
    path = written(tmp_path, content)
    with open_member(path, archive_format(path) or "", 3, LIMITS) as archive:
        assert b"".join(archive.chunks(3)) == CSV
    with pytest.raises(KeyError), open_member(path, archive_format(path) or "", 5, LIMITS):
        pass


def test_sparse_file_is_read_with_its_zeros(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.csv")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 4
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (4, 4)
    header[483:495] = b"%011o\0" % 8
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 8 * 32)
    content = bytes(header) + b"id\n1".ljust(512, b"\0") + bytes(1024)
    assert read(tmp_path, content) == {"a.csv": b"\0\0\0\0id\n1"}


def test_archive_that_is_tried_as_a_file_is_refused_as_one(tmp_path: Path) -> None:
    for content in (PLAIN_TAR, gzip.compress(PLAIN_TAR), zipped(("a.csv", CSV))):
        with pytest.raises(FileRefusedError, match=r"a (TAR|ZIP) archive, whose members"):
            detect(written(tmp_path, content), make_contract(), LIMITS)


def test_archive_is_read_without_its_whole_content_in_memory(tmp_path: Path) -> None:
    stream = io.BytesIO(b"1\n" * 100_000)
    path = written(tmp_path, zipped(("a.csv", stream.getvalue())))
    with open_archive(path, "zip", None, IngestSettings()) as archive:
        assert sum(map(len, archive.chunks(1))) == 200_000
