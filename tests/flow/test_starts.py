"""What a service does not need at its start it does not import: each process has it again, and is as much later there."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"mlflow", "pandas", "sklearn", "scipy.stats", "scipy.optimize", "lightgbm"}


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("predictor.bootstrap", set[str]()),
        ("feedback.bootstrap", set[str]()),
        ("trainer.bootstrap", set[str]()),
        ("atalaia.cli", set[str]()),
        # the Kolmogorov–Smirnov test; imported with the first window it would hold the loop up for a second
        ("drift_monitor.bootstrap", {"scipy.stats", "scipy.optimize"}),
    ],
)
def test_a_start_imports_nothing_heavy_that_it_does_not_need(module: str, needs: set[str]) -> None:
    """Of the large libraries each has those that it uses for every request or window, and no other."""
    code = f"import sys, {module}; print(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == needs
