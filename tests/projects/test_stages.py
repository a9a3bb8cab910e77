"""What the projects share: the split, and the export."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from modelkit.agreement import agreement
from modelkit.export import from_sklearn, score
from modelkit.stages import evaluate_stage, profile_stage, split_base, train_stage
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from summaries.profile import FieldSpec, Profile
from summaries.quality import Classification

FIELDS = [FieldSpec("x", "float32"), FieldSpec("kind", "string")]
FLIGHTS = Path(__file__).parents[2] / "projects" / "flights"


def frame(rows: int = 400) -> pd.DataFrame:
    """Rows of ten days; the target follows x and kind."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=rows).astype("float32")
    kind = generator.choice(["a", "b"], rows)
    late = np.where(x + (kind == "a") + generator.normal(size=rows) > 0, "yes", "no")
    day = [f"2013-01-{1 + i % 10:02}" for i in range(rows)]
    return pd.DataFrame({"x": x, "kind": kind.astype(object), "late": late, "day": day})


def fitted() -> Pipeline:
    """A forest over a number and a one-hot category."""
    columns = ColumnTransformer([
        ("numbers", "passthrough", ["x"]), ("texts", OneHotEncoder(sparse_output=False), ["kind"]),
    ])  # fmt: skip
    forest = RandomForestClassifier(5, max_depth=4, random_state=1)
    rows = frame()
    return Pipeline([("columns", columns), ("forest", forest)]).fit(rows[["x", "kind"]], rows["late"])


def test_the_export_agrees_with_the_original() -> None:
    """Labels are the same in every row, probabilities to float32."""
    model, rows = from_sklearn(fitted(), FIELDS), frame()
    found = agreement(model, rows, FIELDS)
    assert found["rows"] == 400
    assert found["labels_differing"] == 0
    assert found["probability_max_difference"] < 1e-6
    labels, probabilities = score(model.onnx, rows, FIELDS)
    assert labels.shape == (400,)
    assert probabilities is not None
    assert probabilities.shape == (400, 2)


def test_the_profile_s_quality_is_that_of_the_held_out_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Truth, answers and probabilities of rows that no fit has seen: the evaluate stage's own figures."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "models", "reports"):
        Path(folder).mkdir()
    Path("params.yaml").write_text("seed: 1\ntrain: {}\n")
    rows = frame()
    rows.to_parquet("data/base.parquet")
    rows[:300].to_parquet("data/train.parquet")
    rows[300:].to_parquet("data/test.parquet")
    train_stage("late", FIELDS, lambda given: fitted())
    evaluate_stage("late", FIELDS)
    profile_stage("late", FIELDS)
    profile = Profile.from_dict(json.loads(Path("models/profile.json").read_text()))
    assert profile.quality is not None
    quality = Classification.from_dict(profile.quality)
    assert (quality.rows, quality.scored, profile.rows) == (100, 100, 400)
    assert quality.confusion() == json.loads(Path("reports/confusion.json").read_text())
    known, got = json.loads(Path("reports/metrics.json").read_text()), quality.get()
    for name in ("accuracy", "balanced_accuracy", "log_loss"):
        assert got[name] == pytest.approx(known[name], abs=1e-9)


@pytest.mark.parametrize(("size", "days"), [(0.2, 2), (0.01, 1)])
def test_a_split_by_days_leaves_no_day_in_both(size: float, days: int) -> None:
    """Whole days are held out, at least one, the same for the same seed, and every row is in one part."""
    train, test = split_base(frame(), size, 42, "day")
    assert set(train["day"]).isdisjoint(test["day"])
    assert test["day"].nunique() == days
    assert len(train) + len(test) == 400
    assert split_base(frame(), size, 42, "day")[1].equals(test)


def test_a_stage_without_its_input_names_the_file(tmp_path: Path) -> None:
    """One line on standard error, exit code 2: which file, and what to run."""
    done = subprocess.run(
        [sys.executable, "-m", "flights.split"], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(FLIGHTS / "src"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    (tmp_path / "params.yaml").write_text((FLIGHTS / "params.yaml").read_text())
    again = subprocess.run(
        [sys.executable, "-m", "flights.split"], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(FLIGHTS / "src"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, again.returncode) == (2, 2)
    assert "params.yaml is not there" in done.stderr
    assert "base.parquet" in again.stderr
    assert "dvc repro" in again.stderr
    assert len(again.stderr.splitlines()) == 1
