"""Runs a project's ``publish`` module, with the slow imports done while the pipeline still runs.

Used as ``python -m trainer.publisher PACKAGE FILE``: publishes once FILE is there, which holds the tags.
Importing MLflow takes seconds; a training would spend them at its end.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import time
from pathlib import Path


def main(package: str, tags: Path) -> None:
    """Import, wait, publish. Whoever started this ends it where there is nothing to publish."""
    with contextlib.suppress(ImportError):
        import mlflow.onnx
        import onnx
        import pandas

        del mlflow, onnx, pandas
    while not tags.exists():
        time.sleep(0.02)
    os.environ["ATALAIA_TAGS"] = tags.read_text(encoding="utf-8")
    sys.argv = [package]
    runpy.run_module(f"{package}.publish", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
