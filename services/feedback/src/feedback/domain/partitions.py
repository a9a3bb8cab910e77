"""The partitions of many batches at once, as :func:`contracts.codec.partition_of` gives each.

Kafka's murmur2 in whole columns: some 0.1 µs an id for a thousand of them, against 2 µs one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from contracts.codec import partition_of
from numpy.typing import NDArray

LENGTH = 32  # characters of a batch_id
_FEW = 16  # as many cost less one by one
_M = np.uint32(0x5BD1E995)
_SEED = np.uint32(0x9747B28C ^ LENGTH)


def partitions_of(batch_ids: Sequence[str], partitions: int) -> NDArray[np.int64]:
    """The partition of each id; raises ``ValueError`` where one is not 32 characters of ASCII.

    >>> partitions_of(["0123456789abcdef0123456789abcdef", "0" * 32], 12).tolist()
    [5, 1]
    """
    if set(map(len, batch_ids)) - {LENGTH}:
        raise ValueError(f"a batch_id has {LENGTH} characters")
    if len(batch_ids) <= _FEW:
        if not all(map(str.isascii, batch_ids)):
            raise ValueError("a batch_id is ASCII")
        return np.array([partition_of(text, partitions) for text in batch_ids], dtype=np.int64)
    encoded = "".join(batch_ids).encode("ascii")  # UnicodeEncodeError is a ValueError
    words = np.frombuffer(encoded, dtype="<u4").reshape(-1, LENGTH // 4).T.astype(np.uint32)  # [8, N]
    words *= _M
    words ^= words >> np.uint32(24)
    words *= _M
    h = np.full(len(batch_ids), _SEED, dtype=np.uint32)
    for word in words:
        h *= _M
        h ^= word
    h ^= h >> np.uint32(13)
    h *= _M
    h ^= h >> np.uint32(15)
    return (h & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions
