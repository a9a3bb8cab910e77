"""The whole loop where only the labelling changes: real Kafka, MLflow, DVC, HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_loop_closes_on_loans(tmp_path: Path) -> None:
    """No virtual alert, a real one within 500 labelled rows, a promotion, and accuracy is back."""
    command = [str(Path(sys.executable).parent / "atalaia"), "demo", "loans", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=580)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {c["ok"] for c in summary["checks"] if c["counts"]} == {True}
    assert {a["kind"] for a in summary["alerts"]} == {"real"}
