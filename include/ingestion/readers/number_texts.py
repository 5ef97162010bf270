"""Numbers as text in Arrow columns: their usual spelling, and exact casts.

What belongs here: whole columns at once, for the fast path. What does not: a single text (`contracts.type_sql`), whose
rules these are: a text that they read in another way raises `FallBackToSlowPath`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.type_sql import NOT_ZERO
from include.ingestion.records import FallBackToSlowPath

if TYPE_CHECKING:
    from include.contracts.number_format import NumberFormat

_BLANKS = " \t\r\n"
_DECIMAL_DIGITS = 38


def plain_numbers(texts: pa.Array, form: NumberFormat) -> pa.Array:
    """The texts of numbers with a point and without separators; a minus is before its number.

    A text without any separator is not checked here: with a decimal comma and no point in any text, the result is a
    number exactly if the text was one.

    Raises:
        FallBackToSlowPath: a text is not written so.
    """
    texts = pc.utf8_trim(texts, _BLANKS)
    has_separator = form.thousands is not None and _any(pc.match_substring(texts, form.thousands))
    has_minus_behind = form.trailing_minus and _any(pc.ends_with(texts, "-"))
    if has_separator or has_minus_behind:
        if not _all(pc.match_substring_regex(texts, f"^({form.pattern})?$")):
            raise FallBackToSlowPath
    elif form.decimal != "." and _any(pc.match_substring(texts, ".")):
        raise FallBackToSlowPath
    if has_separator:
        texts = pc.replace_substring(texts, form.thousands, "")
    if form.decimal != ".":
        texts = pc.replace_substring(texts, form.decimal, ".")
    return pc.replace_substring_regex(texts, "^(.+)-$", r"-\1") if has_minus_behind else texts


def _any(found: pa.Array) -> bool:
    return bool(pc.any(found).as_py())


def _all(found: pa.Array) -> bool:
    return pc.all(found).as_py() is not False


def whole_numbers(texts: pa.Array) -> pa.Array:
    """Cast texts to whole numbers of 64 bits; an empty one is null.

    Raises:
        pa.ArrowInvalid: a text is none.
    """
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts).cast(pa.int64())


def decimals(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast texts to decimals.

    Arrow reads some exponents wrongly, and 1e-999999999 crashes the process. A number that needs more than 38 digits at
    the given scale overflows 128 bits silently.

    Raises:
        FallBackToSlowPath: a text is too long, or has an exponent or a letter.
    """
    texts = pc.utf8_trim(texts, _BLANKS)
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > _DECIMAL_DIGITS:
        raise FallBackToSlowPath
    for chunk in texts.chunks:
        characters = chunk.buffers()[2]
        if characters is not None and np.any(np.frombuffer(characters, np.uint8) > ord("9")):
            raise FallBackToSlowPath
    if longest + kind.scale > _DECIMAL_DIGITS:
        return texts.cast(pa.decimal256(2 * _DECIMAL_DIGITS, kind.scale)).cast(kind)
    return texts.cast(kind)


def doubles(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast texts to doubles. Arrow reads a number that is too small for a double as zero.

    Raises:
        FallBackToSlowPath: it read a number other than zero as zero.
    """
    texts = pc.utf8_trim(texts, _BLANKS)
    values = texts.cast(pa.float64())
    zeros = texts.filter(pc.equal(values, 0.0))
    if pc.any(pc.match_substring_regex(zeros, NOT_ZERO)).as_py():
        raise FallBackToSlowPath
    return values
