"""Searches for secrets in the output of a platform: files, folders, dumps, answers, command lines.

What belongs here: the encodings of a secret, and the search. What does not: the files and databases of a platform, and
the list of those that may contain secrets.
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
    """The name of a secret that was found, and where. It does not contain the secret, since tests print it."""

    where: str
    secret: str
    form: str


def forms(secret: str) -> dict[bytes, str]:
    """Every encoding of a secret that is searched for, with its name.

    Within a longer text, base64 has three forms, depending on the offset of the secret. The characters at its ends
    depend on the surrounding text, so they are left out.
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
    """Searches for several secrets at once.

    Args:
        secrets: each by its name. Short ones are refused, because they would be found by chance.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        short = sorted(name for name, secret in secrets.items() if len(secret) < _SHORTEST)
        if short:
            raise ValueError(f"too short to be searched for: {', '.join(short)}")
        self._forms = [(name, form, kind) for name, secret in secrets.items() for form, kind in forms(secret).items()]
        self._overlap = max(len(form) for _, form, _ in self._forms)

    def in_bytes(self, content: bytes, where: str) -> set[Finding]:
        """Find the secrets in a content."""
        return {Finding(where, name, kind) for name, form, kind in self._forms if form in content}

    def in_text(self, text: object, where: str) -> set[Finding]:
        """Find the secrets in a text."""
        return self.in_bytes(str(text).encode(errors="surrogateescape"), where)

    def in_chunks(self, chunks: Iterable[bytes], where: str) -> set[Finding]:
        """Find the secrets in a content that is read in chunks, also across two chunks."""
        found: set[Finding] = set()
        tail = b""
        for chunk in chunks:
            content = tail + chunk
            found |= self.in_bytes(content, where)
            tail = content[-self._overlap :]
        return found

    def in_file(self, path: Path, where: str) -> set[Finding]:
        """Find the secrets in a file, also if it is compressed. A file that is deleted meanwhile counts as empty."""
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
                    pass  # the file is not compressed
        except FileNotFoundError:
            return set()
        return found

    def in_folder(self, root: Path, exempt: Iterable[str] = ()) -> set[Finding]:
        """Find the secrets in names and contents of all files below a folder.

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
