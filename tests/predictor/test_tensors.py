"""Tensors in JSON and in bytes, and as a model's rows."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predictor.domain.inputs import rows
from predictor.domain.request import Invalid
from predictor.domain.tensors import DATATYPES, FLOATS, NUMBERS, Tensor, read, write
from summaries.profile import FieldSpec

WIDTHS = {"FP16": 16, "FP32": 32, "FP64": 64}


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    """Values that the datatype holds exactly; of floats missing ones too."""
    if datatype in FLOATS:
        return st.none() | st.floats(width=WIDTHS[datatype], allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    if datatype in NUMBERS:
        limits = np.iinfo(NUMBERS[datatype])
        return st.integers(int(limits.min), int(limits.max))
    return st.booleans() if datatype == "BOOL" else st.text(max_size=20)


@st.composite
def tensors(draw: st.DrawFn) -> list[Tensor]:
    """Up to four tensors of any datatype and shape."""
    found = []
    for name in draw(st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True)):
        datatype = draw(st.sampled_from(DATATYPES))
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        count = math.prod(shape)
        values = draw(st.lists(values_of(datatype), min_size=count, max_size=count))
        found.append(Tensor(name, datatype, shape, values))
    return found


@given(tensors(), st.data())
def test_what_is_written_is_read_back(given_: list[Tensor], data: st.DataObject) -> None:
    """Whichever tensors go as bytes and whichever as JSON, the reader gets what the writer had."""
    as_bytes = data.draw(st.sets(st.sampled_from([tensor.name for tensor in given_])))
    outputs, binary = write(given_, as_bytes)
    back = read(orjson.loads(orjson.dumps(outputs)), binary)
    assert [(t.name, t.datatype, t.shape, t.values) for t in back] == [
        (t.name, t.datatype, t.shape, t.values) for t in given_
    ]


@given(st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=4))
def test_nested_and_flat_data_are_the_same_tensor(matrix: list[list[int]]) -> None:
    """The protocol allows both, and both are read alike."""
    head = {"name": "x", "datatype": "INT32", "shape": [len(matrix), 3]}
    flat = [value for row in matrix for value in row]
    assert read([head | {"data": matrix}]) == read([head | {"data": flat}])


@given(tensors(), st.data())
def test_bytes_cut_short_or_too_long_are_refused(given_: list[Tensor], data: st.DataObject) -> None:
    """No byte is read twice, none is left over: a body of another length is refused."""
    outputs, binary = write(given_, [tensor.name for tensor in given_])
    with pytest.raises(Invalid):
        read(outputs, binary + data.draw(st.binary(min_size=1, max_size=4)))
    if binary:
        with pytest.raises(Invalid):
            read(outputs, binary[: data.draw(st.integers(0, len(binary) - 1))])


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "datatype", "shape", "data", "parameters", "binary_data_size", "x"]), inner, max_size=6
    ),
    max_leaves=20,
), st.binary(max_size=8))  # fmt: skip
def test_whatever_comes_is_read_or_refused(content: Any, binary: bytes) -> None:
    """No input raises anything but the refusal that names what is wrong."""
    with contextlib.suppress(Invalid):
        read(content, binary)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "with a name"),
        ({"datatype": "BF16"}, "datatype out of"),
        ({"datatype": []}, "datatype out of"),
        ({"shape": [-1]}, "whole numbers from 0"),
        ({"shape": [2.0]}, "whole numbers from 0"),
        ({"shape": [True, 2]}, "whole numbers from 0"),
        ({"shape": [3]}, "has 2 values; shape [3] takes 3"),
        ({"shape": [2**31 - 1] * 8}, "has 2 values"),
        ({"shape": [2**31]}, "at most 8 whole numbers from 0 to 2147483647"),
        ({"shape": [1] * 9}, "at most 8 whole numbers"),
        ({"data": 3}, "data that is an array"),
        ({"data": [[1], [2]]}, "no INT8: [1]"),
        ({"data": [[1, 2]]}, "another shape"),
        ({"data": [1, "2"]}, "no INT8: '2'"),
        ({"data": [1, True]}, "no INT8: True"),
        ({"data": [1, 128]}, "no INT8: 128"),
        ({"data": [1, 2.0]}, "no INT8: 2.0"),
        ({"datatype": "UINT8", "data": [1, -1]}, "no UINT8"),
        ({"datatype": "BOOL"}, "no BOOL"),
        ({"datatype": "BYTES"}, "no BYTES"),
        ({"data": ...}, "either data or"),
        ({"parameters": {"binary_data_size": 2}}, "either data or"),
        ({"parameters": {"binary_data_size": "2"}, "data": ...}, "number of bytes"),
        ({"parameters": {"binary_data_size": -2}, "data": ...}, "number of bytes"),
        ({"parameters": {"binary_data_size": 1}, "data": ...}, "has 1 bytes; shape [2] of INT8 takes 2"),
        ({"parameters": {"binary_data_size": 2}, "data": ..., "datatype": "BOOL"}, "neither 0 nor 1"),
        ({"parameters": {"binary_data_size": 2}, "data": ..., "datatype": "BYTES"}, "behind its length"),
        ({"parameters": {"shared_memory_region": "r"}, "data": ...}, "shared memory"),
        ({"parameters": []}, "no object"),
    ],
)
def test_a_malformed_tensor_is_refused_with_what_is_wrong(change: dict[str, Any], said: str) -> None:
    """The message says what the tensor should have been."""
    good = {"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 2]}
    assert read([good])[0].values == [1, 2]
    bad = {key: value for key, value in (good | change).items() if value is not ...}
    with pytest.raises(Invalid) as caught:
        read([bad], b"\x02\x03" if "parameters" in change and "data" not in bad else b"")
    assert said in str(caught.value)


def test_texts_that_are_not_utf_8_are_refused() -> None:
    """A feature's text is text."""
    given_ = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}
    with pytest.raises(Invalid, match="UTF-8"):
        read([given_], b"\x01\0\0\0\xff")


