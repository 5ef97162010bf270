"""The size of a value after PostgreSQL's own compression (pglz): a port of `pglz_compress`, which no package has.

What belongs here: the size only, for values that decide whether a row fits (`row_size`). Source of the algorithm and
of each constant: src/common/pg_lzcompress.c of PostgreSQL 18.
"""

from __future__ import annotations

from functools import lru_cache

_LEAST_INPUT = 32
_KEPT_PERCENT = 75
_FIRST_SUCCESS_BY = 1024
_GOOD_MATCH = 128
_GOOD_DROP_PERCENT = 10
_LONGEST_MATCH = 273
_FARTHEST = 0x0FFF
_LONG_TAG = 17
_BUCKETS = ((128, 512), (256, 1024), (512, 2048), (1024, 4096))
_MOST_BUCKETS = 8192


@lru_cache(maxsize=4096)
def compressed_size(source: bytes) -> int | None:
    """The bytes of the compressed value without its header; None where PostgreSQL keeps it as it is."""
    size = len(source)
    if size < _LEAST_INPUT:
        return None
    most = size * _KEPT_PERCENT // 100
    buckets = next((count for limit, count in _BUCKETS if size < limit), _MOST_BUCKETS)
    history: dict[int, list[int]] = {}
    at = written = items = 0
    found = False
    while at < size:
        if written >= most or (not found and written >= _FIRST_SUCCESS_BY):
            return None
        if items % 8 == 0:
            written += 1  # a control byte for the next eight items
        length = _match(source, at, history.get(_bucket(source, at, buckets), []))
        items += 1
        if length > 2:
            written += 3 if length > _LONG_TAG else 2
            found = True
        else:
            written += 1
            length = 1
        for position in range(at, at + length):
            history.setdefault(_bucket(source, position, buckets), []).append(position)
        at += length
    return written if written < most else None


def _bucket(source: bytes, at: int, buckets: int) -> int:
    if len(source) - at < 4:
        return source[at] & (buckets - 1)
    a, b, c, d = source[at : at + 4]
    return ((a << 6) ^ (b << 4) ^ (c << 2) ^ d) & (buckets - 1)


def _match(source: bytes, at: int, earlier: list[int]) -> int:
    """The length of the match that pglz takes: not always the longest, because it stops at a good one."""
    best, good = 0, _GOOD_MATCH
    for count, start in enumerate(reversed(earlier), 1):
        if at - start >= _FARTHEST:
            break
        length = 0
        while length < _LONGEST_MATCH and at + length < len(source) and source[at + length] == source[start + length]:
            length += 1
        best = max(best, length)
        if count < len(earlier):
            if best >= good:
                break
            good -= good * _GOOD_DROP_PERCENT // 100
    return best
