"""Shapes by number: the names of a row's columns are written once, not with each row."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from feedback.domain.keys import NUMBER
from feedback.domain.rows import Shape
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay

_MAX = 1_000  # in memory
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Shape).decode


class Shapes:
    """The shapes of one partition."""

    def __init__(self, overlay: Overlay, stand: Stand) -> None:
        self._overlay, self._stand = overlay, stand
        self._numbers: dict[Shape, int] = {}
        self._shapes: dict[int, Shape] = {}

    def number(self, shape: Shape) -> int:
        """The number of a shape, a new one where it is not known yet."""
        number = self._numbers.get(shape)
        if number is None:
            encoded = _encode(shape)
            key = b"n" + blake2b(encoded, digest_size=16).digest()
            found = self._overlay.get("index", key)
            if found is None:
                number = self._stand.shapes
                self._stand.shapes += 1
                self._overlay.put("index", {key: NUMBER.pack(number), b"s" + NUMBER.pack(number): encoded})
            else:
                (number,) = NUMBER.unpack(found)
            self._remember(number, shape)
        return number

    def shape(self, number: int) -> Shape:
        """The shape of a number."""
        shape = self._shapes.get(number)
        if shape is None:
            encoded = self._overlay.get("index", b"s" + NUMBER.pack(number))
            assert encoded is not None, "a header names a shape that was written with it"
            shape = self._remember(number, _decode(encoded))
        return shape

    def _remember(self, number: int, shape: Shape) -> Shape:
        if len(self._shapes) >= _MAX:
            self._shapes.clear()
            self._numbers.clear()
        self._shapes[number] = shape
        self._numbers[shape] = number
        return shape
