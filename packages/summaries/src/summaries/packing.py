"""State as bytes: one leading byte, then MessagePack of whole numbers.

The leading byte says what is packed (high four bits) and in which version of its form (low four), so bytes of
another kind or version are refused and never misread. Equal states give equal bytes.
Source: the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

CLASSIFICATION, REGRESSION, LABEL_PAIRS, DELAYS, FORECAST = 0x12, 0x21, 0x31, 0x42, 0x52

Whole = int | bytes
T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode


def whole(number: int) -> Whole:
    """An integer of any size; bytes (two's complement, little-endian) beyond the 64 bits of MessagePack.

    >>> whole(7), whole(2**63)
    (7, b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\\x00')
    """
    if -(2**63) <= number < 2**63:
        return number
    return number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)


def number(packed: Whole) -> int:
    """The integer that :func:`whole` took."""
    return packed if isinstance(packed, int) else int.from_bytes(packed, "little", signed=True)


def pack(form: int, content: object) -> bytes:
    """The leading byte and the content."""
    return bytes((form,)) + _encode(content)


def unpack(form: int, packed: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """The content; raises ``ValueError`` for bytes of another form and for what cannot be read."""
    if packed[:1] != bytes((form,)):
        raise ValueError(f"bytes that begin with {packed[:1].hex() or 'nothing'} are not of form {form:02x}")
    try:
        return decoder.decode(memoryview(packed)[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"bytes of form {form:02x} cannot be read: {error}") from error
