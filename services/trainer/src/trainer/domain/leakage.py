"""What a model must not have seen of the rows that judge it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from summaries.copies import copies

from trainer.domain.columns import Array
from trainer.domain.ledger import Rows

TRUTH = "\0truth"  # no field is called so


def copied(training: Rows, holdout: Rows) -> NDArray[np.bool_]:
    """Which training rows have the features and the truth of a held-out one; see :mod:`summaries.copies`."""
    return copies(_columns(training), _columns(holdout))


def check(train: Rows, held: Rows, as_of: int) -> None:
    """Raise ``ValueError`` where a row is in both parts, a label is of ``as_of`` or later, or training rows are newer than the holdout."""
    if np.isin(train.prediction_id, held.prediction_id).any():
        raise ValueError("a held-out row is among the training rows")
    if max(train.label_time.max(initial=-1), held.label_time.max(initial=-1)) >= as_of:
        raise ValueError(f"a label is not older than the boundary {as_of}")
    if len(train) and len(held) and train.event_time[-1] > held.event_time[0]:
        raise ValueError("a training row is newer than the first held-out one")


def _columns(rows: Rows) -> dict[str, Array]:
    return {**rows.features, TRUTH: rows.truth}
