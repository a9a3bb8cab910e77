"""A loaded version: scores columns, and knows its fields, classes and target from its profile."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from contracts.events import Label
from scoring import OnnxModel, Unscorable, Unusable
from summaries.compatible import differences
from summaries.profile import FieldSpec, Profile

from predictor.domain.answer import Form
from predictor.domain.typed import Reader

_PROBE_ROWS, _PROBES = 256, 3
# A row of JSON: its numbers at their longest, quotes and commas.
_BYTES_A_NUMBER = 26


class Model:
    """One version of a model, ready to score.

    ``onnx`` is what :class:`scoring.OnnxModel` takes; a classifier's probabilities [N, C] are in the order of
    the profile's classes. Raises :class:`scoring.Unusable`.
    """

    def __init__(
        self, name: str, version: str, onnx: bytes, profile: Mapping[str, Any], threads: int = 1
    ) -> None:
        self.name, self.version = name, version
        self.sha256 = hashlib.sha256(onnx).hexdigest()
        try:
            parsed = Profile.from_dict(profile)
        except Exception as error:  # whatever a broken artifact raises, it cannot serve
            raise Unusable(f"its profile cannot be read: {error}") from error
        self.profile = parsed
        self.target, self.classes = parsed.target, parsed.classes
        self.fields: list[FieldSpec] = [field.spec for field in parsed.features]
        self.examples: dict[str, Any] = {f.name: _example(f.spec, f.reference) for f in parsed.features}
        self.form = Form(name, version, self.target, self.classes)
        self.reader = Reader(self.fields)
        self.texts = [field.name for field in self.fields if field.dtype in ("string", "text")]
        self.vectors = [field.name for field in self.fields if field.dtype == "vector"]
        numbers = sum(max(1, field.length) for field in self.fields) + len(self.classes or ()) + 2
        longest = max((len(name.encode()) for name in self.classes or ()), default=0)
        self.record_bytes = 500 + sum(
            6 * len(n) + 6 for n in (*(f.name for f in self.fields), *(self.classes or ()))
        )
        self.row_bytes = (
            numbers * _BYTES_A_NUMBER + 6 * longest
        )  # of a record, without its texts and what stands around the rows
        optional = [field.name for field in self.fields if field.optional]
        self._onnx = OnnxModel(onnx, [f.name for f in self.fields], threads, optional=optional)
        try:  # warms it up, and proves that it runs
            self.score({f.name: [self.examples[f.name]] for f in self.fields}, 1)
            self._probe()
        except Exception as error:
            raise Unusable(f"it does not score its own example: {error}") from error

    def seconds(self, rows: int) -> float:
        """About how long it takes to score so many rows together, as measured when the version was loaded."""
        return self._fixed_seconds + rows * self._seconds_a_row

    def _probe(self) -> None:
        """Measure a call and, apart from it, a row."""
        taken: dict[int, float] = {}
        for n in (1, _PROBE_ROWS):
            rows = {f.name: [self.examples[f.name]] * n for f in self.fields}
            for _ in range(_PROBES):
                started = time.perf_counter()
                self.score(rows, n)
                taken[n] = min(taken.get(n, math.inf), time.perf_counter() - started)
        self._fixed_seconds = taken[1]
        self._seconds_a_row = max(0.0, taken[_PROBE_ROWS] - taken[1]) / (_PROBE_ROWS - 1)

    def changes(self, other: Model) -> list[str]:
        """What clients of ``other`` would notice, in words: other fields, target or task."""
        return differences(other.profile, self.profile)

    def score(
        self, features: Mapping[str, Sequence[Any]], n: int
    ) -> tuple[list[Label], dict[str, list[float]] | None]:
        """Predictions [N] and, for a classifier that gives them, probabilities by class [N].

        Raises :class:`scoring.Unscorable`.
        """
        scores = self._onnx.score(features, n)
        predictions = cast("list[Label]", scores.predictions.tolist())
        if scores.probabilities is None or self.classes is None:
            return predictions, None
        if scores.probabilities.shape[1] != len(self.classes):
            raise Unscorable(
                f"the model gave {scores.probabilities.shape[1]} probabilities a row for {len(self.classes)} classes"
            )
        return predictions, {name: scores.probabilities[:, i].tolist() for i, name in enumerate(self.classes)}


def _example(spec: FieldSpec, reference: Any) -> Any:
    """A value of the reference: a typical one, so that the documentation's example can be sent as it is.

    Of texts and vectors a profile holds none: it is a word, or the number nearest to 0 that may be.
    """
    if spec.dtype == "text":
        return "text"
    if spec.dtype == "vector":
        low, high = (
            bound if bound is not None else otherwise
            for bound, otherwise in ((spec.min, 0.0), (spec.max, 0.0))
        )
        return [float(low if low > 0 else min(high, 0.0))] * spec.length
    if spec.kind == "categorical":
        name = max(zip(reference.counts, reference.names, strict=False), default=(0, ""))[1]
        if spec.dtype == "bool":
            return bool(name == "true")
        return int(name) if spec.dtype == "int64" else str(name)
    if not len(reference.edges):
        return None if spec.optional else 0.0
    middle = reference.edges[len(reference.edges) // 2]
    return int(middle) if spec.dtype == "int64" else float(f"{float(middle):.6g}")
