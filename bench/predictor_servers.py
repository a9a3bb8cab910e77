"""The servers that are compared, each a process: ``python bench/predictor_servers.py WHICH FOLDER PORT CORE[,CORE]``.

``bare``: as little as can answer, uvicorn's protocol and ONNX Runtime, no validation, nothing logged. ``fastapi``: what
people write, FastAPI and a pydantic model, nothing logged either. ``ours``: the predictor as it is, on the broker that
``ATALAIA_KAFKA`` names; only the registry is a folder. The first two score with the same tree as ours in the form that
ONNX Runtime runs fastest, one input [N, fields]; ours takes the version as the project exports it, an input a field.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[2])
PR_SET_PDEATHSIG = 1


def session() -> Any:
    """The tree, version 1, by one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(FOLDER / "1" / "models" / "matrix.onnx")
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def classes() -> list[str]:
    """Names of the classes, in the order of the probabilities."""
    names: list[str] = json.loads((FOLDER / "1" / "models" / "classes.json").read_text(encoding="utf-8"))
    return names


def bare() -> Any:
    """An ASGI function; many rows are answered as ours answers them, without ids."""
    import numpy as np
    import orjson

    run, names = session().run, classes()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        content = orjson.loads(body)
        if scope["path"].endswith("batch"):
            rows = [list(row.values()) for row in content["rows"]]
        else:
            rows = [list(content["features"].values())]
        label, probabilities = run(None, {"x": np.array(rows, dtype=np.float32)})
        found = [
            {"quality": value, "probabilities": dict(zip(names, row, strict=True))}
            for value, row in zip(label.tolist(), probabilities.tolist(), strict=True)
        ]
        answer = orjson.dumps({"predictions": found} if scope["path"].endswith("batch") else found[0])
        headers = [
            (b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode()),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def fastapi() -> Any:
    """An application with typed request and answer; the endpoint is ``async``, which spares it the thread pool."""
    import numpy as np
    from fastapi import FastAPI
    from pydantic import BaseModel, ConfigDict, Field, create_model
    from wine_quality.fields import FIELDS

    run, names = session().run, classes()
    fields: dict[str, Any] = {
        f.name.replace(" ", "_"): (float, Field(ge=f.min, alias=f.name)) for f in FIELDS
    }
    features = create_model("Features", __config__=ConfigDict(extra="forbid"), **fields)

    class Row(BaseModel):
        features: features

    class Answer(BaseModel):
        quality: int
        probabilities: dict[str, float]

    app = FastAPI()

    async def predict(row: Row) -> Answer:
        values = list(row.features.model_dump().values())
        label, probabilities = run(None, {"x": np.array([values], dtype=np.float32)})
        return Answer(
            quality=int(label[0]), probabilities=dict(zip(names, probabilities[0].tolist(), strict=True))
        )

    predict.__annotations__ = {"row": Row, "return": Answer}  # they are local, so their names say nothing
    app.post("/api/v1.0/predict/")(predict)
    return app


class FolderRegistry:
    """The registry's part: versions out of ``FOLDER``; version 1 bears the alias."""

    def __init__(self, _: str = "") -> None:
        pass

    def champion(self, model: str) -> str:
        """As the real one."""
        return "1"

    def bundle(self, model: str, version: str) -> Any:
        """As the real one."""
        from servicekit.registry import ModelBundle

        folder = FOLDER / version / "models"
        content = (folder / "model.onnx").read_bytes()
        profile = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
        return ModelBundle(model, version, content, hashlib.sha256(content).hexdigest(), "", profile, [])


def main() -> int:
    """Serve until SIGTERM."""
    which, port, cores = sys.argv[1], int(sys.argv[3]), sys.argv[4]
    os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # no server outlives its bench
    if which == "ours":
        import servicekit.registry

        # before bootstrap has it, and without importing that: a worker sets its number before there are metrics
        servicekit.registry.Registry = FolderRegistry  # type: ignore[assignment,misc]
        os.environ["ATALAIA_PREDICTOR_PORT"] = str(port)
        from predictor.__main__ import main as run

        sys.argv[1:] = sys.argv[5:]  # a worker's own
        return run()
    import uvicorn

    app = {"bare": bare, "fastapi": fastapi}[which]()
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="none", lifespan="off",
        access_log=False, log_level="warning",
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
