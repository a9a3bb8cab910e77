"""``make bench-estimates``: quality estimated before labels, beside NannyML's CBPE on its own bundled data.

Both are fitted on a data set's reference rows and estimate the same chunks of 5,000 rows. NannyML keeps the rows; ours
counts them into bins. Both are also compared with what the labels, which come with the data, say afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import Figure, at_most, seen, write
from summaries.calibration import Calibration
from summaries.forecast import Forecast
from summaries.quality import Classification

NANNYML = Path(__file__).parents[1] / ".nannyml-venv" / "bin" / "python"
APART = 0.01
NAMES = {"roc_auc": "auc", "average_precision": "pr_auc"}  # NannyML's: ours

Rows = dict[str, NDArray[Any]]


def columns(rows: Rows, kind: str, classes: list[str], part: slice = slice(None)) -> tuple[Any, Any, Any]:
    """Truths, predictions and probabilities of some rows, as the platform's records have them."""
    names = np.array(classes)
    truth, predicted = (names[rows[f"{kind}_{what}"][part]].tolist() for what in ("truth", "predicted"))
    return truth, predicted, dict(zip(classes, rows[f"{kind}_scores"][part].T, strict=True))


def ours(rows: Rows, classes: list[str], chunks: list[list[int]]) -> tuple[list[Any], list[Any], Calibration]:
    """Estimated and realised metrics of each chunk, and the calibration."""
    reference = Classification(classes)
    reference.update(*columns(rows, "reference", classes))
    calibration = Calibration.fit(reference)
    estimates, realised = [], []
    for first, last in chunks:
        truth, predicted, probabilities = columns(rows, "analysis", classes, slice(first, last + 1))
        forecast, quality = Forecast(classes), Classification(classes)
        forecast.update(predicted, probabilities)
        quality.update(truth, predicted, probabilities)
        estimates.append(forecast.estimate(calibration))
        realised.append(quality.get())
    return estimates, realised, calibration


def compare(name: str, rows: Rows, theirs: dict[str, Any]) -> list[Figure]:
    """The figures of one data set; prints a line a metric."""
    estimates, realised, calibration = ours(rows, theirs["classes"], theirs["chunks"])
    curves = sum(curve is not None for curve in calibration.curves.values())
    print(
        f"\n{name}: {len(theirs['chunks'])} chunks, {curves} of {len(calibration.curves)} classes calibrated"
    )
    print(f"{'':>20} {'largest difference':>20} {'off the realised: ours':>24} {'NannyML':>9}")
    figures = []
    for metric, found in theirs["metrics"].items():
        mine = np.array([e[NAMES.get(metric, metric)] for e in estimates])
        real = np.array([r[NAMES.get(metric, metric)] for r in realised])
        value, their_real = np.array(found["value"]), np.array(found["realized"])
        apart = float(np.abs(mine - value).max())
        off, their_off = float(np.abs(mine - real).mean()), float(np.abs(value - their_real).mean())
        print(f"{metric:>20} {apart:>20.5f} {off:>24.5f} {their_off:>9.5f}")
        figures += [
            at_most(f"{name}, {metric}: largest difference to NannyML's estimate", apart, "", APART),
            seen(f"{name}, {metric}: mean distance of the estimate to the realised", off, "", their_off),
            seen(f"{name}, {metric}: largest difference of the realised", float(np.abs(real - their_real).max()), ""),
        ]  # fmt: skip
    return figures


def main() -> None:
    """Run NannyML in its environment, then ours on the same rows."""
    if not NANNYML.exists():
        sys.exit("NannyML is not installed: run `make bench-estimates`, which installs it apart")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(NANNYML),
            "-W",
            "ignore",
            str(Path(__file__).with_name("nannyml_estimates.py")),
            folder,
        ]
        subprocess.run(command, check=True)
        found = json.loads((Path(folder) / "estimates.json").read_text(encoding="utf-8"))
        for name, theirs in found.items():
            with np.load(Path(folder) / f"{name}.npz") as rows:
                figures += compare(name, dict(rows), theirs)
    write("estimates", figures)


if __name__ == "__main__":
    main()
