"""One stage: read the base data and what the trainer brought, fit a tree, export it with its profile."""

import json
import os
import time
from pathlib import Path

import pandas as pd
import yaml
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from summaries.profile import FieldSpec, Profile

FIELDS = [FieldSpec("x", "float32"), FieldSpec("kind", "string")]


def main() -> None:
    """Fit and export."""
    held = Path(os.environ.get("TOY_HOLD", "") + ".train")
    if held.exists():
        held.write_text("held")
    while held.exists():  # a test's way to kill the trainer here
        time.sleep(0.02)
    seed = yaml.safe_load(Path("params.yaml").read_text())["seed"]
    frame = pd.read_csv("data/base.csv", dtype={"x": "float32"})
    reference = frame
    if Path("data/live/training.parquet").exists():
        live = pd.read_parquet("data/live/training.parquet")
        frame = pd.concat([frame, live])
        reference = pd.read_parquet("data/live/reference.parquet")
    columns = ["x", "kind"]
    frame = frame.astype({"x": "float32", "y": "int64"})
    encode = ColumnTransformer(
        [("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"])], remainder="passthrough"
    )
    model = make_pipeline(encode, DecisionTreeClassifier(max_depth=4, random_state=seed))
    model.fit(frame[columns], frame["y"])
    reports = Path("reports")
    reports.mkdir(exist_ok=True)
    (reports / "metrics.json").write_text(json.dumps({"fit": model.score(frame[columns], frame["y"])}))
    kinds = [("x", FloatTensorType([None, 1])), ("kind", StringTensorType([None, 1]))]
    onnx = to_onnx(model, initial_types=kinds, options={"zipmap": False})
    models = Path("models")
    models.mkdir(exist_ok=True)
    (models / "model.onnx").write_bytes(onnx.SerializeToString())
    probabilities = model.predict_proba(reference[columns].astype({"x": "float32"}))
    profile = Profile.build(
        {"x": reference["x"].astype("float32").to_numpy(), "kind": reference["kind"].tolist()},
        FIELDS,
        probabilities.argmax(axis=1).tolist(),
        {"0": probabilities[:, 0].astype("float32"), "1": probabilities[:, 1].astype("float32")},
        "y",
        [0, 1],
        "classification",
    )
    (models / "profile.json").write_text(json.dumps(profile.to_dict()))


if __name__ == "__main__":
    main()
