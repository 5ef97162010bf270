"""Finds the layout of a sample, and its encoding where the reader refuses to guess one.

What belongs here: which likely encoding a draft states. What does not: what is likely
(`include.ingestion.readers.encoding`), decoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.text_encodings import encoding_named
from include.errors import visible
from include.ingestion.compression import DAMAGES, compression_of, expanded
from include.ingestion.drafting.structure import Guess, Structure, text_contract
from include.ingestion.readers.detect import detect
from include.ingestion.readers.encoding import UndeclaredEncodingError
from include.ingestion.readers.plain_lines import recoded
from include.ingestion.records import FileFormat, Layout

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import IngestSettings


def detect_layout(path: Path, settings: IngestSettings) -> Structure:
    """The format, compression and encoding of a file. An encoding that it does not declare is a guess.

    Raises:
        FileRefusedError: the file is empty, cut off, or of a format that cannot be read.
    """
    nothing = Structure(Layout(FileFormat.CSV))
    try:
        return Structure(detect(path, text_contract(nothing), settings))
    except UndeclaredEncodingError as refusal:
        if not refusal.likely:
            raise
        likely = refusal.likely
    best = min(likely, key=lambda one: _lacking(path, one[0]))
    name = encoding_named(best[0]) or best[0]
    others = ", ".join(f"{other} reads '{visible(word)}'" for other, word in likely if other != best[0])
    what = f"the text is not UTF-8; in {best[0]} a word of it reads '{visible(best[1])}'"
    guessed = nothing.with_guesses(encoding=Guess(best[0], f"{what}{f' ({others})' if others else ''}"))
    layout = detect(path, text_contract(guessed), settings)
    return Structure(Layout(layout.format, layout.compression, name), guesses=guessed.guesses)


def _lacking(path: Path, encoding: str) -> int:
    """How many bytes of a file an encoding lacks."""
    with path.open("rb") as stream:
        start = stream.read(16)
    try:
        chunks = recoded(expanded(path, compression_of(start)), encoding)
        # Such a byte becomes three that are no UTF-8, of which the first two are unique to it.
        return sum(chunk.count(b"\xed\xb2") + chunk.count(b"\xed\xb3") for chunk in chunks)
    except (*DAMAGES, UnicodeDecodeError):
        return 1
