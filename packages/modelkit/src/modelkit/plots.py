"""What a plot of a model's answers is drawn from; ``dvc plots`` reads it, and so does the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PREDICTIONS = "predictions.csv"
GROUPS = 10


def write_predictions(folder: Path, truth: Any, predicted: Any) -> None:
    """``predictions.csv``, a row each of ``truth`` and ``predicted``: a confusion matrix or a scatter plot."""
    frame = pd.DataFrame({"truth": np.asarray(truth), "predicted": np.asarray(predicted)})
    frame.to_csv(folder / PREDICTIONS, index=False)


def calibration(frame: pd.DataFrame, groups: int = GROUPS) -> list[tuple[float, float]]:
    """(mean prediction, mean truth) of equally large groups of a regression's rows, by prediction.

    >>> calibration(pd.DataFrame({"predicted": [4, 1, 3, 2], "truth": [5, 1, 3, 1]}), 2)
    [(1.5, 1.0), (3.5, 4.0)]
    """
    ordered = frame.sort_values("predicted", kind="stable")
    parts = [part for part in np.array_split(np.arange(len(ordered)), groups) if len(part)]
    means = [ordered.iloc[part][["predicted", "truth"]].mean() for part in parts]
    return [(float(mean["predicted"]), float(mean["truth"])) for mean in means]
