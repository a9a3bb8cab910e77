"""The loans: what is known about the change, and training on the new world's rows only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from modelkit.project import combine

PROJECT = Path(__file__).parents[2] / "projects" / "loans"


def python(code: str) -> Any:
    """What code prints as JSON, with the project importable and its folder current."""
    paths = os.pathsep.join([str(PROJECT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_labelling_changes_and_the_inputs_do_not() -> None:
    """Applications of one seed are the same under both functions; a third or more of the labels differ."""
    same, differ, inputs = python(
        "import json; from loans.source import applications; from loans.fields import FIELDS, TARGET\n"
        "a, b = applications(6, 500, 3, .05), applications(2, 500, 3, .05); names = [f.name for f in FIELDS]\n"
        "print(json.dumps([bool(a[names].equals(b[names])), float((a[TARGET] != b[TARGET]).mean()), len(names)]))"
    )
    assert same
    assert differ > 1 / 3
    assert inputs == 9


def test_the_change_is_at_a_known_row() -> None:
    """One row a minute, labels ten minutes later, the new phase at ``CHANGE``, no row twice."""
    found = python(
        "import json; from loans import stream\n"
        "rows = stream.rows(); first = next(i for i, r in enumerate(rows) if r['phase'] == 'changed')\n"
        "print(json.dumps({'rows': len(rows), 'first': first, 'at': rows[first]['event_time'] - stream.CHANGE,\n"
        "  'delays': sorted({r['label_time'] - r['event_time'] for r in rows}),\n"
        "  'distinct': len({json.dumps(r['features']) for r in rows})}))"
    )
    assert found == {"rows": 4200, "first": 2100, "at": 0, "delays": [600_000], "distinct": 4200}


def _live(folder: Path) -> None:
    """Two rows of the old world, two of the new one to train on, one held out."""
    (folder / "data" / "live").mkdir(parents=True)
    rows = {"x": [1, 2, 3, 4, 5], "y": list("aabbb"), "prediction_id": list("pqrst")}
    frame = pd.DataFrame(rows)
    frame[:4].to_parquet(folder / "data" / "live" / "training.parquet")
    frame[4:].to_parquet(folder / "data" / "live" / "holdout.parquet")
    frame[2:].assign(holdout=[False, False, True]).to_parquet(folder / "data" / "live" / "reference.parquet")


@pytest.mark.parametrize(("since_change", "trained"), [(False, [8, 9, 1, 2, 3, 4]), (True, [3, 4])])
def test_what_trains_after_a_change(
    since_change: bool, trained: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything but the holdout, or only the rows since the change point; the holdout tests either way."""
    monkeypatch.chdir(tmp_path)
    base = pd.DataFrame({"x": [8], "y": ["a"]}), pd.DataFrame({"x": [9], "y": ["a"]})
    assert combine(*base, ["x", "y"], since_change=since_change)[0]["x"].tolist() == [8]
    _live(tmp_path)
    train, test = combine(*base, ["x", "y"], since_change=since_change)
    assert train["x"].tolist() == trained
    assert test["x"].tolist() == [5]
