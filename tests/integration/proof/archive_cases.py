"""ZIP and TAR archives of files, with members that are passed over and refused.

What belongs here: strategies for archives. What does not: the files in them (`file_cases`), damage.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING

import zstandard
from hypothesis import strategies as st

from tests.archive_files import entry, tarred, zipped, zipped_link

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NAMES = (
    "a.csv",
    "b.csv",
    "a.csv",
    "c.json",
    "b/a.csv",
    "./a.csv",
    "b\\c.csv",
    "2026/11/a.csv",
    "Größe #1.csv",
    "A.CSV",
)
_ODD = ("../a.csv", "/a.csv", "C:\\a.csv", "a\nb.csv", "__MACOSX/a.csv", "b/.DS_Store", "b/")
_PRESSES = (bytes, bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress)


@st.composite
def archives(draw: st.DrawFn, bodies: st.SearchStrategy[bytes], paths: st.SearchStrategy[str]) -> bytes:
    """An archive of one to four members; `paths` are the folders before their names."""
    found = [(draw(paths) + draw(st.sampled_from(_NAMES)), draw(bodies)) for _ in range(draw(st.integers(1, 3)))]
    if draw(st.integers(0, 2)) == 0:
        name = draw(st.sampled_from(_ODD))
        found.insert(draw(st.integers(0, len(found))), (name, b"" if name.endswith("/") else found[0][1]))
    if draw(st.integers(0, 9)) == 0:
        found.append(("z.zip", zipped(*found)))
    return draw(st.sampled_from([_zip, _zip, _tar]))(draw, found)


def _zip(draw: Callable[..., Any], found: list[tuple[str, bytes]]) -> bytes:
    if draw(st.integers(0, 19)) == 0:
        return zipped_link("link.csv", "a.csv")
    return zipped(*found, method=draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])))


def _tar(draw: Callable[..., Any], found: list[tuple[str, bytes]]) -> bytes:
    members = [entry("b", tarfile.DIRTYPE) if name.endswith("/") else (name, body) for name, body in found]
    if draw(st.integers(0, 9)) == 0:
        members.append(entry("link.csv", draw(st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE])), "a.csv"))
    packed: bytes = draw(st.sampled_from(_PRESSES))(tarred(*members))
    return packed
