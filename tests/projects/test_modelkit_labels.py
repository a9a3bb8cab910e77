"""Labels of any type: the stages spell a class as the trainer and the services do, and no truth is narrowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelkit.export import score
from modelkit.lightgbm import _values
from modelkit.stages import cast, evaluate_stage, profile_stage, split_stage, train_stage, typed
from scoring import OnnxModel
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from summaries.profile import FieldSpec, Profile
from trainer.domain.challenge import Scored, losses, measure

FIELDS = [FieldSpec("x", "float32")]


def lay(folder: Path, metric: str, base: Any, live: Any) -> Any:
    """A project with base rows and live rows, of which the last 20 are held out; x follows the label."""
    for name in ("data/live", "models", "reports"):
        (folder / name).mkdir(parents=True)
    (folder / "params.yaml").write_text(
        f"metric: {metric}\nseed: 1\nsplit: {{test_size: 0.25}}\ntrain: {{}}\n"
    )
    dice = np.random.default_rng(0)

    def table(labels: Any) -> pd.DataFrame:
        x = np.array([float(v) if v not in ("true", "false") else v == "true" for v in labels], dtype=float)
        return pd.DataFrame({
            "x": (x + dice.normal(0, 0.3, len(x))).astype("float32"), "y": labels,
            "event_time": np.arange(len(x)), "prediction_id": [str(i) for i in range(len(x))],
        })  # fmt: skip

    table(base)[["x", "y"]].to_parquet(folder / "data" / "base.parquet")
    rows = table(live)
    rows[:-20].to_parquet(folder / "data" / "live" / "training.parquet")
    rows[-20:].to_parquet(folder / "data" / "live" / "holdout.parquet")
    return rows["y"].to_numpy()[-20:]


def scored(folder: Path, classes: list[str] | None) -> Scored:
    """What the exported model says of the held-out rows, as the trainer asks it."""
    test = cast(pd.read_parquet(folder / "data" / "test.parquet"), FIELDS)
    said = OnnxModel((folder / "models" / "model.onnx").read_bytes(), ["x"]).score(
        {"x": test["x"].to_numpy()}, len(test)
    )
    if classes is None:
        return Scored(said.predictions)
    table = np.asarray(said.probabilities, dtype=np.float64)
    return Scored(said.predictions, {name: table[:, i] for i, name in enumerate(classes)})


COIN = np.arange(80) % 2


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
@pytest.mark.parametrize(
    ("base", "live", "classes"),
    [
        (COIN.astype(bool), COIN.astype(bool), ["false", "true"]),
        (COIN.astype(bool), np.where(COIN, "true", "false"), ["false", "true"]),
        (COIN.astype(float), COIN.astype(float), ["0", "1"]),
        (COIN.astype(float), COIN.astype(str), ["0", "1"]),
        (COIN, COIN.astype(float), ["0", "1"]),
    ],
)
def test_a_class_is_spelt_as_the_trainer_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, base: Any, live: Any, classes: list[str]
) -> None:
    """Truth values, floats and whole numbers: the losses that the stage writes are those that the trainer finds."""
    truth = lay(tmp_path, metric, base, live)
    monkeypatch.chdir(tmp_path)
    split_stage("y", FIELDS)
    train_stage("y", FIELDS, lambda p: Pipeline([("tree", DecisionTreeClassifier(max_depth=2))]))
    evaluate_stage("y", FIELDS)
    profile_stage("y", FIELDS)
    assert json.loads((tmp_path / "models" / "classes.json").read_text()) == classes
    profile = Profile.from_dict(json.loads((tmp_path / "models" / "profile.json").read_text()))
    assert list(profile.classes or ()) == classes
    told = pd.read_parquet(tmp_path / "reports" / "losses.parquet")
    said = scored(tmp_path, classes)
    assert told["all"].to_numpy() == pytest.approx(losses(truth, said, metric), rel=1e-4)
    metrics = json.loads((tmp_path / "reports" / "metrics.json").read_text())
    found = measure(truth, said, "classification")
    assert {name: metrics[name] for name in found} == pytest.approx(found)
    assert metrics["accuracy"] > 0.8
    confusion = json.loads((tmp_path / "reports" / "confusion.json").read_text())
    assert sum(sum(row.values()) for row in confusion.values()) == len(truth)
    assert json.loads((tmp_path / "reports" / "agreement.json").read_text())["labels_differing"] == 0


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_a_regression_keeps_the_fractions_of_live_truths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, text: bool
) -> None:
    """The base data have whole numbers: 5.5 stays 5.5, and the losses are those that the trainer finds."""
    live = np.arange(80) % 4 + 0.5
    truth = lay(tmp_path, metric, np.arange(80) % 4, live.astype(str) if text else live)
    monkeypatch.chdir(tmp_path)
    split_stage("y", FIELDS)
    test = pd.read_parquet(tmp_path / "data" / "test.parquet")
    assert test["y"].tolist() == live[-20:].tolist()
    train_stage("y", FIELDS, lambda p: Pipeline([("tree", DecisionTreeRegressor(max_depth=2))]))
    told = pd.read_parquet(tmp_path / "reports" / "losses.parquet")
    found = losses(truth.astype(float), scored(tmp_path, None), metric)
    assert told["all"].to_numpy() == pytest.approx(found, rel=1e-4)
    predicted, _ = score((tmp_path / "models" / "model.onnx").read_bytes(), cast(test, FIELDS), FIELDS)
    assert len(predicted) == 20


def test_a_class_that_the_type_cannot_hold_is_an_error() -> None:
    """5.5 among classes that are whole numbers would become 5, which is another class."""
    with pytest.raises(ValueError, match=r"'5\.5' is no label of the base data's type, int64"):
        typed(pd.Series([5.0, 5.5]), pd.Series([5, 6]))
    assert typed(pd.Series(["7", "5"]), pd.Series([5, 6])).tolist() == [7, 5]


@pytest.mark.parametrize(
    ("classes", "said"),
    [([False, True], ["false", "true"]), ([1.0, 2.5], ["1", "2.5"]), ([1, 2], [1, 2]), (["a"], ["a"])],
)
def test_a_booster_answers_with_the_same_names(classes: list[Any], said: list[Any]) -> None:
    """Whole numbers stay, truth values and floats are spelt as the trainer spells them."""
    (given,) = _values(classes)[0].values()
    assert given == said
