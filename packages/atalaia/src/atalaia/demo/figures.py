"""Quality of the served and of the frozen model on the same rows: in total, and window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss, roc_auc_score

from atalaia.demo.story import Floats, Ints, Outcomes

Mask = npt.NDArray[np.bool_]


class Scores:
    """Truth beside each model's answers, as arrays."""

    def __init__(self, outcomes: Outcomes, frozen: tuple[list[Any], dict[str, Floats]]) -> None:
        self.time: Ints = np.array(outcomes.event_time, dtype=np.int64)
        self.version = np.array(outcomes.version, dtype=object)
        self.truth = np.array([str(t) for t in outcomes.truth], dtype=object)
        self.predicted = {
            "served": np.array([str(p) for p in outcomes.predicted], dtype=object),
            "frozen": np.array([str(p) for p in frozen[0]], dtype=object),
        }
        # binary with probabilities: the last class is the one of interest, as in the profile
        self.positive: str | None = None
        self.probability: dict[str, Floats] = {}
        if len(outcomes.probabilities) == 2 and len(frozen[1]) == 2:
            self.positive = list(frozen[1])[-1]
            self.probability = {
                "served": np.array(outcomes.probabilities[self.positive], dtype=np.float64),
                "frozen": frozen[1][self.positive],
            }

    def metrics(self, who: str, mask: Mask) -> dict[str, float]:
        """Accuracy; for two classes log loss and AUC as well. Empty where there are no rows."""
        n = int(mask.sum())
        if n == 0:
            return {}
        found = {"rows": float(n), "accuracy": float((self.predicted[who][mask] == self.truth[mask]).mean())}
        if self.positive is not None:
            late = self.truth[mask] == self.positive
            p = self.probability[who][mask]
            found["log_loss"] = float(log_loss(late, np.clip(p, 1e-7, 1 - 1e-7), labels=[False, True]))
            if 0 < late.sum() < n:
                found["auc"] = float(roc_auc_score(late, p))
        return found

    def compared(self, who: str, mask: Mask) -> dict[str, float]:
        """:meth:`metrics`, and where there is a log loss that of all rows beside it."""
        found = self.metrics(who, mask)
        if "log_loss" in found:
            found["log_loss_year"] = self.metrics(who, np.ones_like(mask))["log_loss"]
        return found

    def by_window(self, origin: int, window: int) -> list[dict[str, Any]]:
        """Both models' metrics in every window that has rows."""
        k = (self.time - origin) // window
        rows = []
        for i in np.unique(k):
            mask = k == i
            start = int(origin + i * window)
            rows.append(
                {
                    "window_start": start,
                    "window_end": start + window,
                    "served": self.metrics("served", mask),
                    "frozen": self.metrics("frozen", mask),
                }
            )
        return rows
