"""The stages after a project's own data preparation, driven by its fields and its pipeline."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from summaries.profile import FieldSpec, Profile

from modelkit.export import agreement, score, task_of, to_onnx
from modelkit.project import DATA, MODELS, REPORTS, combine, live_rows, params, read_json, write_json

EPSILON = float(np.finfo(np.float64).eps)  # as scikit-learn and the services clip a probability of 0


def cast(frame: pd.DataFrame, fields: Sequence[FieldSpec]) -> pd.DataFrame:
    """The fields' columns in the fields' types: float32 before training, as the exported model computes."""
    result = frame.copy()
    for field in fields:
        if field.dtype == "float32":
            result[field.name] = result[field.name].astype("float32")
        elif field.dtype == "string":
            result[field.name] = result[field.name].astype(object)
    return result


def split_base(
    base: pd.DataFrame, test_size: float, seed: int, group: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows, at random; with ``group`` whole groups of that column, so that none is in both.

    Rows of one day share its weather and its delays: a test row whose day was trained on is half known.
    """
    if group is None:
        from sklearn.model_selection import train_test_split

        train, test = train_test_split(base, test_size=test_size, random_state=seed)
    else:
        groups = np.sort(base[group].unique())
        held = np.random.default_rng(seed).permutation(groups)[: max(1, round(test_size * len(groups)))]
        mask = base[group].isin(held)
        train, test = base[~mask], base[mask]
    return train.reset_index(drop=True), test.reset_index(drop=True)


def split_stage(target: str, fields: Sequence[FieldSpec], group: str | None = None) -> None:
    """Write ``train.parquet`` and ``test.parquet`` from base rows and live rows; see :func:`split_base`.

    ``split.since_change`` in ``params.yaml``: see :func:`modelkit.project.combine`.
    """
    p = params()
    base = pd.read_parquet(DATA / "base.parquet")
    columns = [*(f.name for f in fields), target]
    parts = split_base(base, p["split"]["test_size"], p["seed"], group)
    train, test = combine(*parts, columns, since_change=p["split"].get("since_change", False))
    for frame in (train, test):  # a label that came through JSON may be text where the base data have numbers
        frame[target] = frame[target].astype(base[target].dtype)
    train.to_parquet(DATA / "train.parquet", index=False)
    test.to_parquet(DATA / "test.parquet", index=False)


def train_stage(target: str, fields: Sequence[FieldSpec], make: Callable[[dict[str, Any]], Any]) -> None:
    """Fit the project's pipeline and export it."""
    p = params()
    frame = cast(pd.read_parquet(DATA / "train.parquet"), fields)
    pipeline = make(p["train"] | {"seed": p["seed"]}).fit(frame[[f.name for f in fields]], frame[target])
    (MODELS / "model.onnx").write_bytes(to_onnx(pipeline, fields))
    with (MODELS / "original.pkl").open("wb") as file:  # read by the evaluate stage of the same run only
        pickle.dump(pipeline, file)
    write_json(MODELS / "fields.json", [f.__dict__ for f in fields])


def _measure(truth: Any, label: Any, probabilities: Any, classes: list[str]) -> dict[str, float]:
    from sklearn import metrics

    truth, label = np.asarray(truth).astype(str), np.asarray(label).astype(str)
    clipped = np.clip(np.asarray(probabilities, dtype=float), EPSILON, 1)
    at = {name: i for i, name in enumerate(classes)}
    picked = np.array([clipped[i, at[t]] if t in at else EPSILON for i, t in enumerate(truth)])
    found = {
        "accuracy": float(metrics.accuracy_score(truth, label)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, label)),
        "f1_macro": float(metrics.f1_score(truth, label, average="macro", zero_division=0)),
        "log_loss": float(-np.log(picked).mean()),
    }
    if len(classes) == 2 and len(set(truth)) == 2:
        found["auc"] = float(metrics.roc_auc_score(truth == classes[1], clipped[:, 1]))
    return found


def _measure_errors(truth: Any, predicted: Any) -> dict[str, float]:
    """Errors in the target's unit, bias predicted minus true; no R² of a constant truth.

    MAPE is scikit-learn's, as in the services' reports: a share, and of a truth of 0 one beyond all measure.
    """
    from sklearn import metrics

    truth, predicted = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    found = {
        "mae": float(metrics.mean_absolute_error(truth, predicted)),
        "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
        "mape": float(metrics.mean_absolute_percentage_error(truth, predicted)),
        "bias": float((predicted - truth).mean()),
    }
    if np.ptp(truth):
        found["r2"] = float(metrics.r2_score(truth, predicted))
    return found


def evaluate_stage(target: str, fields: Sequence[FieldSpec]) -> None:
    """Metrics of the ONNX model on the test rows, a classifier's confusion, and its agreement with the original.

    ``classes.json`` holds null for a regression.
    """
    from sklearn.metrics import confusion_matrix

    model = (MODELS / "model.onnx").read_bytes()
    with (MODELS / "original.pkl").open("rb") as file:
        pipeline = pickle.load(file)
    test = cast(pd.read_parquet(DATA / "test.parquet"), fields)
    predicted, probabilities = score(model, test, fields)
    write_json(REPORTS / "agreement.json", agreement(pipeline, model, test, fields))
    if task_of(pipeline) == "regression":
        write_json(REPORTS / "metrics.json", _measure_errors(test[target], predicted))
        write_json(MODELS / "classes.json", None)
        return
    classes = [str(c) for c in pipeline.classes_]
    write_json(REPORTS / "metrics.json", _measure(test[target], predicted, probabilities, classes))
    matrix = confusion_matrix(test[target].astype(str), predicted.astype(str), labels=classes)
    write_json(
        REPORTS / "confusion.json",
        {t: {c: int(matrix[i, j]) for j, c in enumerate(classes)} for i, t in enumerate(classes)},
    )
    write_json(MODELS / "classes.json", classes)


def profile_stage(target: str, fields: Sequence[FieldSpec]) -> None:
    """The reference: rows since the change where the trainer gave some, else all base rows.

    Outputs and their quality come from rows the model was not fitted on: the held-out ones.
    """
    model = (MODELS / "model.onnx").read_bytes()
    classes: list[str] | None = read_json(MODELS / "classes.json")
    since = live_rows("reference")
    if since is not None and len(since):
        world, unseen = cast(since, fields), cast(since[since["holdout"]], fields)
    else:
        world = cast(pd.read_parquet(DATA / "base.parquet"), fields)
        unseen = cast(pd.read_parquet(DATA / "test.parquet"), fields)
    predicted, probabilities = score(model, unseen, fields)
    given = None
    if classes is not None and probabilities is not None:
        given = {c: probabilities[:, i] for i, c in enumerate(classes)}
    profile = Profile.build(
        {f.name: _column(world, f) for f in fields},
        list(fields),
        predictions=predicted if classes is None else [str(v) for v in predicted],
        probabilities=given,
        target=target,
        classes=classes,
        task="regression" if classes is None else "classification",
        truth=unseen[target].tolist(),
    )
    write_json(MODELS / "profile.json", profile.to_dict())


def _column(frame: pd.DataFrame, field: FieldSpec) -> Any:
    if field.dtype == "string":
        return [None if v is None or v != v else str(v) for v in frame[field.name]]
    return frame[field.name].to_numpy()