FIELDS = [FieldSpec("x", "float32"), FieldSpec("k", "int64"), FieldSpec("o", "float32", optional=True)]
IMAGE = FieldSpec("i", "vector", shape=(2, 2), optional=True)


def test_a_tensor_a_feature_makes_rows() -> None:
    """[N] and [N, 1] are the same column, and an optional one may be left out."""
    x, k = Tensor("x", "FP64", (2,), [1.0, None]), Tensor("k", "INT8", (2, 1), [3, 4])
    assert rows([k, x], FIELDS) == [{"x": 1.0, "k": 3}, {"x": None, "k": 4}]


@pytest.mark.parametrize("shape", [(2, 4), (2, 2, 2)])
def test_a_vector_comes_flat_or_in_its_own_shape(shape: tuple[int, ...]) -> None:
    """Both give the flat list that a vector is everywhere else; a row without a number is a missing vector."""
    tensor = Tensor("i", "FP32", shape, [1.0, 2.0, 3.0, 4.0, None, None, None, None])
    assert rows([tensor], [IMAGE]) == [{"i": [1.0, 2.0, 3.0, 4.0]}, {"i": None}]


def test_one_tensor_may_hold_all_features_side_by_side() -> None:
    """Under any name but a feature's, in the order of the fields, vectors among them."""
    tensor = Tensor("input-0", "FP32", (2, 7), [float(i) for i in range(14)])
    assert rows([tensor], [*FIELDS[:2], IMAGE, FIELDS[2]]) == [
        {"x": 0.0, "k": 1.0, "i": [2.0, 3.0, 4.0, 5.0], "o": 6.0},
        {"x": 7.0, "k": 8.0, "i": [9.0, 10.0, 11.0, 12.0], "o": 13.0},
    ]
    assert rows([Tensor("input-0", "FP32", (1, 2, 2), [1.0] * 4)], [IMAGE]) == [{"i": [1.0] * 4}]


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ([Tensor("x", "FP32", (1,), [1.0])], "k: is missing"),
        ([Tensor("x", "FP32", (1,), [1.0]), Tensor("k", "INT64", (1,), [1]), Tensor("z", "BOOL", (1,), [True])], "z: "),
        ([Tensor("x", "BYTES", (1,), ["1"]), Tensor("k", "INT64", (1,), [1])], "must be a tensor of FP32, not of BYTES"),
        ([Tensor("x", "FP32", (1, 2), [1.0, 2.0]), Tensor("k", "INT64", (1,), [1])], "the shape [N] or [N, 1]"),
        ([Tensor("x", "FP32", (), [1.0]), Tensor("k", "INT64", (1,), [1])], "not []"),
        ([Tensor("x", "FP32", (2,), [1.0, 2.0]), Tensor("k", "INT64", (1,), [1])], "number of rows: x 2, k 1"),
        ([Tensor("all", "FP32", (1, 2), [1.0, 2.0])], "in the shape [N, 3]"),
        ([Tensor("all", "FP32", (3,), [1.0, 2.0, 3.0])], "in the shape [N, 3]"),
        ([Tensor("all", "BOOL", (1, 3), [True] * 3)], "must hold numbers"),
    ],
)  # fmt: skip
def test_tensors_that_are_no_rows_are_refused(given_: list[Tensor], said: str) -> None:
    """The tensor is named, with the shape or datatype that it should have."""
    with pytest.raises(Invalid) as caught:
        rows(given_, FIELDS)
    assert said in str(caught.value)


def test_texts_lie_side_by_side_with_nothing() -> None:
    """A model with a text takes one tensor a feature only."""
    with pytest.raises(Invalid, match="s: is missing"):
        rows([Tensor("all", "FP32", (1, 1), [1.0])], [FieldSpec("s", "string")])
