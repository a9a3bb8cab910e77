"""The train stage tries the trainer's candidates: what each trains on, which wins, and that it is the same everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from modelkit.candidates import Candidate, best, draw, named
from modelkit.export import sklearn_fit
from modelkit.fitted import Answers, Fitted
from modelkit.learning_curve import learning_curve
from modelkit.project import combine
from modelkit.stages import evaluate_stage, split_stage, train_stage
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from summaries.profile import FieldSpec

FIELDS = [FieldSpec("x", "float32"), FieldSpec("kind", "string")]
NAMES = ["all", "weighted by recency", "recent", "since the change"]
CHANGE = 600


def make(p: dict[str, Any]) -> Pipeline:
    """A forest over a number and a one-hot category, in two threads."""
    columns = ColumnTransformer([
        ("numbers", "passthrough", ["x"]), ("texts", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
    ])  # fmt: skip
    forest = RandomForestClassifier(12, min_samples_leaf=3, random_state=p["seed"], n_jobs=2)
    return Pipeline([("columns", columns), ("forest", forest)])


def rows(n: int, first: int, seed: int) -> pd.DataFrame:
    """A row a millisecond from ``first`` on; from CHANGE on the label is the other one."""
    dice = np.random.default_rng(seed)
    times = first + np.arange(n)
    x = dice.normal(size=n).astype("float32")
    kind = dice.choice(["a", "b"], n).astype(object)
    right = (x + (kind == "a") > 0.5) ^ (times >= CHANGE)
    return pd.DataFrame({
        "x": x, "kind": kind, "y": np.where(right, "yes", "no"), "event_time": times,
        "prediction_id": [f"{seed}.{i}" for i in range(n)],
    })  # fmt: skip


def lay(folder: Path) -> None:
    """A project's folder: base rows without a time, live rows around a change of the labelling, and the trainer's word."""
    for name in ("data/live", "models", "reports"):
        (folder / name).mkdir(parents=True)
    (folder / "params.yaml").write_text("metric: accuracy\nseed: 1\nsplit: {test_size: 0.25}\ntrain: {}\n")
    rows(300, 0, 1)[["x", "kind", "y"]].to_parquet(folder / "data" / "base.parquet")
    live = rows(500, 300, 2)
    live[:440].to_parquet(folder / "data" / "live" / "training.parquet")
    live[440:].to_parquet(folder / "data" / "live" / "holdout.parquet")
    said = zip(NAMES, (None, None, 460, CHANGE), (None, 200, None, None), strict=True)
    tried = [{"name": name, "since": since, "half_life_ms": half} for name, since, half in said]
    (folder / "data" / "live" / "selection.json").write_text(json.dumps({"candidates": tried}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a folder, and in it."""
    lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str) -> Any:
    """JSON of the folder."""
    return json.loads(Path(path).read_text())


def test_after_a_change_of_the_labelling_the_rows_since_win(folder: Path) -> None:
    """The labels turned over: what is trained on old rows too is wrong, and the held-out rows say so."""
    split_stage("y", FIELDS)
    train_stage("y", FIELDS, make)
    said = read("reports/candidates.json")
    assert list(said["candidates"]) == sorted(NAMES)
    assert said["chosen"] == "since the change"
    assert {name: one["rows"] for name, one in said["candidates"].items()} == {
        "all": 740, "since the change": 140, "recent": 280, "weighted by recency": 740,
    }  # fmt: skip
    losses = pd.read_parquet("reports/losses.parquet")
    assert losses["prediction_id"].tolist() == [f"2.{i}" for i in range(440, 500)]
    for name, one in said["candidates"].items():
        assert 1 - losses[name].mean() == pytest.approx(one["metrics"]["accuracy"])
    evaluate_stage("y", FIELDS)
    assert read("reports/metrics.json") == said["candidates"]["since the change"]["metrics"]
    curve = read("models/learning_curve.json")
    assert curve["metric"] == "accuracy"
    assert curve["rows"] == [
        18,
        35,
        70,
        140,
    ]  # of the chosen candidate's rows; an eighth is nine rows, and no sample
    assert curve["loss"][-1] == pytest.approx(losses["since the change"].mean())


