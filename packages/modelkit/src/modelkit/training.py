"""Training each candidate, and choosing among them by what the held-out rows cost each in the project's metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from summaries.copies import copies
from summaries.labels import text
from summaries.profile import FieldSpec

from modelkit.candidates import SPAN, Drawn, attentive, best, confidence
from modelkit.export import score
from modelkit.fitted import Fit, Fitted
from modelkit.learning_curve import learning_curve
from modelkit.measures import losses, mean_loss, measure

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """A candidate, what was trained on it, its metrics on the test rows, what each of these [N] costs it, and whether its
    class is right there (None of a regression)."""

    drawn: Drawn
    fitted: Fitted
    metrics: dict[str, float]
    losses: Floats
    right: NDArray[np.bool_] | None


class Training:
    """One training: rows with their target, typed as the fields say; ``params`` with the seed; the metric that decides."""

    def __init__(
        self,
        train: pd.DataFrame,
        test: pd.DataFrame,
        target: str,
        fields: Sequence[FieldSpec],
        fit: Fit,
        params: dict[str, Any],
        metric: str,
    ) -> None:
        self.train, self.test, self.target, self.fields = train, test, target, fields
        self._fit, self._params, self.metric = fit, params, metric
        self._names = [field.name for field in fields]

    def _on(self, index: NDArray[np.intp], weights: Floats | None) -> Fitted:
        rows = self.train.iloc[index].reset_index(drop=True)
        return self._fit(rows[self._names], rows[self.target], dict(self._params), weights)

    def each(self, drawn: Sequence[Drawn]) -> list[Tried]:
        """What comes of each; a candidate whose weights the trainer does not take is left out."""
        found = []
        for one in drawn:
            try:
                fitted = self._on(one.index, one.weights)
            except NotImplementedError:
                if one.weights is None:
                    raise
                continue
            # The exported model's answers, as the services will have them.
            predicted, probabilities = score(fitted.onnx, self.test, self.fields)
            said = self.test[self.target], predicted, probabilities, fitted.classes
            right = None if fitted.classes is None else losses("accuracy", *said) == 0
            found.append(Tried(one, fitted, measure(*said), losses(self.metric, *said), right))
        return found

    def best(self, tried: Sequence[Tried]) -> Tried:
        """The :func:`modelkit.candidates.best` of the :func:`modelkit.candidates.attentive`; test rows without spans stand each for
        itself."""
        by_name = {one.drawn.candidate.name: one for one in tried}
        right = {name: one.right for name, one in by_name.items() if one.right is not None}
        if right:
            truth = np.array([text(value) or "" for value in self.test[self.target].tolist()])
            by_name = {name: by_name[name] for name in attentive(truth, right)}
        spans = self.test[SPAN].to_numpy(dtype=np.int64) if SPAN in self.test else None
        return by_name[best({name: one.losses for name, one in by_name.items()}, spans, confidence())]

    def curve(self, chosen: Tried, seed: int) -> dict[str, Any]:
        """How the chosen candidate's loss falls with its rows; see :func:`modelkit.learning_curve.learning_curve`."""

        def loss(index: NDArray[np.intp]) -> float | None:
            rows, weights = chosen.drawn.index[index], chosen.drawn.weights
            if chosen.fitted.classes is not None and self.train[self.target].iloc[rows].nunique() < 2:
                return None
            fitted = self._on(rows, None if weights is None else weights[index])
            predicted, probabilities = fitted.predict(self.test[self._names])
            said = self.test[self.target], predicted, probabilities, fitted.classes
            return mean_loss(self.metric, losses(self.metric, *said))

        whole = mean_loss(self.metric, chosen.losses)
        return {"metric": self.metric} | learning_curve(len(chosen.drawn.index), whole, loss, seed)


def without_copies(
    train: pd.DataFrame, test: pd.DataFrame, columns: Sequence[str]
) -> tuple[pd.DataFrame, int]:
    """The training rows that are no copies of test rows, and how many were; see :mod:`summaries.copies`."""
    held = copies(*({name: frame[name].to_numpy() for name in columns} for frame in (train, test)))
    return train[~held].reset_index(drop=True), int(held.sum())


def report(tried: Sequence[Tried], chosen: Tried, metric: str, duplicates: int) -> dict[str, Any]:
    """The choice and its figures, for ``reports/candidates.json``."""
    return {
        "metric": metric,
        "chosen": chosen.drawn.candidate.name,
        "duplicates": duplicates,
        "candidates": {
            one.drawn.candidate.name: {
                "rows": len(one.drawn.index),
                "since": one.drawn.candidate.since,
                "half_life_ms": one.drawn.candidate.half_life_ms,
                "metrics": one.metrics,
            }
            for one in tried
        },
    }
