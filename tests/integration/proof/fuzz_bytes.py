"""Mutations without knowledge of a format: bytes flipped, cut, repeated, moved; compression and archives, some damaged.

What belongs here: from bytes to bytes. What does not: anything that reads what the bytes mean.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from typing import TYPE_CHECKING

import zstandard

from tests.archive_files import tarred, zipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_INSERTED = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\x80", b"\xc3", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xc0\xaf", b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"\x0b", b"\x0c", b"\x1a", b'"', b'""', b"'", b",", b";",
    b"\t",
    b"|", b"{", b"}", b"[", b"]", b":", b"\\", b"\\u", b"NaN", b"PAR1", b"\x1f\x8b", b"0x",
)  # fmt: skip


def flipped(body: bytes, rng: Random) -> bytes:
    """Flip some bits."""
    data = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(body: bytes, rng: Random) -> bytes:
    """Keep only the beginning, only the end, or remove the middle."""
    begin, end = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    near_the_end = len(body) - rng.randint(1, min(40, len(body)))
    return rng.choice((body[:begin], body[:near_the_end], body[end:], body[:begin] + body[end:]))


def repeated(body: bytes, rng: Random) -> bytes:
    """Repeat a piece or the whole."""
    begin, end = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    return rng.choice((body + body, body[:end] + body[begin:], body + body[begin:end]))


def inserted(body: bytes, rng: Random) -> bytes:
    """Insert bytes that have a meaning in some format."""
    for _ in range(rng.choice((1, 1, 2, 6))):
        at = rng.choice((0, len(body), rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
        body = body[:at] + rng.choice(_INSERTED) * rng.choice((1, 1, 1, 3, 500)) + body[at:]
    return body


def moved(body: bytes, rng: Random) -> bytes:
    """Move a piece."""
    begin, end, to = sorted(rng.randrange(len(body) + 1) for _ in range(3))
    return body[:begin] + body[end:to] + body[begin:end] + body[to:]


def filled(body: bytes, rng: Random) -> bytes:
    """Overwrite a piece with one byte."""
    begin = rng.randrange(len(body))
    length = min(rng.choice((1, 4, 16, 256, 5000)), len(body) - begin)
    return (
        body[:begin] + bytes([rng.choice((0, 0xFF, 0x20, 0x0A, rng.randrange(256)))]) * length + body[begin + length :]
    )


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (flipped, cut, repeated, inserted, moved, filled)


def mutated(body: bytes, rng: Random) -> bytes:
    """Apply one mutation chosen at random."""
    return rng.choice(MUTATIONS)(body, rng) if body else body


def packed(body: bytes, rng: Random) -> tuple[bytes, str]:
    """Compress, and sometimes damage the result. Also returns what was done."""
    kind = rng.choice(("gzip", "zstd", "bzip2", "xz"))
    press = {
        "gzip": gzipped,
        "zstd": zstandard.ZstdCompressor(write_checksum=rng.random() < 0.5).compress,
        "bzip2": bz2.compress,
        "xz": lzma.compress,
    }[kind]
    whole = press(body)
    half = len(body) // 2
    variants: dict[str, Callable[[], bytes]] = {
        "whole": lambda: whole,
        "damaged": lambda: mutated(whole, rng),
        "several members": lambda: press(body[:half]) + press(body[half:]),
        "and an empty member": lambda: whole + press(b""),
        "a second member damaged": lambda: press(body[:half]) + mutated(press(body[half:]), rng),
        "twice": lambda: press(whole),
        "with a tail": lambda: whole + rng.choice((b"\0" * 100, b"tail", whole[:10], b"\x1f\x8b", b"\x28\xb5\x2f\xfd")),
        "other members": lambda: gzipped(body[:half]) + zstandard.compress(body[half:]),
        "only the magic": lambda: whole[: rng.randint(2, 20)],
        "nothing inside": lambda: press(b""),
        "a bomb": lambda: press(body + b"\n" * 60_000_000),
        "a flag": lambda: whole[:3] + bytes([rng.randrange(256)]) + whole[4:],
        "the wrong sum": lambda: whole[:-8] + bytes(8),
    }
    variant = rng.choice([*variants, "whole", "whole", "whole", "damaged", "damaged"])
    return variants[variant](), f"{kind}: {variant}"


def archived(name: str, body: bytes, rng: Random) -> tuple[bytes, str, tuple[str, ...] | None]:
    """Put the file into a ZIP or TAR archive, sometimes beside others, and damage some.

    Also returns what was done, and the names of the members; None of a damaged archive.
    """
    others = [
        (rng.choice((name, "a.csv", "a/b.csv", "../a.csv", "a\n.csv", "A.CSV", "b.zip")), rng.choice((b"", body)))
    ]
    members = [(name, body), *(others if rng.random() < 0.5 else [])]
    kind = rng.choice(("zip", "tar", "tgz"))
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    found = zipped(*members, method=method) if kind == "zip" else tarred(*members)
    if kind == "tgz":
        found = gzipped(found)
    if rng.random() < 0.4:
        return mutated(found, rng), f"{kind} of {len(members)}, damaged", None
    return found, f"{kind} of {len(members)}", tuple(one for one, _ in members)


def gzipped(body: bytes) -> bytes:
    """Compress to the same bytes every time, without gzip's timestamp."""
    return gzip.compress(body, mtime=0)
