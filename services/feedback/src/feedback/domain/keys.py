"""Where what a partition's join remembers is on disk.

Labels are kept by their batch's offset and their row's number in it (:data:`ROW`), rows by the offset and their block's
number (:mod:`feedback.domain.blocks`), in tables of their own. So batches are added at the tables' end and forgotten from
their beginning, and RocksDB has nothing to sort. In the index:

====== ============================== ==================================================================
letter key                            value
====== ============================== ==================================================================
``m``                                 where the join stands (:class:`feedback.domain.stand.Stand`)
``s``  number                         a shape
``n``  digest of a shape              its number
``b``  batch_id                       :data:`HEADER` of a batch, or :data:`WAITED` and the rows that labels wait for
``o``  offset of a batch              its batch_id and its latest event time
``r``  offset of a batch              that of its last repetition
``d``  latest event time, offset      how many rows may expire
``g``  block of offsets of labels     of those with a batch: the latest time, and the lowest offset of a batch
``h``  batch_id, row                  the last held labels (:class:`feedback.domain.waiting.Head`)
``h``  batch_id, row, page            those before
``u``  label_time, batch_id, row      nothing: when they are given up
``x``  offset, batch_id, row          behind which offset they are forgotten: their label_times, if a batch may come
====== ============================== ==================================================================
"""

from __future__ import annotations

import struct

ROW = struct.Struct(">QI").pack
HEADER = struct.Struct(
    ">BQqIIB"
)  # tag 0, offset of its record, latest event time, rows, shape, shift of its blocks
WAITED = b"\x01"
LATE = b""  # in place of a truth: a label came, but too late
OFFSET = struct.Struct(">Q")
_LETTER = struct.Struct(">cQ").pack
BLOCK = struct.Struct(">qQ")
TIME = struct.Struct(">q")
NUMBER = struct.Struct(">I")
_EPOCH = 2**63  # event times may be negative, and their order is that of bytes


def time_key(letter: bytes, time: int) -> bytes:
    """The beginning of a key that is ordered by a time within 64 bits, sign and all.

    >>> time_key(b"d", -1) < time_key(b"d", 0) < time_key(b"d", 1)
    True
    """
    return _LETTER(letter, max(0, min(time + _EPOCH, 2 * _EPOCH - 1)))


def offset_key(letter: bytes, offset: int) -> bytes:
    """The beginning of a key that is ordered by an offset."""
    return _LETTER(letter, offset)
