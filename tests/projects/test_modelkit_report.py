"""What the report of a run shows, without DVC: the pipeline in ``tests/template`` has it whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from modelkit.plots import calibration, write_predictions
from modelkit.report import chart, report, table

CONFUSION = {"no": {"no": 8, "yes": 2}, "yes": {"no": 1, "yes": 4}}


def test_a_confusion_is_a_table_with_the_truth_in_rows() -> None:
    """One column a predicted class, in the classes' order."""
    assert table(CONFUSION).splitlines() == [
        "| truth | as no | as yes |", "| --- | --: | --: |", "| no | 8 | 2 |", "| yes | 1 | 4 |",
    ]  # fmt: skip


def test_a_chart_is_a_block_that_both_vendors_draw() -> None:
    """Names are quoted, and the line is there only where something was before."""
    lines = chart("Recall", ["no", 'a "b"'], "recall", [0.8, 2 / 3], [0.5, 1]).splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("```mermaid", "xychart-beta", "```")
    assert r'    x-axis ["no", "a \"b\""]' in lines
    assert lines[-3:-1] == ["    bar [0.8, 0.6667]", "    line [0.5, 1]"]
    assert "line" not in chart("Recall", ["no"], "recall", [0.8])


def test_predictions_are_written_as_they_are_read(tmp_path: Path) -> None:
    """Rows in order; of fewer rows than groups each is a group."""
    write_predictions(tmp_path, np.array([3.0, 1.0]), np.array([2.5, 1.5]))
    frame = pd.read_csv(tmp_path / "predictions.csv")
    assert frame.to_dict("list") == {"truth": [3.0, 1.0], "predicted": [2.5, 1.5]}
    assert calibration(frame) == [(1.5, 1.0), (2.5, 3.0)]


def test_a_pipeline_that_has_not_run_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which file is missing, and what makes it; exit code 2."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        report("HEAD")
    assert ended.value.code == 2
    assert "reports/metrics.json is not there: run `dvc repro`" in capsys.readouterr().err
