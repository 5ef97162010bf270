"""Looks for secrets in whatever a platform has written: files, folders, dumps, answers, command lines.

What belongs here: the forms in which a secret may have been written, and the search. What does not: where a running
platform keeps what, and which of it is meant to hold secrets.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_CHUNK = 16 * 1024**2
_MAGIC = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
_SHORTEST = 8


@dataclass(frozen=True, order=True)
class Finding:
    """A secret, by its name, where it must not be. The secret itself is not here: this ends in a test's output."""

    where: str
    secret: str
    form: str


def forms(secret: str) -> dict[bytes, str]:
    """Every spelling of a secret that is searched for, with its name.

    Within a longer text base64 has three spellings, by where the secret begins; the letters at its ends depend on what
    stands beside it, so those are left away.
    """
    raw = secret.encode()
    found = {raw.hex().encode(): "hexadecimal"}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw)
        inner = text[(0, 2, 3)[shift] : len(text.rstrip(b"=")) - 1]
        found |= {inner: "base64", inner.translate(bytes.maketrans(b"+/", b"-_")): "base64"}
    found |= {quote(secret, safe="").encode(): "URL", quote_plus(secret).encode(): "URL"}
    found |= {json.dumps(text).strip('"').encode(): "JSON" for text in (secret, json.dumps(secret).strip('"'))}
    found |= {repr(secret)[1:-1].encode(): "repr", raw: "plain"}
    return found


class SecretSearch:
    """Searches for all of some secrets at once.

    Args:
        secrets: each by its name; short ones would be found everywhere, and are refused.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        short = sorted(name for name, secret in secrets.items() if len(secret) < _SHORTEST)
        if short:
            raise ValueError(f"too short to be searched for: {', '.join(short)}")
        self._forms = [(name, form, kind) for name, secret in secrets.items() for form, kind in forms(secret).items()]
        self._overlap = max(len(form) for _, form, _ in self._forms)

    def in_bytes(self, content: bytes, where: str) -> set[Finding]:
        """What of the secrets is in a content."""
        return {Finding(where, name, kind) for name, form, kind in self._forms if form in content}

    def in_text(self, text: object, where: str) -> set[Finding]:
        """What of the secrets is in a text."""
        return self.in_bytes(str(text).encode(errors="surrogateescape"), where)

    def in_chunks(self, chunks: Iterable[bytes], where: str) -> set[Finding]:
        """The same for a content that comes in pieces: a secret may lie across two of them."""
        found: set[Finding] = set()
        rest = b""
        for chunk in chunks:
            content = rest + chunk
            found |= self.in_bytes(content, where)
            rest = content[-self._overlap :]
        return found

    def in_file(self, path: Path, where: str) -> set[Finding]:
        """What of the secrets is in a file, also if it is compressed. One that vanishes meanwhile is empty."""
        try:
            with path.open("rb") as file:
                magic = file.read(2)
                file.seek(0)
                found = self.in_chunks(iter(lambda: file.read(_CHUNK), b""), where)
            if opener := _MAGIC.get(magic):
                try:
                    with opener(path) as unpacked:
                        found |= self.in_chunks(iter(lambda: unpacked.read(_CHUNK), b""), where)
                except (OSError, EOFError, zlib.error):
                    pass  # it only begins like one
        except FileNotFoundError:
            return set()
        return found

    def in_folder(self, root: Path, exempt: Iterable[str] = ()) -> set[Finding]:
        """What of the secrets is in names and contents of all files below a folder.

        Args:
            root: the folder. Links are not followed.
            exempt: patterns of paths below it that are left out.
        """
        left_out = tuple(exempt)
        found: set[Finding] = set()
        for path in _files_below(root):
            below = path.relative_to(root)
            if not any(below.match(pattern) or _is_below(below, pattern) for pattern in left_out):
                found |= self.in_text(below, f"the name of {below}") | self.in_file(path, str(below))
        return found


def _is_below(path: Path, pattern: str) -> bool:
    """`folder/**` is everything below it."""
    return pattern.endswith("/**") and any(parent.match(pattern.removesuffix("/**")) for parent in path.parents)


def _files_below(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
