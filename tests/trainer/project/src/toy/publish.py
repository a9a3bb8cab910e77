"""Register what the stage made, and print which version it became."""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import mlflow
import onnx
from mlflow.models import infer_signature


def main() -> None:
    """Log, register, tag."""
    import pandas as pd

    name = os.environ["ATALAIA_MODEL"]
    tags = json.loads(os.environ.get("ATALAIA_TAGS", "{}"))
    mlflow.set_tracking_uri(os.environ["ATALAIA_MLFLOW"])
    mlflow.set_experiment(name)
    content = Path("models/model.onnx").read_bytes()
    example = pd.DataFrame({"x": pd.Series([1.0], dtype="float32"), "kind": ["a"]})
    with mlflow.start_run(tags=tags) as run:
        hold = os.environ.get("TOY_HOLD")  # a test's way to kill the trainer here
        while hold and Path(hold).exists():
            time.sleep(0.02)
        mlflow.log_artifact("models/profile.json")
        info = mlflow.onnx.log_model(
            onnx.load("models/model.onnx"),
            name="model",
            registered_model_name=name,
            signature=infer_signature(example, pd.DataFrame({"y": [1]})),
            pip_requirements=["onnxruntime"],
        )
    version = str(info.registered_model_version)
    client = mlflow.MlflowClient()
    for key, value in {**tags, "sha256": hashlib.sha256(content).hexdigest()}.items():
        client.set_model_version_tag(name, version, key, value)
    if "--champion" in sys.argv:
        client.set_registered_model_alias(name, "champion", version)
    print(json.dumps({"version": version, "run_id": run.info.run_id}))


if __name__ == "__main__":
    main()
