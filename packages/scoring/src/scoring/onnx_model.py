"""An ONNX model over named columns (https://onnx.ai/onnx/repo-docs/IR.html), run by ONNX Runtime.

A model takes one input [N, 1] a field, by the field's name, or one matrix [N, fields] of numbers. A field that is a
vector has as many columns as numbers, or the shape that its input declares. Its first output
is a label or value a row, its second, where there is one, the probabilities [N, C]: a tensor, or the list
of dicts that scikit-learn's converters write unless told otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Column = Sequence[Any] | NDArray[Any]

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_TEXT = "tensor(string)"


class Unusable(ValueError):
    """A model that cannot score; the message says why."""


class Unscorable(RuntimeError):
    """Rows for which the model gave no usable answer."""


class Scores(NamedTuple):
    """``predictions`` [N] and, where the model gives them, ``probabilities`` float32 [N, C]."""

    predictions: NDArray[Any]
    probabilities: NDArray[np.float32] | None


class OnnxModel:
    """Scores columns. ``fields`` are their names, in the order of a matrix's columns; ``optional`` those of them that may
    be missing in a row.

    Raises :class:`Unusable` for what ONNX Runtime cannot load, whose inputs are not the fields, or where an optional one's
    input has no way to say that it is missing.
    """

    def __init__(
        self, content: bytes, fields: Sequence[str], threads: int = 1, *, optional: Collection[str] = ()
    ) -> None:
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception for each of its status codes
            raise Unusable(f"it cannot be loaded: {error}") from error
        self.fields = list(fields)
        self._inputs = {entry.name: str(entry.type) for entry in self._session.get_inputs()}
        self._shapes = {entry.name: list(entry.shape[1:]) for entry in self._session.get_inputs()}
        self._matrix = len(self._inputs) == 1 and list(self._inputs) != self.fields
        if not self._matrix and set(self._inputs) != set(self.fields):
            odd = sorted(set(self._inputs) ^ set(self.fields))
            raise Unusable(f"its inputs and its profile differ in {', '.join(odd)}")
        self._by_kind: dict[str, list[str]] = {}
        for name, kind in self._inputs.items():
            self._by_kind.setdefault(kind, []).append(name)
        self._deep = any(len(shape) > 1 for shape in self._shapes.values())
        unknown = {kind for kind in self._inputs.values() if kind not in _DTYPES and kind != _TEXT}
        if unknown or (self._matrix and _TEXT in self._inputs.values()):
            raise Unusable(f"an input of type {', '.join(sorted(unknown) or [_TEXT])} is not supported")
        for name in optional:
            kind = next(iter(self._inputs.values())) if self._matrix else self._inputs[name]
            if kind != _TEXT and np.dtype(_DTYPES[kind]).kind != "f":
                raise Unusable(
                    f"{name} is optional, and its input, a {kind}, has no missing value: let the model take a float or a "
                    f"string there, or declare {name} required"
                )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def score(self, columns: Mapping[str, Column], n: int) -> Scores:
        """Score ``n`` rows; ``columns[name]`` [n], a missing value is ``None`` or NaN.

        Raises :class:`Unscorable` where the answer is not ``n`` rows of finite numbers.
        """
        try:
            label, *rest = self._session.run(self._outputs, self._feed(columns, n))
            predictions = np.asarray(label).reshape(-1)
            probabilities = _probabilities(rest[0]) if rest else None
        except (
            Exception
        ) as error:  # as above; a value that does not fit its input, an output that is no array
            raise Unscorable(f"the model failed: {error}") from error
        if len(predictions) != n or (predictions.dtype.kind == "f" and not np.isfinite(predictions).all()):
            raise Unscorable(
                f"the model gave {len(predictions)} predictions for {n} rows, or one that is not finite"
            )
        if probabilities is not None and not (
            probabilities.ndim == 2 and len(probabilities) == n and np.isfinite(probabilities).all()
        ):
            raise Unscorable(f"the model's probabilities are not {n} rows of finite numbers")
        return Scores(predictions, probabilities)

    def _feed(self, columns: Mapping[str, Column], n: int) -> dict[str, NDArray[Any]]:
        if self._matrix:
            ((name, kind),) = self._inputs.items()
            together = self._together(self.fields, columns, _DTYPES[kind])
            if together is not None:
                return {name: self._shaped(name, together.T)}
            parts = [_two_dimensional(_numbers(columns[f], _DTYPES[kind])) for f in self.fields]
            return {name: self._shaped(name, np.concatenate(parts, axis=1))}
        feed: dict[str, NDArray[Any]] = {}
        for kind, names in self._by_kind.items():
            if kind == _TEXT:
                feed |= {name: _two_dimensional(_texts(columns[name])) for name in names}
                continue
            together = self._together(names, columns, _DTYPES[kind])
            if together is not None:
                feed |= zip(names, together.reshape(len(names), n, 1), strict=True)
            else:
                feed |= {name: _two_dimensional(_numbers(columns[name], _DTYPES[kind])) for name in names}
        return {name: self._shaped(name, values) for name, values in feed.items()} if self._deep else feed

    @staticmethod
    def _together(names: Sequence[str], columns: Mapping[str, Column], dtype: Any) -> NDArray[Any] | None:
        """All columns in one array [names, n], which is made in half the time; None where one is no list of numbers."""
        lists = [columns[name] for name in names]
        if any(type(column) is not list for column in lists):
            return None
        if dtype is np.float32:
            packed = _packed(lists)
            if packed is not None:
                return packed
        try:  # None becomes NaN, and no whole number
            found = np.array(lists, dtype=None if dtype is np.bool_ else dtype)
        except (TypeError, ValueError):
            return None
        return found if found.ndim == 2 and found.dtype == dtype else None

    def _shaped(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """[N, d], or as an image's input declares: an image comes flat."""
        shape = self._shapes[name]
        deeper = len(shape) > 1 and all(isinstance(size, int) for size in shape)
        return values.reshape(len(values), *shape) if deeper else values


