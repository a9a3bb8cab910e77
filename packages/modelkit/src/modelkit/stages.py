"""The stages after a project's own data preparation, driven by its fields and its pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from summaries.labels import names_of, text, texts
from summaries.profile import FieldSpec, Profile

from modelkit.agreement import agreement
from modelkit.candidates import draw, named
from modelkit.export import score, sklearn_fit
from modelkit.fitted import Fit
from modelkit.measures import measure
from modelkit.plots import write_predictions
from modelkit.project import DATA, MODELS, REPORTS, combine, live_rows, params, read_json, write_json
from modelkit.training import Training, report, without_copies


def cast(frame: pd.DataFrame, fields: Sequence[FieldSpec]) -> pd.DataFrame:
    """The fields' columns in the fields' types: float32 before training, as the exported model computes."""
    result = frame.copy()
    for field in fields:
        if field.dtype == "float32":
            result[field.name] = result[field.name].astype("float32")
        elif field.dtype == "string":
            result[field.name] = result[field.name].astype(object)
    return result


def typed(labels: pd.Series[Any], base: pd.Series[Any]) -> pd.Series[Any]:
    """Labels in the type of the base data's: through JSON they may have come as text. Truth values become text:
    ONNX models answer them with 0 and 1, which are the names of other classes.

    Raises ``ValueError`` for one that this type cannot hold, as 5.5 among whole numbers: it would be another class.

    >>> typed(pd.Series(["true", False]), pd.Series([True, False])).tolist()
    ['true', 'false']
    """
    names = texts(labels.tolist())
    if base.dtype == bool:
        return pd.Series(names, index=labels.index, dtype=object)
    known = {text(value): value for value in base.unique().tolist()}
    if set(names) <= set(known):
        return pd.Series([known[name] for name in names], index=labels.index, dtype=base.dtype)
    cast = labels.astype(base.dtype)
    lost = [name for name, is_ in zip(names, texts(cast.tolist()), strict=True) if name != is_]
    if lost:
        raise ValueError(f"{lost[0]!r} is no label of the base data's type, {base.dtype}")
    return cast


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

    Beside the fields and the target the training rows have their ``event_time`` (milliseconds; null where the base
    data have none), live test rows their ``prediction_id``.
    """
    p = params()
    base = pd.read_parquet(DATA / "base.parquet")
    columns = [*(f.name for f in fields), target]
    parts = split_base(base, p["split"]["test_size"], p["seed"], group)
    train, test = combine(*parts, columns)
    numbers = p.get("metric") in ("mae", "rmse") and pd.api.types.is_numeric_dtype(base[target])
    for frame in (train, test):
        if numbers:  # base data of whole numbers must not cut off a live truth's fraction
            frame[target] = frame[target].astype("float64")
        else:
            frame[target] = typed(frame[target], base[target])
    train.to_parquet(DATA / "train.parquet", index=False)
    test.to_parquet(DATA / "test.parquet", index=False)


def train_stage(
    target: str,
    fields: Sequence[FieldSpec],
    make: Callable[[dict[str, Any]], Any] | None = None,
    *,
    fit: Fit | None = None,
) -> None:
    """Train each candidate and export the best: ``make`` gives an untrained scikit-learn pipeline, ``fit`` trains whatever
    exports ONNX. Their parameters are the ``train`` and the ``seed`` of ``params.yaml``.

    Candidates are those of :mod:`modelkit.candidates`; copies of test rows are kept out of them all. Writes
    ``models/model.onnx`` of the chosen one, ``fields.json``, ``classes.json`` (null for a regression) and
    ``learning_curve.json``, and in ``reports`` how far the ONNX model and the original are apart on the test rows, the
    choice with its figures, and ``losses.parquet``: what each test row costs each candidate, in the order of the test rows.
    """
    trains = fit if make is None else sklearn_fit(make, fields)
    if trains is None or (make is not None and fit is not None):
        raise ValueError("give either make or fit")
    p, names = params(), [f.name for f in fields]
    test = cast(pd.read_parquet(DATA / "test.parquet"), fields)
    train = cast(pd.read_parquet(DATA / "train.parquet"), fields)
    train, duplicates = without_copies(train, test, [*names, target])
    metric = p.get("metric", "log_loss")
    given = p["train"] | {"seed": p["seed"]}
    training = Training(train, test, target, fields, trains, given, metric)
    tried = training.each(draw(named(), train, target, classified=metric in ("accuracy", "log_loss")))
    chosen = training.best(tried)
    fitted = chosen.fitted
    (MODELS / "model.onnx").write_bytes(fitted.onnx)
    write_json(MODELS / "fields.json", [f.__dict__ for f in fields])
    write_json(MODELS / "classes.json", None if fitted.classes is None else texts(list(fitted.classes)))
    write_json(MODELS / "learning_curve.json", training.curve(chosen, p["seed"]))
    write_json(REPORTS / "agreement.json", agreement(fitted, test, fields))
    write_json(REPORTS / "candidates.json", report(tried, chosen, metric, duplicates))
    ids = {"prediction_id": test["prediction_id"]} if "prediction_id" in test else {}
    each = {one.drawn.candidate.name: one.losses for one in tried}
    pd.DataFrame(ids | each).to_parquet(REPORTS / "losses.parquet", index=False)


def evaluate_stage(target: str, fields: Sequence[FieldSpec]) -> None:
    """Metrics of the ONNX model on the test rows, its answers, and a classifier's confusion."""
    from sklearn.metrics import confusion_matrix

    model = (MODELS / "model.onnx").read_bytes()
    classes: list[str] | None = read_json(MODELS / "classes.json")
    test = cast(pd.read_parquet(DATA / "test.parquet"), fields)
    predicted, probabilities = score(model, test, fields)
    write_predictions(REPORTS, test[target], predicted)
    write_json(REPORTS / "metrics.json", measure(test[target], predicted, probabilities, classes))
    if classes is None:
        return
    matrix = confusion_matrix(names_of(test[target].to_numpy()), names_of(predicted), labels=classes)
    write_json(
        REPORTS / "confusion.json",
        {t: {c: int(matrix[i, j]) for j, c in enumerate(classes)} for i, t in enumerate(classes)},
    )


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
        predictions=predicted if classes is None else names_of(predicted).tolist(),
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
