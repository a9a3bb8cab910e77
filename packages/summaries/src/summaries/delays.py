"""How long labels took: quantiles within 1%, from counts that add.

Guarantee: counts and the sum are whole numbers, so ``merge`` is exactly associative and commutative, a new
instance is its identity, and ``revert`` undoes ``update``. Each quantile is within ``RELATIVE_ACCURACY`` of the
delay that has this rank.
Source: C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", PVLDB 12 (2019), the logarithmic mapping without a bound on the buckets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries import packing
from summaries.groups import split
from summaries.sparse import Packed, SparseCounts

RELATIVE_ACCURACY = 0.01  # α
GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)  # γ: bucket i holds (γⁱ⁻¹, γⁱ]
LONGEST = 2**53  # milliseconds: 285,000 years, and still exact as a float

_BUCKETS = math.ceil(math.log(LONGEST) / math.log(GAMMA)) + 1
# The last whole number of each bucket: comparing integers gives the same bucket on any machine.
_LAST = np.array([math.floor(GAMMA**i) for i in range(_BUCKETS)], dtype=np.int64)
_ZERO, _NEGATIVE = _BUCKETS, _BUCKETS + 1
_SIZE = _BUCKETS + 2

_decoder = msgspec.msgpack.Decoder(tuple[packing.Whole, Packed])


class Delays:
    """Count, exact sum and a histogram of delays in whole milliseconds.

    Delays of 0 have a bucket of their own. So have negative ones (a label older than its prediction): in
    quantiles they stand first, as 0; in ``sum`` as what they are.

    >>> delays = Delays()
    >>> delays.update([1_000, 60_000, 3_600_000])
    >>> delays.rows, delays.mean, round(delays.quantile(0.5))
    (3, 1220333.3333333333, 60495)
    """

    def __init__(self) -> None:
        self.sum = 0
        self._counts = SparseCounts(_SIZE)

    @property
    def rows(self) -> int:
        """Delays counted."""
        return self._counts.total()

    @property
    def negative(self) -> int:
        """Delays below 0 that were counted."""
        keys, rows = self._counts.arrays()
        return int(rows[keys == _NEGATIVE].sum())

    @property
    def mean(self) -> float | None:
        """The exact mean in milliseconds, None without rows."""
        rows = self.rows
        return self.sum / rows if rows else None

    def update(self, delays: Sequence[int] | NDArray[np.int64]) -> None:
        """Count delays; raises ``ValueError`` for one beyond ±``LONGEST``."""
        keys, total = _buckets(delays)
        self._counts.update(keys)
        self.sum += total

    def revert(self, delays: Sequence[int] | NDArray[np.int64]) -> None:
        """Take delays out again."""
        keys, total = _buckets(delays)
        self._counts.revert(keys)
        self.sum -= total

    @staticmethod
    def update_each(
        counts: Sequence[Delays], groups: ArrayLike, delays: Sequence[int] | NDArray[np.int64]
    ) -> None:
        """Count delay i into ``counts[groups[i]]``."""
        keys, _ = _buckets(delays)
        order, names, starts, ends = split(groups, len(keys), len(counts))
        ordered = keys[order]
        values = np.asarray(delays, dtype=np.int64)[order].tolist()
        for name, a, b in zip(names.tolist(), starts.tolist(), ends.tolist(), strict=True):
            counts[name]._counts.update(ordered[a:b])
            counts[name].sum += sum(values[a:b])

    def merge(self, other: Delays) -> Delays:
        """The delays of both, as a new instance."""
        total = Delays()
        total.sum = self.sum + other.sum
        total._counts = self._counts.merge(other._counts)
        return total

    def quantile(self, q: float) -> float | None:
        """The delay of rank ⌊q (n - 1)⌋, within 1%; None without rows; raises ``ValueError`` outside [0, 1]."""
        return self.quantiles([q])[0]

    def quantiles(self, qs: Sequence[float]) -> list[float | None]:
        """:meth:`quantile` of each, in one pass over the buckets."""
        if not all(0 <= q <= 1 for q in qs):
            raise ValueError(f"quantiles lie in [0, 1], not {list(qs)}")
        keys, rows = self._counts.arrays()
        total = int(rows.sum())
        if not total:
            return [None] * len(qs)
        # In order of the delay: negative ones, 0, then the buckets.
        place = np.where(keys == _NEGATIVE, -2, np.where(keys == _ZERO, -1, keys))
        order = np.argsort(place)
        ranks = [math.floor(q * (total - 1)) for q in qs]
        found = place[order][np.searchsorted(np.cumsum(rows[order]), ranks, side="right")]
        # The point of (γⁱ⁻¹, γⁱ] that is within α of both its ends.
        return [2 * GAMMA**i / (GAMMA + 1) if i >= 0 else 0.0 for i in found.tolist()]

    def to_bytes(self) -> bytes:
        """The state as bytes, the same for equal states; see :mod:`summaries.packing`."""
        return packing.pack(packing.DELAYS, (packing.whole(self.sum), self._counts.packed()))

    @classmethod
    def from_bytes(cls, packed: bytes) -> Delays:
        """The delays that :meth:`to_bytes` wrote; raises ``ValueError`` for other bytes."""
        total, counts = packing.unpack(packing.DELAYS, packed, _decoder)
        delays = cls()
        delays.sum = packing.number(total)
        delays._counts = SparseCounts.unpacked(counts, _SIZE)
        return delays

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delays) and self.sum == other.sum and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]


def _buckets(delays: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """``(bucket [rows], exact sum)``."""
    try:
        given = np.asarray(delays, dtype=np.int64)
    except OverflowError:
        raise ValueError(f"a delay lies beyond ±{LONGEST} ms") from None
    if given.ndim != 1:
        raise ValueError(f"delays of shape {given.shape}")
    if not len(given):
        return given, 0
    low, high = int(given.min()), int(given.max())
    if low < -LONGEST or high > LONGEST:
        raise ValueError(f"a delay lies beyond ±{LONGEST} ms")
    keys: NDArray[np.int64] = np.searchsorted(_LAST, given)
    if low <= 0:
        keys = np.where(given > 0, keys, np.where(given == 0, _ZERO, _NEGATIVE))
    # Up to 1,000 delays of LONGEST fit 64 bits; Python adds the rest.
    return keys, sum(int(given[at : at + 1_000].sum()) for at in range(0, len(given), 1_000))
