"""Tensors as the Open Inference Protocol sends them: in JSON, or as bytes behind it.

The protocol: https://github.com/kserve/open-inference-protocol (inference_rest.md, "Tensor Data"); the bytes: Triton's
binary tensor data extension, little-endian, row after row, each text behind its length in four bytes. A missing value
is null in JSON and NaN among the bytes of a float type; the other types have none there.
"""

from __future__ import annotations

import math
import reprlib
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from predictor.domain.request import Invalid

NUMBERS: dict[str, np.dtype[Any]] = {
    "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
    "INT8": np.dtype("<i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"), "UINT64": np.dtype("<u8"),
}  # fmt: skip
FLOATS = ("FP16", "FP32", "FP64")
DATATYPES = (*NUMBERS, "BOOL", "BYTES")
_JSON: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(NUMBERS, (int,)), **dict.fromkeys(FLOATS, (float, int)), "BOOL": (bool,), "BYTES": (str,)
}  # fmt: skip
_LENGTH = struct.Struct("<I")
MAX_DIMENSIONS = 8
MAX_SIZE = 2**31 - 1


@dataclass(frozen=True)
class Tensor:
    """``values`` lie flat, row after row, as Python's numbers, booleans and texts; None is a missing one."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any]
    parameters: dict[str, Any] = field(default_factory=dict)


def invalid(name: str, message: str) -> Invalid:
    """A refusal that names one thing."""
    return Invalid([{"field": name, "message": message}])


def read(inputs: Any, binary: bytes = b"") -> list[Tensor]:
    """The tensors of a request's ``inputs``, whose bytes follow each other in ``binary``; raises :class:`Invalid`."""
    if not isinstance(inputs, list) or not inputs:
        raise invalid("inputs", "must be an array of at least one tensor")
    tensors: dict[str, Tensor] = {}
    start = 0
    for i, given in enumerate(inputs):
        name = given.get("name") if isinstance(given, dict) else None
        if not isinstance(name, str):
            raise invalid(f"inputs[{i}]", "must be an object with a name")
        if name in tensors:
            raise invalid(name, "is given twice")
        size = _size(name, given)
        tensors[name] = _tensor(name, given, None if size is None else binary[start : start + size])
        start += size or 0
    if start < len(binary):
        raise invalid("body", f"has {len(binary) - start} bytes more than its tensors")
    return list(tensors.values())


def write(tensors: Sequence[Tensor], as_bytes: Collection[str] = ()) -> tuple[list[dict[str, Any]], bytes]:
    """A response's ``outputs``, and the bytes of those named in ``as_bytes``, in the same order."""
    outputs, binary = [], []
    for tensor in tensors:
        found = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        parameters = dict(tensor.parameters)
        if tensor.name in as_bytes:
            binary.append(_to_bytes(tensor))
            parameters["binary_data_size"] = len(binary[-1])
        else:
            found["data"] = tensor.values
        outputs.append(found | ({"parameters": parameters} if parameters else {}))
    return outputs, b"".join(binary)


def _size(name: str, given: dict[str, Any]) -> int | None:
    parameters = given.get("parameters")
    if not isinstance(parameters, dict | None):
        raise invalid(name, "has parameters that are no object")
    parameters = parameters or {}
    if "shared_memory_region" in parameters:
        raise invalid(name, "lies in shared memory, which is not supported: send the data")
    size = parameters.get("binary_data_size")
    if (size is None) == (given.get("data") is None):
        raise invalid(name, "must have either data or the parameter binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise invalid(name, "has a binary_data_size that is no number of bytes")
    return size


def _tensor(name: str, given: dict[str, Any], content: bytes | None) -> Tensor:
    datatype, shape = given.get("datatype"), given.get("shape")
    if datatype not in DATATYPES:
        raise invalid(name, f"must have a datatype out of {', '.join(DATATYPES)}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(map(_is_size, shape)):
        said = f"must have a shape: an array of at most {MAX_DIMENSIONS} whole numbers from 0 to {MAX_SIZE}"
        raise invalid(name, said)
    if content is None:
        values = _from_json(name, datatype, shape, given["data"])
    else:
        values = _from_bytes(name, datatype, shape, content)
    if datatype in FLOATS:
        values = [None if value != value else value for value in values]
    return Tensor(name, datatype, tuple(shape), values)


def _is_size(size: Any) -> bool:
    return type(size) is int and 0 <= size <= MAX_SIZE


def _from_json(name: str, datatype: str, shape: list[int], data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise invalid(name, "must have data that is an array")
    values = _flat(name, shape, data) if any(type(entry) is list for entry in data) else data
    if len(values) != math.prod(shape):
        raise invalid(name, f"has {len(values)} values; shape {shape} takes {math.prod(shape)}")
    kinds = _JSON[datatype]
    limits = np.iinfo(NUMBERS[datatype]) if kinds == (int,) else None
    for value in values:
        if value is None:
            continue
        if type(value) not in kinds or (limits and not limits.min <= value <= limits.max):
            raise invalid(name, f"has a value that is no {datatype}: {reprlib.repr(value)}")
    return values


def _flat(name: str, shape: list[int], data: list[Any]) -> list[Any]:
    """Nested data laid flat: at each depth as many entries as the shape says."""
    level: list[Any] = [data]
    for size in shape:
        if not all(type(entry) is list and len(entry) == size for entry in level):
            raise invalid(name, f"has nested data of another shape than {shape}")
        level = [value for entry in level for value in entry]
    return level


def _from_bytes(name: str, datatype: str, shape: list[int], content: bytes) -> list[Any]:
    count = math.prod(shape)
    if datatype == "BYTES":
        return _texts(name, count, content)
    width = 1 if datatype == "BOOL" else NUMBERS[datatype].itemsize
    if len(content) != count * width:
        raise invalid(name, f"has {len(content)} bytes; shape {shape} of {datatype} takes {count * width}")
    if datatype == "BOOL":
        if content.strip(b"\0\1"):
            raise invalid(name, "has a byte that is no BOOL: neither 0 nor 1")
        return [byte == 1 for byte in content]
    values: list[Any] = np.frombuffer(content, NUMBERS[datatype]).tolist()
    return values


def _texts(name: str, count: int, content: bytes) -> list[Any]:
    texts: list[Any] = []
    at = 0
    while at < len(content):
        start = at + _LENGTH.size
        if start > len(content):
            break
        at = start + _LENGTH.unpack_from(content, at)[0]
        try:
            texts.append(content[start:at].decode())
        except UnicodeDecodeError:
            raise invalid(name, f"has a text, the {len(texts) + 1}., that is not UTF-8") from None
    if at != len(content) or len(texts) != count:
        raise invalid(
            name, f"does not have {count} texts, each behind its length (4 bytes), in {len(content)} bytes"
        )
    return texts


def _to_bytes(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        encoded = [value.encode() for value in tensor.values]
        return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
    if tensor.datatype == "BOOL":
        return bytes(tensor.values)
    values = tensor.values
    if tensor.datatype in FLOATS:
        values = [math.nan if value is None else value for value in values]
    return np.array(values, NUMBERS[tensor.datatype]).tobytes()