def _packed(lists: Sequence[Column]) -> NDArray[np.float32] | None:
    """As ``np.array`` makes it, in a third of the time; None where a value is missing, no number, or too large."""
    n = len(lists[0]) if lists else 0
    try:
        content = b"".join([struct.pack(f"{n}f", *column) for column in lists])
    except (struct.error, OverflowError):
        return None
    return np.frombuffer(content, np.float32).reshape(len(lists), n)


def _probabilities(output: Any) -> NDArray[np.float32]:
    """[N, C], of a tensor or of a list of dicts."""
    rows = [list(row.values()) for row in output] if isinstance(output, list) else output
    return np.asarray(rows, dtype=np.float32)


def _two_dimensional(column: NDArray[Any]) -> NDArray[Any]:
    return column[:, None] if column.ndim == 1 else column


def _numbers(column: Column, dtype: Any) -> NDArray[Any]:
    """A missing number is NaN where the type has one; raises ``ValueError`` where it has none."""
    if not isinstance(column, np.ndarray) or column.dtype == object:
        if dtype is not np.bool_:
            return np.array(column, dtype=dtype)  # None becomes NaN, and no whole number
        column = np.array(list(column))  # of its own type: as booleans None would be false and NaN true
    missing = column.dtype.kind == "f" and np.dtype(dtype).kind != "f" and not np.isfinite(column).all()
    if missing or column.dtype.kind not in "biuf":
        raise ValueError(
            "a missing value in a column of whole numbers or booleans"
        )  # astype would invent one
    return column.astype(dtype)


def _texts(column: Column) -> NDArray[np.object_]:
    """A missing text is empty and a boolean is "true" or "false", as in training."""
    values = column.tolist() if isinstance(column, np.ndarray) else column
    texts = np.empty(len(values), dtype=object)
    texts[:] = [v if type(v) is str else _text(v) for v in values]
    return texts


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)
