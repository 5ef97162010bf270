"""How the text files of a contract are written: dialects, and tables that are written so, with some faults.

What belongs here: strategies for dialects, and from rows to the bytes of a table. What does not: the other formats
(`file_cases`), the expected results (the oracle).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import zstandard
from hypothesis import strategies as st

from include.contracts.model import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.contracts.model import Column, Contract

Cells = dict[str, str | None]
SHEETS = ("Data", "Prices 2026", "Größe & Maß")
_MEMBERS = ("*.csv", "?.csv", "b/*", "*/a.csv", "A*")
_ALIASES = ("% Rabatt", "Größe (m)", "Betrag", "цена", "A/B", "note_")
_ENCODINGS = (None, None, None, "utf-8", "cp1252", "cp1250", "cp1251", "iso8859-1", "cp437", "cp037", "utf-16-le",
              "gb18030", "shift_jis", "cp1253")  # fmt: skip
_NULLS = ((), (), ("NULL",), ("-", "n/a"), ("\\N",), ("0", "x"))
_WORDS = (((), ()), ((), ()), (("ja", "WAHR"), ("nein",)), (("x",), ("-",)))
_LINES = ("", "x", 'a;"b', ";;;", "# c", "Summe: 1.234,50", " ", "{}", '"open', "é", "sep=;")
_NUMBERS = {ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.FLOAT}


def with_dialect(draw: Callable[..., Any], contract: Contract) -> Contract:
    """The contract, half of the time with a dialect and with source names of its columns."""
    if draw(st.booleans()):
        return contract
    true, false = draw(st.sampled_from(_WORDS))
    columns = tuple(replace(column, true_words=true, false_words=false) for column in contract.columns)
    if draw(st.booleans()):
        columns = tuple(_with_aliases(draw, at, column) for at, column in enumerate(columns))
    contract = replace(contract, columns=columns)
    names = tuple(draw(st.permutations([column.name for column in contract.source_columns])))
    has_header = draw(st.integers(0, 3)) > 0
    decimal, thousands = draw(st.sampled_from([(".", None)] * 3 + [(",", None), (",", "."), (".", ","), (",", " ")]))
    delimiter = draw(st.sampled_from([None, None, ",", ";", "\t", "|", "~", " ", "§"]))
    return replace(
        contract,
        dialect=replace(
            contract.dialect,
            encoding=draw(st.sampled_from(_ENCODINGS)),
            delimiter=delimiter,
            quote=draw(st.sampled_from(['"', '"', '"', "'", ""])),
            escape=draw(st.sampled_from([None, None, "\\"])),
            has_header=has_header,
            header=names if not has_header and draw(st.booleans()) else (),
            skip_lines=draw(st.sampled_from([0, 0, 0, 1, 3])),
            footer_lines=draw(st.sampled_from([0, 0, 0, 1, 3])),
            comment=draw(st.sampled_from([None, None, "#", "//"])),
            decimal=decimal,
            thousands=thousands,
            trailing_minus=draw(st.booleans()),
            sheet=draw(st.sampled_from([None, None, *SHEETS])),
            member=draw(st.sampled_from([None, None, None, *_MEMBERS])),
            null_values=draw(st.sampled_from(_NULLS)),
            true_values=true,
            false_values=false,
        ),
    )


def _with_aliases(draw: Callable[..., Any], at: int, column: Column) -> Column:
    if not column.is_sent or at >= len(_ALIASES) or draw(st.booleans()):
        return column
    return replace(column, source_names=(_ALIASES[at], *draw(st.sampled_from([(), (f"{_ALIASES[at]} 2",)]))))


class TableWriter:
    """Writes rows as the dialect of a contract says."""

    def __init__(self, draw: Callable[..., Any], contract: Contract, width: int) -> None:
        self._draw, self.contract, self._width = draw, contract, width
        self._dialect = contract.dialect
        self.delimiter = self._dialect.delimiter or draw(st.sampled_from(",,;\t|"))
        self.end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
        self._always = draw(st.booleans())

    def names(self, header: dict[str, str]) -> list[str]:
        """The columns in the order of the file."""
        if self._dialect.has_header:
            return list(header)
        return list(self._dialect.header) or [column.name for column in self.contract.source_columns]

    def cell(self, name: str, text: str | None) -> str:
        """A cell of a record as it is written."""
        column = self.contract.by_name.get(name)
        text = text or ""
        if not text and self._dialect.null_values and self._draw(st.booleans()):
            token: str = self._draw(st.sampled_from(self._dialect.null_values))
            return token
        if column is not None and column.type in _NUMBERS and self._draw(st.integers(0, 9)):
            text = self.number(text)
        if column is not None and column.type is ColumnType.BOOLEAN and self._draw(st.booleans()):
            words = [*column.true_words, *column.false_words, text]
            text = self._draw(st.sampled_from(words))
        return self.field(text)

    def field(self, text: str) -> str:
        """A text as a field, in quotes or with escapes where that is needed."""
        quote, escape = self._dialect.quote, self._dialect.escape
        specials = [*'",;\t|\r\n ', self.delimiter, *quote, *(escape or "")]
        needed = (self._always or any(sign in text for sign in specials) or not text) and bool(text or self._width == 1)
        if escape and needed and self._draw(st.booleans()):
            if quote and self._draw(st.booleans()):
                return quote + re.sub(f"[{re.escape(quote + escape)}]", rf"\{escape}\g<0>", text) + quote
            return re.sub(rf"[{re.escape(self.delimiter + quote + escape)}\r\n]", rf"\{escape}\g<0>", text)
        if not quote or not needed:
            return text
        inside = text.replace(escape, escape * 2) if escape else text
        return quote + inside.replace(quote, quote * 2) + quote

    def number(self, text: str) -> str:
        """A number as the dialect writes it."""
        match = re.fullmatch(r"([+-]?)([0-9]+)(\.[0-9]*)?([eE].*)?", text)
        if match is None:
            return text
        sign, whole, decimals, exponent = (part or "" for part in match.groups())
        if self._dialect.thousands and not exponent and self._draw(st.booleans()):
            whole = f"{int(whole):,}".replace(",", self._dialect.thousands)
        number = whole + decimals.replace(".", self._dialect.decimal) + exponent
        if sign == "-" and self._dialect.trailing_minus and self._draw(st.booleans()):
            return number + sign
        return sign + number

    def text(self, lines: list[str]) -> str:
        """The lines with those before, between and after them."""
        dialect, draw = self._dialect, self._draw
        lines = list(lines)
        if dialect.comment and lines:
            for _ in range(draw(st.integers(0, 2))):
                comment = dialect.comment + draw(st.sampled_from(["", " x", ' "', "' \\"]))
                lines.insert(draw(st.integers(0, len(lines))), comment)
        if draw(st.integers(0, 7)) == 0:
            lines.insert(0, draw(st.sampled_from([f"sep={self.delimiter}", f'"SEP={self.delimiter}"', "sep=;"])))
        before = [draw(st.sampled_from(_LINES)) for _ in range(dialect.skip_lines)]
        after = [draw(st.sampled_from(_LINES)) for _ in range(dialect.footer_lines)]
        if after and not after[-1].strip():
            after[-1] = "end"
        after += [""] * draw(st.sampled_from([0, 0, 2])) if dialect.footer_lines else []
        return self.end.join(before + lines + after) + (self.end if draw(st.booleans()) else "")


def text_bytes(draw: Callable[..., Any], text: str, contract: Contract) -> bytes:
    """A text in an encoding that the contract or the content shows, and in some that nothing names."""
    if contract.dialect.encoding is not None:
        return _declared(draw, text, contract.dialect.encoding)
    encodings = ["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1251"]
    encoding = draw(st.sampled_from(encodings))
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode("utf-8")


def packed(draw: Callable[..., Any], body: bytes) -> bytes:
    """The bytes, sometimes compressed."""
    presses = [None, None, None, None, None, gzip.compress, zstandard.compress, bz2.compress, lzma.compress]
    pack = draw(st.sampled_from(presses))
    return pack(body) if pack else body


def _declared(draw: Callable[..., Any], text: str, encoding: str) -> bytes:
    """A text in the declared encoding, or in UTF-8; what it lacks becomes a question mark."""
    text = re.sub("[\ud800-\udfff]", "?", text)
    unmarked = "utf-8" if encoding.startswith(("cp12", "iso")) else encoding
    body = text.encode(draw(st.sampled_from([encoding] * 9 + ["utf-8-sig", unmarked])), "replace")
    if draw(st.integers(0, 5)) == 0 and not encoding.startswith("utf-16"):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.sampled_from([b"\x81", b"\x90", b"\xff", b"\xd2\xaa", b"\x98"])) + body[at:]
    return body
