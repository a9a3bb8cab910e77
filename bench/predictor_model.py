"""The wine tree in three versions, as the project's own stages make them, and what the bench asks of them.

Run as ``python bench/predictor_model.py FOLDER``: ``FOLDER/1`` to ``FOLDER/3`` get ``model.onnx`` and ``profile.json``,
version 1 ``matrix.onnx`` too, the same tree with one input [N, fields]; ``FOLDER/rows.json`` the rows to send.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from modelkit.export import score
from modelkit.project import stage
from modelkit.stages import cast, evaluate_stage, profile_stage, split_stage, train_stage
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from wine_quality.fields import FIELDS, TARGET
from wine_quality.prepare import prepare, read_worlds
from wine_quality.train import make

PROJECT = Path(__file__).parents[1] / "projects" / "wine-quality"
DEPTHS = {"1": 8, "2": 5, "3": 3}  # version: depth of its tree; 8 is the project's own
APART = 1e-3


def parameters() -> dict[str, Any]:
    """The project's ``params.yaml``."""
    content: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    return content


def build(folder: Path, depth: int) -> Any:
    """Run the project's stages in ``folder`` with a tree of ``depth``; returns the fitted pipeline."""
    given = parameters()
    given["train"]["max_depth"] = depth
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    made: list[Any] = []

    def keep(given: dict[str, Any]) -> Any:
        made.append(make(given))
        return made[-1]  # the first one is the model; the others are its learning curve's

    os.chdir(folder)
    for work in (
        prepare,
        lambda: split_stage(TARGET, FIELDS),
        lambda: train_stage(TARGET, FIELDS, keep),
        lambda: evaluate_stage(TARGET, FIELDS),
        lambda: profile_stage(TARGET, FIELDS),
    ):
        stage(work)
    return made[0]


def matrix(tree: Any) -> bytes:
    """The tree alone, whose one input is [N, fields]: the least that ONNX Runtime has to take in."""
    model = convert_sklearn(
        tree, name="model", initial_types=[("x", FloatTensorType([None, len(FIELDS)]))],
        options={id(tree): {"zipmap": False}}, target_opset=18,
    )  # fmt: skip
    return bytes(model.SerializeToString())


def telling(folder: Path, rows: pd.DataFrame) -> list[dict[str, float]]:
    """The rows whose probabilities differ between any two versions, so that a score names its version."""
    scores = [
        score((folder / version / "models" / "model.onnx").read_bytes(), cast(rows, FIELDS), FIELDS)[1]
        for version in DEPTHS
    ]
    least = np.min([np.abs(a - b).max(axis=1) for i, a in enumerate(scores) for b in scores[:i]], axis=0)
    names = [f.name for f in FIELDS]
    return [{n: float(row[n]) for n in names} for row in rows[least > APART].to_dict("records")]


def main(folder: Path) -> None:
    """Make all three versions."""
    folder = folder.absolute()
    for version, depth in DEPTHS.items():
        pipeline = build(folder / version, depth)
        if version == "1":
            (folder / version / "models" / "matrix.onnx").write_bytes(matrix(pipeline.named_steps["tree"]))
    rows = telling(folder, read_worlds(parameters())["base"])
    if len(rows) < 100:
        sys.exit(f"only {len(rows)} rows tell the versions apart; change DEPTHS")
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
