"""A model that was trained, whatever trained it: how it answers, how it becomes ONNX, which classes it knows.

A project hands :func:`modelkit.stages.train_stage` a :data:`Fit`; for scikit-learn :func:`modelkit.export.sklearn_fit`
makes one from an untrained pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from summaries.profile import Task

Answers = tuple[NDArray[Any], NDArray[Any] | None]  # predictions [N], a classifier's probabilities [N, C]

# (features [N] by column, target [N], parameters and seed, weights [N] or None) to what came out. A trainer that
# takes no weights raises NotImplementedError where it is given some: that candidate is then left out.
Fit = Callable[[pd.DataFrame, "pd.Series[Any]", dict[str, Any], "NDArray[np.float64] | None"], "Fitted"]


@dataclass(frozen=True)
class Fitted:
    """What a training made: ``predict`` answers as the original does, ``export`` gives its ONNX bytes.

    ``classes`` are in the order of the probabilities' columns; None for a regression. The ONNX model takes one input
    [N, 1] a field, or one matrix [N, fields], and gives what :data:`modelkit.export.OUTPUTS` names.
    """

    predict: Callable[[pd.DataFrame], Answers]
    export: Callable[[], bytes]
    classes: Sequence[Any] | None

    @cached_property
    def onnx(self) -> bytes:
        """The exported model; exported once."""
        return self.export()

    @property
    def task(self) -> Task:
        """A classification has classes."""
        return "regression" if self.classes is None else "classification"
