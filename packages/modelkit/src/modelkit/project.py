"""A project's folder: parameters and the files its stages hand on. Stages run with it as working directory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import yaml

DATA, MODELS, REPORTS = Path("data"), Path("models"), Path("reports")


def params() -> dict[str, Any]:
    """The project's ``params.yaml``."""
    content: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    return content


def fail(message: str) -> NoReturn:
    """End with one clear line on standard error and exit code 2: the user can mend this."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(2)


def stage(work: Callable[[], None]) -> None:
    """Run a stage; a missing input is one clear line."""
    for folder in (DATA, MODELS, REPORTS):
        folder.mkdir(exist_ok=True)
    try:
        work()
    except FileNotFoundError as error:
        fail(f"{error.filename or error} is not there: run `dvc repro` in {os.path.basename(os.getcwd())}")


def write_json(path: Path, content: Any) -> None:
    """JSON with sorted keys, so that equal content is equal bytes."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def live_rows(name: str) -> pd.DataFrame | None:
    """Labelled live rows the trainer laid beside the base data, or None in the first world."""
    path = DATA / "live" / f"{name}.parquet"
    return pd.read_parquet(path) if path.exists() else None


def combine(
    base_train: pd.DataFrame, base_test: pd.DataFrame, columns: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows: base data, and live rows where there are any.

    With live rows the holdout alone is the test set, because it is the newest and seen by no model; the base
    test rows then join the training rows. A row in the holdout never trains: compared by ``prediction_id``. Training rows
    keep their ``event_time``, null where the base data have none; the holdout's rows keep their ``prediction_id``, and their
    ``event_span`` where the trainer gave one.
    """
    training, holdout = live_rows("training"), live_rows("holdout")
    if training is None or holdout is None or holdout.empty:
        return _timed(base_train, columns), base_test[columns]
    training = training[~training["prediction_id"].isin(set(holdout["prediction_id"]))]
    train = pd.concat([_timed(f, columns) for f in (base_train, base_test, training)], ignore_index=True)
    kept = [name for name in ("prediction_id", "event_span") if name in holdout]
    return train, holdout[[*columns, *kept]].reset_index(drop=True)


def _timed(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The columns, and when each row was."""
    times = frame["event_time"] if "event_time" in frame else pd.Series(pd.NA, index=frame.index)
    return frame[columns].assign(event_time=times.astype("Int64"))
