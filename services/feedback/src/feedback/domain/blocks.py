"""Rows of a batch on disk, some to a key: labels of one batch mostly come together, and a read costs more than a row.

A block has the rows of one batch whose numbers are equal but for their last ``shift`` bits: as many as fit four of
RocksDB's blocks. So where labels are scattered, one row costs little more than if it stood alone. In it are the rows one
after the other, and before them where each ends.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate

from feedback.domain.keys import ROW

_BYTES = 16_384
_MAX_SHIFT = 6
_ENDS = struct.Struct("<II")


def shift_of(rows: Sequence[bytes]) -> int:
    """The largest shift whose blocks of these encoded rows are not too large, 0 at least.

    >>> [shift_of([bytes(size)] * 100) for size in (10, 1_000, 20_000)]
    [6, 4, 0]
    """
    mean = sum(map(len, rows)) / len(rows) if rows else 0
    return next((shift for shift in range(_MAX_SHIFT, 0, -1) if mean * (1 << shift) <= _BYTES), 0)


def blocks_of(offset: int, rows: Sequence[bytes], shift: int) -> dict[bytes, bytes]:
    """By key the blocks of the encoded rows of the batch at ``offset``."""
    size = 1 << shift
    return {ROW(offset, at >> shift): _block(rows[at : at + size]) for at in range(0, len(rows), size)}


def _block(rows: Sequence[bytes]) -> bytes:
    ends = accumulate(map(len, rows), initial=4 * (len(rows) + 1))
    return struct.pack(f"<{len(rows) + 1}I", *ends) + b"".join(rows)


def row_of(block: bytes, at: int) -> bytes:
    """The encoded row at a place of a block.

    >>> [row_of(_block([b"a", b"", b"bc"]), at) for at in range(3)]
    [b'a', b'', b'bc']
    """
    start, end = _ENDS.unpack_from(block, 4 * at)
    return block[start:end]
