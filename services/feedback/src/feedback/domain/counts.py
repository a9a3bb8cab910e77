"""How many of what: the figures of the join's invariants."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Counts(msgspec.Struct):
    """Rows and distinct labelled ids, by what became of them.

    predicted = joined + pending + expired, and labelled_distinct = joined + held + unknown + expired_labelled.

    >>> counts = Counts.of({"predicted": 5, "joined": 2, "expired": 1, "pending": 2})
    >>> counts.pending, counts.as_dict()["pending"]
    (2, 2)
    """

    predicted: int = 0
    joined: int = 0
    unknown: int = 0
    expired: int = 0
    duplicates: int = 0
    corrections: int = 0
    labelled_distinct: int = 0
    held: int = 0
    expired_labelled: int = 0
    too_late: int = 0
    repeated_batches: int = 0

    @property
    def pending(self) -> int:
        """Predicted rows that wait for their truth."""
        return self.predicted - self.joined - self.expired

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Counts:
        """From :meth:`as_dict`; what is not stored is derived, and names unheard of are passed over."""
        return cls(**{name: counts[name] for name in cls.__struct_fields__ if name in counts})

    def as_dict(self) -> dict[str, int]:
        """By name, ``pending`` included."""
        return {**msgspec.structs.asdict(self), "pending": self.pending}
