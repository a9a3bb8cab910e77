"""Bytes as they come, cut into blocks of whole lines."""

from __future__ import annotations

MAX_LINE = 16_384  # bytes: a truth of 1,000 characters takes 12,000 at the most


class Lines:
    """Holds what came since the last block. Memory is bounded by what is fed between two :meth:`take`.

    A line longer than ``MAX_LINE`` comes out cut to one byte more than that: who parses it can tell.

    >>> lines = Lines()
    >>> lines.feed(b"one\\ntw")
    >>> lines.feed(b"o\\nthree")
    >>> lines.take(), lines.take(), lines.rest()
    (b'one\\ntwo\\n', b'', b'three')
    """

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._tail = bytearray()
        self.size = 0
        """Bytes of whole lines that wait."""
        self.count = 0
        """How many they are."""

    def feed(self, piece: bytes) -> None:
        """Take in what came next."""
        first, newline, rest = piece.partition(b"\n")
        self._tail += first[: MAX_LINE + 1 - len(self._tail)]
        if newline:
            whole, newline, last = rest.rpartition(b"\n")
            self._whole.append(bytes(self._tail) + b"\n" + whole + newline)
            self.size += len(self._whole[-1])
            self.count += piece.count(b"\n")
            self._tail[:] = last[: MAX_LINE + 1]

    def take(self) -> bytes:
        """All whole lines that wait."""
        block = b"".join(self._whole)
        self._whole.clear()
        self.size = self.count = 0
        return block

    def rest(self) -> bytes:
        """What follows the last newline: the last line, where the upload ended well."""
        return bytes(self._tail)