def test_two_processes_choose_and_export_the_same(tmp_path: Path) -> None:
    """A version's checksum says that it was rebuilt: every file of the stage is the same bytes, with several candidates and
    two threads, whatever the hash seed. With the seeds 1 and 3 skl2onnx names the operators' domains in two orders.
    """
    script = (
        "import test_modelkit_candidates as t, modelkit.stages as s\n"
        "s.split_stage('y', t.FIELDS); s.train_stage('y', t.FIELDS, t.make)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    running = []
    for seed in ("1", "3"):
        lay(tmp_path / seed)
        running.append(subprocess.Popen(
            [sys.executable, "-c", script], text=True, cwd=tmp_path / seed, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        ))  # fmt: skip
    ended = [(process.communicate(timeout=240)[1], process.returncode) for process in running]
    assert [code for _, code in ended] == [0, 0], ended
    made = [
        {f.relative_to(tmp_path / seed): hashlib.sha256(f.read_bytes()).hexdigest()
         for folder in ("models", "reports") for f in sorted((tmp_path / seed / folder).iterdir())}
        for seed in ("1", "3")
    ]  # fmt: skip
    assert made[0] == made[1]
    assert len(made[0]) == 7


def test_base_rows_are_older_than_live_ones_unless_they_have_a_time(folder: Path) -> None:
    """Training rows carry their time; the base data's own is used where they have one."""
    base = rows(4, 7, 3)
    untimed = base[["x", "kind", "y"]]
    columns = ["x", "kind", "y"]
    train, test = combine(untimed[:2], untimed[2:], columns)
    assert (len(train), len(test)) == (444, 60)
    assert train["event_time"].isna().sum() == 4
    assert train["event_time"].dropna().tolist() == list(range(300, 740))
    assert combine(base[:2], base[2:], columns)[0]["event_time"].tolist()[:4] == [7, 8, 9, 10]
    (drawn,) = draw([Candidate("since", 300)], train, "y", classified=True)
    assert drawn.index.tolist() == list(range(4, 444))
    weights = Candidate("weighted", half_life_ms=100).weights(np.array([np.nan, 0.0, 100.0, 200.0]))
    assert weights is not None
    np.testing.assert_allclose(weights / weights[-1], [0.25, 0.25, 0.5, 1.0])
    assert weights.mean() == pytest.approx(1.0)


def test_of_equal_selections_one_is_tried(folder: Path) -> None:
    """No base rows and no older ones: all, since the change and recent are one; one without two classes is none."""
    frame = rows(50, 700, 4)[["x", "kind", "y", "event_time"]]
    tried = [
        Candidate("all"),
        Candidate("since", 700),
        Candidate("recent", 690),
        Candidate("weighted", None, 10),
    ]
    assert [d.candidate.name for d in draw(tried, frame, "y", classified=True)] == ["all", "weighted"]
    last = Candidate("last", 749)
    assert [d.candidate.name for d in draw([last, Candidate("all")], frame, "y", classified=True)] == ["all"]
    frame.loc[frame.index[-5:], "y"] = "yes"
    assert [d.candidate.name for d in draw([Candidate("some", 745)], frame, "y", classified=True)] == ["all"]
    (folder / "data" / "live" / "selection.json").unlink()
    assert named() == [Candidate("all")]


def test_copies_of_held_out_rows_train_no_candidate(folder: Path) -> None:
    """Two base rows that are in the holdout: they go, whatever their number's type was, and are counted."""
    holdout = pd.read_parquet("data/live/holdout.parquet")
    base = pd.read_parquet("data/base.parquet")
    again = pd.concat([base, holdout[["x", "kind", "y"]][:2]], ignore_index=True)
    again["x"] = again["x"].astype("float64")
    again.to_parquet("data/base.parquet")
    split_stage("y", FIELDS)
    train_stage("y", FIELDS, make)
    said = read("reports/candidates.json")
    assert said["duplicates"] == 2
    assert said["candidates"]["all"]["rows"] == 740


def test_what_so_few_rows_cannot_tell_apart_the_order_decides() -> None:
    """Two of forty more are wrong: chance, so the first is taken; ten more are not; equal ones are the first's."""

    def wrong(*places: int) -> Any:
        return np.isin(np.arange(40), places).astype(float)

    assert best({"a": wrong(0, 1, 2), "b": wrong(3, 4)}) == "a"
    assert best({"a": wrong(*range(12)), "b": wrong(3, 4)}) == "b"
    assert best({"a": wrong(5), "b": wrong(5)}) == "a"
    assert best({"a": np.ones(1), "b": np.zeros(1)}) == "b"


def test_who_takes_no_weights_is_tried_without(folder: Path) -> None:
    """Nearest neighbours have none: the weighted candidate is left out, the others are compared."""

    def neighbours(p: dict[str, Any]) -> Pipeline:
        return Pipeline([("columns", make(p).steps[0][1]), ("near", KNeighborsClassifier(5))])

    split_stage("y", FIELDS)
    train_stage("y", FIELDS, neighbours)
    assert set(read("reports/candidates.json")["candidates"]) == {*NAMES} - {"weighted by recency"}


def test_weights_reach_the_last_step() -> None:
    """A row that weighs a thousand times the others decides."""
    frame = pd.DataFrame({"x": np.zeros(9, dtype="float32"), "kind": ["a"] * 9})
    target, weights = pd.Series(["no"] * 8 + ["yes"]), np.array([1.0] * 8 + [1000.0])
    fit = sklearn_fit(lambda p: Pipeline([("columns", make(p).steps[0][1]), ("forest", RandomForestClassifier(
        5, bootstrap=False, random_state=0))]), FIELDS)  # fmt: skip
    assert fit(frame, target, {"seed": 1}, None).predict(frame)[0][0] == "no"
    assert fit(frame, target, {"seed": 1}, weights).predict(frame)[0][0] == "yes"


def by_hand(frame: pd.DataFrame, target: Any, params: dict[str, Any], weights: Any) -> Fitted:
    """No framework: the target's weighted mean, as ONNX that adds nothing to it."""
    mean = np.float32(np.average(target, weights=weights))

    def predict(rows: pd.DataFrame) -> Answers:
        return np.full(len(rows), mean), None

    def export() -> bytes:
        graph = helper.make_graph(
            [helper.make_node("Mul", ["x", "none"], ["nothing"]),
             helper.make_node("Add", ["nothing", "mean"], ["prediction"])],
            "model",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
            [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])],
            [numpy_helper.from_array(np.float32([0]), "none"), numpy_helper.from_array(mean[None], "mean")],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))

    return Fitted(predict, export, None)


