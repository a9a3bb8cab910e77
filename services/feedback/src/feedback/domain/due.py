"""What is to be looked at, at which boundary."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")


class Key(NamedTuple):
    """A window of a version. Sorts as reports are ordered: by window, then version."""

    start: int
    model: str
    version: str


class Due(Generic[K]):
    """Keys by the boundary at which they are due.

    >>> due = Due()
    >>> due.add(10, "a"), due.add(20, "b"), due.add(20, "a")
    (None, None, None)
    >>> due.first(), due.take(15), sorted(due.take(20)), due.take(30), due.first()
    (10, {'a'}, ['a', 'b'], set(), None)
    """

    def __init__(self) -> None:
        self._at: dict[int, set[K]] = {}

    def add(self, boundary: int, key: K) -> None:
        """A key is due at a boundary."""
        self._at.setdefault(boundary, set()).add(key)

    def first(self) -> int | None:
        """The first boundary at which something is due."""
        return min(self._at, default=None)

    def take(self, boundary: int) -> set[K]:
        """What is due until a boundary, which is done then."""
        found: set[K] = set()
        for at in [at for at in self._at if at <= boundary]:
            found |= self._at.pop(at)
        return found
