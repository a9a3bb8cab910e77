"""A framework that is not scikit-learn: LightGBM's boosters as ONNX models."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
from modelkit.agreement import agreement
from modelkit.export import score
from modelkit.fitted import Fitted
from modelkit.lightgbm import DETERMINISTIC, from_lightgbm
from summaries.profile import FieldSpec

FIELDS = [FieldSpec("x", "float32"), FieldSpec("y z", "float32", optional=True), FieldSpec("n", "int64")]
KINDS: dict[str, tuple[dict[str, Any], list[Any] | None]] = {
    "three classes": ({"objective": "multiclass", "num_class": 3}, ["low", "mid", "high"]),
    "numbered classes": ({"objective": "multiclass", "num_class": 3}, [4, 6, 9]),
    "two classes": ({"objective": "binary"}, ["no", "yes"]),
    "regression": ({"objective": "regression"}, None),
}


def frame(rows: int = 300) -> pd.DataFrame:
    """Three columns, the second with holes."""
    generator = np.random.default_rng(0)
    y = generator.normal(size=rows).astype("float32")
    y[::7] = np.nan
    return pd.DataFrame({
        "x": generator.normal(size=rows).astype("float32"), "y z": y, "n": generator.integers(0, 9, rows)
    })  # fmt: skip


def fitted(kind: str) -> Fitted:
    """A booster for one of ``KINDS``."""
    given, classes = KINDS[kind]
    rows = frame()
    value = rows["x"] + rows["y z"].fillna(1) + rows["n"] / 9
    target = value if classes is None else pd.qcut(value, len(classes), labels=False)
    booster = lightgbm.train(DETERMINISTIC | given | {"seed": 1}, lightgbm.Dataset(rows, target), 20)
    return from_lightgbm(booster, FIELDS, classes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_export_agrees_with_the_original(kind: str) -> None:
    """The same classes by their own names and types, the same numbers to float32, missing values and all."""
    model = fitted(kind)
    onnx.checker.check_model(onnx.load_from_string(model.onnx))
    found = agreement(model, frame(), FIELDS)
    assert found["rows"] == 300
    predictions, probabilities = score(model.onnx, frame(), FIELDS)
    if model.classes is None:
        assert found["prediction_max_difference"] < 1e-5
        assert probabilities is None
        return
    assert found["labels_differing"] == 0
    assert found["probability_max_difference"] < 1e-6
    assert probabilities is not None
    assert probabilities.shape == (300, len(model.classes))
    assert set(predictions.tolist()) == set(model.classes)


def test_equal_models_export_to_equal_bytes() -> None:
    """Trained and exported in two processes with other hash seeds, a booster is one file's bytes."""
    script = "import test_lightgbm as t; print(t.digest())"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        )
        for seed in ("1", "3")
    ]  # fmt: skip
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert [code for _, _, code in ended] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    assert ended[0][0].strip() == digest()


def digest() -> str:
    """The sha256 of a classifier's ONNX model, trained anew."""
    return hashlib.sha256(fitted("three classes").onnx).hexdigest()


def test_what_does_not_match_is_said() -> None:
    """A text, too few fields and too few classes are one line each, before anything is exported."""
    given, classes = KINDS["three classes"]
    rows = frame()
    booster = lightgbm.train(DETERMINISTIC | given, lightgbm.Dataset(rows, np.arange(300) % 3), 2)
    with pytest.raises(ValueError, match="encode kind before it"):
        _ = from_lightgbm(booster, [*FIELDS, FieldSpec("kind", "string")], classes).onnx
    with pytest.raises(ValueError, match="takes 3 features, there are 2 fields"):
        _ = from_lightgbm(booster, FIELDS[:2], classes).onnx
    with pytest.raises(ValueError, match="2 classes do not match"):
        _ = from_lightgbm(booster, FIELDS, ["a", "b"]).onnx
