"""A tree of depth 8 over 11 normal features and three classes, as ``FOLDER/1/models`` holds a version, and rows to send.

Run as ``python bench/scaling_model.py FOLDER``, in a process of its own for scikit-learn's sake.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from modelkit.export import to_onnx
from monitor import NAMES
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from summaries.profile import FieldSpec, Profile

ROWS, DEPTH = 5_000, 8


def main() -> None:
    """Fit, export, write."""
    folder = Path(sys.argv[1]) / "1" / "models"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(8)
    rows = pd.DataFrame(rng.normal(size=(ROWS, len(NAMES))).round(4).astype(np.float32), columns=NAMES)
    noisy = rows["x0"] + rows["x1"] * rows["x2"] + rng.normal(size=ROWS)
    truth = pd.cut(noisy, [-np.inf, -0.7, 0.7, np.inf], labels=["low", "middle", "high"]).astype(str)
    tree = DecisionTreeClassifier(max_depth=DEPTH, random_state=8)
    pipeline = Pipeline([("columns", ColumnTransformer([("all", "passthrough", NAMES)])), ("tree", tree)])
    pipeline.fit(rows, truth)
    fields = [FieldSpec(name, "float32") for name in NAMES]
    (folder / "model.onnx").write_bytes(to_onnx(pipeline, fields))
    columns = {name: rows[name].tolist() for name in NAMES}
    classes = [str(c) for c in pipeline.classes_]
    scores = dict(zip(classes, pipeline.predict_proba(rows).T.tolist(), strict=True))
    profile = Profile.build(
        columns, fields, pipeline.predict(rows).tolist(), scores, "y", classes, "classification"
    )
    (folder / "profile.json").write_text(json.dumps(profile.to_dict()), encoding="utf-8")
    sent = [
        {name: float(f"{value:.4f}") for name, value in row.items()} for row in rows[:1000].to_dict("records")
    ]
    (Path(sys.argv[1]) / "rows.json").write_text(json.dumps(sent), encoding="utf-8")


if __name__ == "__main__":
    main()
