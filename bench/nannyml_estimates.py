"""NannyML's own estimates on its bundled data, in its own environment; writes rows and estimates to a folder.

For each data set ``NAME.npz``: reference and analysis rows (truth, predicted, scores [rows, classes]), and
``estimates.json``: ``{name: {"classes", "chunks": [[first, last row]], "metrics": {metric: {"value", "realized"}}}}``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # before it is imported: nothing is sent anywhere

import nannyml
import numpy as np

ROWS = 5_000  # of a chunk
BINARY = ["accuracy", "f1", "precision", "recall", "roc_auc", "average_precision"]
TWO = {
    # the loader; columns of the id, the truth, the prediction and the score
    "car loans": (nannyml.load_synthetic_car_loan_dataset, "id", "repaid", "y_pred", "y_pred_proba"),
    "work at home": (
        nannyml.load_synthetic_binary_classification_dataset, "id", "work_home_actual", "y_pred", "y_pred_proba",
    ),
    "census": (
        nannyml.load_us_census_ma_employment_data, "id", "employed", "prediction", "predicted_probability",
    ),
}  # fmt: skip
CARDS = ["highstreet_card", "prepaid_card", "upmarket_card"]


def estimated(reference: Any, analysis: Any, metrics: list[str], **columns: Any) -> dict[str, Any]:
    """The chunks and, by metric, estimated and realised values."""
    estimator = nannyml.CBPE(metrics=metrics, chunk_size=ROWS, **columns)
    estimator.fit(reference)
    found = estimator.estimate(analysis).filter(period="analysis").to_df()
    chunks = found["chunk"][["start_index", "end_index"]].to_numpy().tolist()
    return {
        "chunks": chunks,
        "metrics": {m: {k: found[m][k].tolist() for k in ("value", "realized")} for m in metrics},
    }


def main(folder: Path) -> None:
    """Write all data sets."""
    found: dict[str, Any] = {}
    for name, (load, key, truth, predicted, score) in TWO.items():
        reference, analysis, truths = load()
        analysis = analysis.merge(truths, on=key)
        columns = {"y_true": truth, "y_pred": predicted, "y_pred_proba": score}
        found[name] = estimated(reference, analysis, BINARY, problem_type="classification_binary", **columns)
        found[name]["classes"] = ["0", "1"]
        rows = {}
        for kind, frame in (("reference", reference), ("analysis", analysis)):
            positive = frame[score].to_numpy()
            rows[f"{kind}_truth"] = frame[truth].to_numpy().astype(int)
            rows[f"{kind}_predicted"] = frame[predicted].to_numpy().astype(int)
            rows[f"{kind}_scores"] = np.stack([1 - positive, positive], axis=1)
        np.savez(folder / f"{name}.npz", **rows)
    reference, analysis, truths = nannyml.load_synthetic_multiclass_classification_dataset()
    analysis = analysis.merge(truths, on="id")
    scores = {card: f"y_pred_proba_{card}" for card in CARDS}
    columns = {"y_true": "y_true", "y_pred": "y_pred", "y_pred_proba": scores}
    found["credit cards"] = estimated(
        reference, analysis, ["accuracy"], problem_type="classification_multiclass", **columns
    )
    found["credit cards"]["classes"] = CARDS
    rows = {}
    for kind, frame in (("reference", reference), ("analysis", analysis)):
        for name in ("true", "pred"):
            numbers = [CARDS.index(card) for card in frame[f"y_{name}"]]
            rows[f"{kind}_{'truth' if name == 'true' else 'predicted'}"] = np.array(numbers)
        rows[f"{kind}_scores"] = frame[list(scores.values())].to_numpy()
    np.savez(folder / "credit cards.npz", **rows)
    (folder / "estimates.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
