"""The whole loop on the thesis's data: real Kafka, MLflow, DVC, HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = os.environ.get(
    "ATALAIA_WINE_CSV", str(Path(__file__).parents[3] / "shared" / "data" / "winequality-red.csv")
)


@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path(DATA).is_file(), reason="set ATALAIA_WINE_CSV to winequality-red.csv")
def test_the_loop_closes_on_wine(tmp_path: Path) -> None:
    """Drift is noticed, a model is trained and promoted, every message is valid, and the demo says so with 0."""
    command = [str(Path(sys.executable).parent / "atalaia"), "demo", "wine-quality", "--data", DATA]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, cwd=tmp_path, timeout=580
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["closed"]
    assert {c["ok"] for c in summary["checks"] if c["counts"]} == {True}
    assert summary["requests"]["failed"] == 0
    assert (
        "<svg" in (tmp_path / "out" / "report.html").read_text()
        or "data:image" in (tmp_path / "out" / "report.html").read_text()
    )


def test_data_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    """--data naming no file: exit code 2, one line, no stack trace."""
    command = [str(Path(sys.executable).parent / "atalaia"), "demo", "wine-quality", "--data", "nowhere.csv"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip() == "atalaia: --data nowhere.csv: there is no such file"


def test_a_broken_data_file_is_one_clear_line(tmp_path: Path) -> None:
    """A file that is not UCI's is refused before anything is started."""
    (tmp_path / "bad.csv").write_text("a;b\n1;2\n")
    command = [str(Path(sys.executable).parent / "atalaia"), "demo", "wine-quality", "--data", "bad.csv"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert "not UCI's" in done.stderr
    assert "Traceback" not in done.stderr
