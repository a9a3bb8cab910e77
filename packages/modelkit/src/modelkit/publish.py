"""Logs a pipeline's result as an MLflow run and registers the version. Last line printed: JSON.

The tags of the trainer come in ``ATALAIA_TAGS`` (JSON); ``--alias champion`` moves the alias as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import pandas as pd
from summaries.profile import FieldSpec, Task

from modelkit.export import OUTPUTS
from modelkit.project import DATA, MODELS, REPORTS, fail, params, read_json


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _figure(confusion: dict[str, dict[str, int]]) -> Any:
    from matplotlib.figure import Figure

    names = list(confusion)
    figure = Figure(figsize=(1.5 + len(names), 1.2 + len(names)), layout="constrained")
    axes = figure.subplots()
    table = [[confusion[t][c] for c in names] for t in names]
    axes.imshow(table, cmap="Blues")
    for i, row in enumerate(table):
        for j, n in enumerate(row):
            axes.text(j, i, str(n), ha="center", va="center")
    axes.set(
        xticks=range(len(names)),
        yticks=range(len(names)),
        xlabel="predicted",
        ylabel="truth",
        title="Confusion",
    )
    axes.set_xticklabels(names)
    axes.set_yticklabels(names)
    return figure


def publish(name: str, target: str, fields: Sequence[FieldSpec]) -> None:
    """Register ``models/model.onnx`` under ``ATALAIA_MODEL`` or ``name``."""
    parser = argparse.ArgumentParser(description=publish.__doc__)
    parser.add_argument("--alias", help="alias to give the version, such as champion")
    alias = parser.parse_args().alias
    name = os.environ.get("ATALAIA_MODEL", name)
    uri = os.environ.get("ATALAIA_MLFLOW") or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        fail("set ATALAIA_MLFLOW to the MLflow server's address")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    import onnx
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    content = (MODELS / "model.onnx").read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    model = onnx.load_from_string(content)
    profile = read_json(MODELS / "profile.json")
    numbered = model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT64
    types = {
        "float32": DataType.float, "int64": DataType.long, "string": DataType.string, "bool": DataType.string,
    }  # fmt: skip
    of_task = {
        "classification": [DataType.long if numbered else DataType.string, Array(DataType.float)],
        "regression": [DataType.float],
    }
    task: Task = profile["task"]
    outputs = [ColSpec(kind, name) for kind, name in zip(of_task[task], OUTPUTS[task], strict=True)]
    signature = ModelSignature(
        inputs=Schema([ColSpec(types[f.dtype], f.name, required=not f.optional) for f in fields]),
        outputs=Schema(outputs),
    )
    train = pd.read_parquet(DATA / "train.parquet")
    example = train[[f.name for f in fields]].dropna().head(2)
    given = json.loads(os.environ.get("ATALAIA_TAGS", "{}"))
    tags = {k: str(v) for k, v in given.items()} | {"sha256": checksum, "target": target}
    mlflow.set_experiment(name)
    with mlflow.start_run(tags=tags) as run:
        mlflow.log_params(_flat(params()) | {"train_rows": len(train)})
        mlflow.log_metrics(
            read_json(REPORTS / "metrics.json")
            | {f"onnx_{k}": v for k, v in read_json(REPORTS / "agreement.json").items()}
        )
        mlflow.log_dict(profile, "profile.json")
        for made in (MODELS / "learning_curve.json", REPORTS / "candidates.json", REPORTS / "losses.parquet"):
            if made.is_file():  # a project of before there were several candidates has none
                mlflow.log_artifact(str(made))
        if task == "classification":
            confusion = read_json(REPORTS / "confusion.json")
            mlflow.log_dict(confusion, "confusion.json")
            mlflow.log_figure(_figure(confusion), "confusion.png")
        logged = mlflow.onnx.log_model(
            model,
            name="model",
            registered_model_name=name,
            signature=signature,
            input_example=example,
            pip_requirements=["mlflow", "onnx", "onnxruntime"],
            onnx_execution_providers=["CPUExecutionProvider"],
            await_registration_for=60,
        )
    client, version = mlflow.MlflowClient(), str(logged.registered_model_version)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    if alias:
        client.set_registered_model_alias(name, alias, version)
    print(json.dumps({"version": version, "run_id": run.info.run_id, "sha256": checksum}))
