"""What a project's train stage says of its candidates: ``candidates.json`` and ``losses.parquet`` of the MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from contracts.events import CandidateTried
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """Candidates by name, which was chosen, what each held-out row [rows] costs each of them in ``metric``, and how many
    training rows the project kept out as copies of held-out ones."""

    metric: str
    chosen: str
    candidates: dict[str, CandidateTried]
    losses: dict[str, Floats]
    duplicates: int

    @classmethod
    def of(cls, report: bytes, columns: Mapping[str, Any], prediction_id: NDArray[np.str_]) -> Tried:
        """From the report and the table's columns; ``prediction_id`` [rows] are the held-out rows, in order.

        Raises ``ValueError`` where the two do not tell of the same candidates, or of other rows.
        """
        said = msgspec.json.decode(report, type=_Report)
        if list(columns.get("prediction_id", ())) != prediction_id.tolist():
            raise ValueError("losses.parquet is not of the held-out rows in their order")
        losses = {
            name: np.asarray(columns[name], dtype=np.float64) for name in columns if name != "prediction_id"
        }
        if set(losses) != set(said.candidates) or said.chosen not in losses:
            raise ValueError("candidates.json and losses.parquet tell of different candidates")
        return cls(said.metric, said.chosen, said.candidates, losses, said.duplicates)

    def checked(self, metric: str, losses: Floats) -> Tried:
        """The same, if the chosen one's losses are what the registered version's are found to be and all are finite; else ``ValueError``."""
        if metric != self.metric:
            raise ValueError(f"its candidates were compared by {self.metric}, not by {metric}")
        for name, each in self.losses.items():
            if not np.isfinite(each).all():
                raise ValueError(f"a loss of its candidate {name!r} is no finite number")
        if not np.allclose(self.losses[self.chosen], losses, rtol=1e-4, atol=1e-6):
            raise ValueError(
                f"its losses are not those of the candidate {self.chosen!r} that it is said to be"
            )
        return self


class _Report(msgspec.Struct):
    metric: str
    chosen: str
    candidates: dict[str, CandidateTried]
    duplicates: int = 0
