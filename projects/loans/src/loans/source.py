"""Applications and decisions out of River's Agrawal generator: the truth about each drift is known."""

from __future__ import annotations

import pandas as pd
from river.datasets.synth import Agrawal

from loans.fields import FIELDS, TARGET


def applications(function: int, rows: int, seed: int, noise: float) -> pd.DataFrame:
    """``rows`` applications labelled by one of the ten functions; the target is "yes" for the generator's class 1.

    Whatever the function, the applications of one seed are the same: the inputs do not tell which it was.
    """
    stream = Agrawal(classification_function=function, seed=seed, perturbation=noise)
    drawn = list(stream.take(rows))
    frame = pd.DataFrame([x for x, _ in drawn])
    for field in FIELDS:
        if field.dtype == "string":
            frame[field.name] = frame[field.name].astype("int64").astype(str).astype(object)
        else:
            frame[field.name] = frame[field.name].astype("float32")
    frame[TARGET] = ["yes" if y else "no" for _, y in drawn]
    return frame[[*(field.name for field in FIELDS), TARGET]]
