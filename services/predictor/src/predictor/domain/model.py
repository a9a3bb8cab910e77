"""A loaded version: scores columns, and knows its fields, classes and target from its profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnxruntime
from contracts.events import Label, Value
from numpy.typing import NDArray
from summaries.profile import FieldSpec, Profile


class Unusable(ValueError):
    """A version that cannot serve; the message says why."""


class Unscorable(RuntimeError):
    """Rows that passed every check, and still the model gave no usable answer for them."""


_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


class Model:
    """One version of a model, ready to score.

    ``onnx`` takes one input [N, 1] a field, by the field's name, or one input [N, fields] of numbers. It
    gives labels or values, and for a classifier probabilities [N, C] in the order of the profile's classes.
    """

    def __init__(
        self, name: str, version: str, onnx: bytes, profile: Mapping[str, Any], threads: int = 1
    ) -> None:
        self.name, self.version = name, version
        try:
            parsed = Profile.from_dict(profile)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # whatever a broken artifact raises, it cannot serve
            raise Unusable(f"it cannot be loaded: {error}") from error
        self.target, self.task = parsed.target, parsed.task
        self.classes: list[str] | None = parsed.classes
        self.fields: list[FieldSpec] = [field.spec for field in parsed.features]
        self.examples: dict[str, Value] = {f.name: _example(f.spec, f.reference) for f in parsed.features}
        self._inputs = {entry.name: str(entry.type) for entry in self._session.get_inputs()}
        names = [f.name for f in self.fields]
        self._single = len(self._inputs) == 1 and list(self._inputs) != names
        if not self._single and set(self._inputs) != set(names):
            odd = sorted(set(self._inputs) ^ set(names))
            raise Unusable(f"its inputs and its profile differ in {', '.join(odd)}")
        self._outputs = [output.name for output in self._session.get_outputs()]
        try:  # warms it up, and proves that it runs
            self.score({f.name: [self.examples[f.name]] for f in self.fields}, 1)
        except Exception as error:
            raise Unusable(f"it does not score its own example: {error}") from error

    def accepts_the_same_as(self, other: Model) -> bool:
        """Whether clients of ``other`` need no change: the same fields, types and target."""
        mine = [(f.name, f.dtype, f.optional) for f in self.fields]
        return (mine, self.target) == ([(f.name, f.dtype, f.optional) for f in other.fields], other.target)

    def score(
        self, features: Mapping[str, Sequence[Value]], n: int
    ) -> tuple[list[Label], dict[str, list[float]] | None]:
        """Predictions [N] and, for a classifier that gives them, probabilities by class [N].

        Raises :class:`Unscorable`.
        """
        try:
            label, *rest = self._session.run(self._outputs, self._feed(features, n))
        except Exception as error:  # onnxruntime has an exception for each of its status codes
            raise Unscorable(f"onnxruntime failed: {error}") from error
        labels = np.asarray(label).reshape(-1)
        if len(labels) != n or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
            raise Unscorable(
                f"the model gave {len(labels)} predictions for {n} rows, or one that is not finite"
            )
        predictions = cast("list[Label]", labels.tolist())
        if not rest or self.classes is None:
            return predictions, None
        table = np.asarray(rest[0], dtype=np.float32)
        if table.shape != (n, len(self.classes)) or not np.isfinite(table).all():
            raise Unscorable(
                f"the model's probabilities are not {n} times {len(self.classes)} finite numbers"
            )
        return predictions, {name: table[:, i].tolist() for i, name in enumerate(self.classes)}

    def _feed(self, features: Mapping[str, Sequence[Value]], n: int) -> dict[str, NDArray[Any]]:
        if self._single:
            (name,) = self._inputs
            dtype = _DTYPES[self._inputs[name]]
            return {name: np.stack([_numbers(features[f.name], dtype) for f in self.fields], axis=1)}
        found: dict[str, NDArray[Any]] = {}
        for name, kind in self._inputs.items():
            column = features[name]
            if "string" in kind:
                texts = np.empty((n, 1), dtype=object)
                texts[:, 0] = [
                    "" if v is None else str(v).lower() if isinstance(v, bool) else v for v in column
                ]
                found[name] = texts
            else:
                found[name] = _numbers(column, _DTYPES[kind]).reshape(n, 1)
        return found


def _numbers(column: Sequence[Value], dtype: Any) -> NDArray[Any]:
    if dtype is np.float32 or dtype is np.float64:
        return np.array([np.nan if v is None else v for v in column], dtype=dtype)
    return np.array(column, dtype=dtype)


def _example(spec: FieldSpec, reference: Any) -> Value:
    """A value of the reference: a typical one, so that the documentation's example can be sent as it is."""
    if spec.kind == "categorical":
        name = max(zip(reference.counts, reference.names, strict=False), default=(0, ""))[1]
        if spec.dtype == "bool":
            return bool(name == "true")
        return int(name) if spec.dtype == "int64" else str(name)
    if not len(reference.edges):
        return None if spec.optional else 0.0
    middle = reference.edges[len(reference.edges) // 2]
    return int(middle) if spec.dtype == "int64" else float(f"{float(middle):.6g}")
