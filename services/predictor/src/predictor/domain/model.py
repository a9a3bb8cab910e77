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


class Model:
    """One version of a model, ready to score."""

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
        except Exception as error:
            raise Unusable(f"version {version} of {name} cannot be loaded: {error}") from error
        self.target, self.task = parsed.target, parsed.task
        self.classes: list[str] | None = parsed.classes
        self.fields: list[FieldSpec] = [field.spec for field in parsed.features]
        self.examples: dict[str, Value] = {f.name: _example(f.spec, f.reference) for f in parsed.features}
        self._inputs = {entry.name: str(entry.type) for entry in self._session.get_inputs()}
        names = [f.name for f in self.fields]
        self._single = len(self._inputs) == 1 and len(names) > 1
        if not self._single and set(self._inputs) != set(names):
            odd = sorted(set(self._inputs) ^ set(names))
            raise Unusable(f"version {version} of {name}: inputs and profile differ in {', '.join(odd)}")
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.score(
            {f.name: [self.examples[f.name]] for f in self.fields}, 1
        )  # warm up, and prove that it runs

    def accepts_the_same_as(self, other: Model) -> bool:
        """Whether clients of ``other`` need no change: the same fields, types and target."""
        mine = [(f.name, f.dtype, f.optional) for f in self.fields]
        return (mine, self.target) == ([(f.name, f.dtype, f.optional) for f in other.fields], other.target)

    def score(
        self, features: Mapping[str, Sequence[Value]], n: int
    ) -> tuple[list[Label], dict[str, list[float]] | None]:
        """Predictions [N] and, for a classifier that gives them, probabilities by class [N]."""
        label, *rest = self._session.run(self._outputs, self._feed(features, n))
        predictions = cast("list[Label]", np.asarray(label).reshape(-1).tolist())
        if not rest or self.classes is None:
            return predictions, None
        table = np.asarray(rest[0], dtype=np.float32)
        return predictions, {name: table[:, i].tolist() for i, name in enumerate(self.classes)}

    def _feed(self, features: Mapping[str, Sequence[Value]], n: int) -> dict[str, NDArray[Any]]:
        if self._single:
            (name,) = self._inputs
            stacked = [_numbers(features[f.name], np.float32) for f in self.fields]
            return {name: np.stack(stacked, axis=1).reshape(n, -1)}
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
                dtype = np.int64 if "int64" in kind else np.bool_ if "bool" in kind else np.float32
                found[name] = _numbers(column, dtype).reshape(n, 1)
        return found


def _numbers(column: Sequence[Value], dtype: Any) -> NDArray[Any]:
    if dtype is np.float32:
        return np.array([np.nan if v is None else v for v in column], dtype=np.float32)
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