def test_any_framework_that_exports_onnx_fits(folder: Path) -> None:
    """A regression without scikit-learn goes through split, train and evaluate, candidates and weights included."""
    (folder / "params.yaml").write_text("metric: rmse\nseed: 1\nsplit: {test_size: 0.25}\ntrain: {}\n")
    for path in (folder / "data").rglob("*.parquet"):
        frame = pd.read_parquet(path)
        frame.assign(y=(frame["y"] == "yes") * 1.0 + len(frame) % 3).to_parquet(path)
    fields = FIELDS[:1]
    split_stage("y", fields)
    train_stage("y", fields, fit=by_hand)
    evaluate_stage("y", fields)
    said = read("reports/candidates.json")
    assert read("models/classes.json") is None
    assert read("reports/agreement.json")["prediction_max_difference"] == 0
    assert len(said["candidates"]) == 4
    least = min(said["candidates"], key=lambda name: said["candidates"][name]["metrics"]["rmse"])
    assert said["chosen"] == least
    curve = read("models/learning_curve.json")
    assert curve["loss"][-1] == pytest.approx(read("reports/metrics.json")["rmse"])
    with pytest.raises(ValueError, match="either make or fit"):
        train_stage("y", fields)


def test_the_samples_of_a_learning_curve_are_nested() -> None:
    """Each holds the smaller ones; a sample that cannot be trained on is left out."""
    seen: list[set[int]] = []

    def loss(index: NDArray[np.intp]) -> float | None:
        seen.append(set(index.tolist()))
        return None if len(index) == 20 else 1 / len(index)

    assert learning_curve(160, 0.0, loss, 5) == {"rows": [10, 40, 80, 160], "loss": [0.1, 0.025, 0.0125, 0.0]}
    assert [len(sample) for sample in seen] == [10, 20, 40, 80]
    assert all(small < large for small, large in pairwise(seen))


def test_a_metric_that_cannot_decide_is_named(folder: Path) -> None:
    """A classifier has no MAE: said with what it has."""
    (folder / "params.yaml").write_text("metric: mae\nseed: 1\nsplit: {test_size: 0.25}\ntrain: {}\n")
    split_stage("y", FIELDS)
    with pytest.raises(ValueError, match="'mae' cannot decide here; it may be one of accuracy, log_loss"):
        train_stage("y", FIELDS, make)


def test_one_lucky_span_chooses_nothing() -> None:
    """Five wrong rows of forty are proof where each stands for itself, and chance where they are all of one day of eight."""
    costs = {"a": (np.arange(40) < 5).astype(float), "b": np.zeros(40)}
    assert best(costs) == "b"
    assert best(costs, np.arange(40) // 5) == "a"
    spread = {"a": (np.arange(40) % 5 == 0).astype(float), "b": np.zeros(40)}
    assert best(spread, np.arange(40) // 5) == "b"
