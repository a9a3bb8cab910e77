"""A regression all the way: its stages, its figures, its profile, and the services' code on its model."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from modelkit.export import to_onnx
from modelkit.stages import cast
from numpy.typing import NDArray
from predictor.domain.model import Model
from scoring import OnnxModel
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.pipeline import Pipeline
from summaries.counts import count
from summaries.profile import FieldSpec, Profile
from summaries.quality import Regression
from trainer.domain.challenge import Scored, challenge

HERE = Path(__file__).parent / "arrival_delay"
FLIGHTS = Path(__file__).parents[2] / "projects" / "flights" / "src"
TARGET = "arr_delay"


def _run(command: str, folder: Path, **env: str) -> str:
    """What a shell command prints."""
    paths = os.pathsep.join(filter(None, [str(FLIGHTS), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": paths} | env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which each stage of ``dvc.yaml`` has run, in order."""
    folder = tmp_path_factory.mktemp("made") / "arrival_delay"
    shutil.copytree(HERE, folder)
    for stage in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].values():
        _run(stage["cmd"], folder)
    return folder


@pytest.fixture(scope="module")
def fields(project: Path) -> list[FieldSpec]:
    """What the model takes, as the train stage wrote it."""
    return [FieldSpec(**field) for field in _read(project / "models" / "fields.json")]


@pytest.fixture(scope="module")
def rows(project: Path, fields: list[FieldSpec]) -> pd.DataFrame:
    """The held-out rows, typed as in training, with their truth."""
    return cast(pd.read_parquet(project / "data" / "test.parquet"), fields)


@pytest.fixture(scope="module")
def exported(project: Path, rows: pd.DataFrame, fields: list[FieldSpec]) -> NDArray[Any]:
    """What the ONNX model says of them."""
    model = OnnxModel((project / "models" / "model.onnx").read_bytes(), [f.name for f in fields])
    return model.score({f.name: rows[f.name].to_numpy() for f in fields}, len(rows)).predictions


@pytest.fixture(scope="module")
def original(project: Path, rows: pd.DataFrame, fields: list[FieldSpec]) -> NDArray[Any]:
    """What the scikit-learn pipeline, fitted once more, says of them."""
    names, p = [f.name for f in fields], yaml.safe_load((project / "params.yaml").read_text())
    train = cast(pd.read_parquet(project / "data" / "train.parquet"), fields)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FLIGHTS))
        patch.syspath_prepend(str(project / "src"))
        make = importlib.import_module("arrival_delay.train").make
    pipeline = make(p["train"] | {"seed": p["seed"]}).fit(train[names], train[TARGET])
    return np.asarray(pipeline.predict(rows[names]))


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _stages(project: Path) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    return stages


def test_each_stage_makes_what_it_says(project: Path) -> None:
    """Outputs and metrics that ``dvc.yaml`` names are there: ``dvc repro`` would fail else."""
    for stage in _stages(project).values():
        named = [*stage.get("outs", []), *(next(iter(m)) for m in stage.get("metrics", []))]
        assert [name for name in named if not (project / name).is_file()] == []
    train, test = (len(pd.read_parquet(project / "data" / f"{part}.parquet")) for part in ("train", "test"))
    assert 1_000 < test < train


def test_metrics_are_scikit_learn_s(
    project: Path, rows: pd.DataFrame, exported: NDArray[Any], original: NDArray[Any]
) -> None:
    """Of the exported model on the test rows; those of the original are the same but for float32."""
    found, truth = _read(project / "reports" / "metrics.json"), rows[TARGET].to_numpy()
    for predicted, within in ((exported.astype(np.float64), 1e-12), (original, 1e-6)):
        expected = {
            "mae": metrics.mean_absolute_error(truth, predicted),
            "rmse": metrics.root_mean_squared_error(truth, predicted),
            "mape": metrics.mean_absolute_percentage_error(truth, predicted),
            "bias": float((predicted - truth).mean()),
            "r2": metrics.r2_score(truth, predicted),
        }
        assert found == pytest.approx(expected, rel=within, abs=within)
    assert found["r2"] > 0
    agreement = _read(project / "reports" / "agreement.json")
    assert agreement["rows"] == len(rows)
    apart = float(np.abs(original - exported).max())
    assert agreement["prediction_max_difference"] == pytest.approx(apart, rel=1e-3)
    assert apart < 1e-3  # minutes


def test_the_profile_is_a_regression_s(project: Path, rows: pd.DataFrame) -> None:
    """It validates, has no classes, and carries the quality of the held-out rows."""
    content = _read(project / "models" / "profile.json")
    profile = Profile.from_dict(content)
    assert (profile.task, profile.classes, profile.target) == ("regression", None, TARGET)
    assert [field.name for field in profile.outputs] == [f"prediction:{TARGET}"]
    assert profile.to_dict() == content
    quality = Regression.from_dict(content["quality"])
    assert quality.rows == len(rows)
    known, got = _read(project / "reports" / "metrics.json"), quality.get()
    assert {name: got[name] for name in known} == pytest.approx(known, rel=1e-9)


def test_the_predictor_serves_it(
    project: Path, rows: pd.DataFrame, fields: list[FieldSpec], exported: NDArray[Any], original: NDArray[Any]
) -> None:
    """Its answers are floats, the exported model's own and the pipeline's to float32, without probabilities."""
    answers, probabilities = _served(project).score(_columns(rows, fields), len(rows))
    assert probabilities is None
    assert {type(answer) for answer in answers} == {float}
    assert answers == exported.tolist()
    np.testing.assert_allclose(answers, original, rtol=1e-5, atol=1e-4)


def test_the_monitor_counts_what_is_served_where_the_profile_has_it(
    project: Path, rows: pd.DataFrame, fields: list[FieldSpec]
) -> None:
    """The held-out rows served again fall into the very cells of the reference: float for float the same answers."""
    profile = Profile.from_dict(_read(project / "models" / "profile.json"))
    columns = _columns(rows, fields)
    answers, _ = _served(project).score(columns, len(rows))
    name = f"prediction:{TARGET}"
    reference = profile.monitored()[name]
    placed = profile.index_batch(columns, answers)[name]
    assert count(placed, reference.size).tolist() == reference.counts.tolist()


def _served(project: Path) -> Model:
    """The version as the predictor loads it."""
    onnx = (project / "models" / "model.onnx").read_bytes()
    return Model("arrival-delay", "1", onnx, _read(project / "models" / "profile.json"))


def _columns(rows: pd.DataFrame, fields: list[FieldSpec]) -> dict[str, list[Any]]:
    """As a request brings them: a missing number is None."""
    return {
        f.name: [None if value is None or value != value else value for value in rows[f.name].tolist()]
        for f in fields
    }


def test_the_trainer_s_challenge_compares_errors(
    project: Path, rows: pd.DataFrame, exported: NDArray[Any]
) -> None:
    """The forest beats whoever always says the mean, by the project's metric and by the squared error."""
    mean = pd.read_parquet(project / "data" / "train.parquet")[TARGET].mean()
    constant, known = Scored(np.full(len(rows), mean)), _read(project / "reports" / "metrics.json")
    for metric, enough in (("mae", 0.5), ("rmse", 0.05)):
        verdict = challenge(
            rows[TARGET].to_numpy(), constant, Scored(exported),
            metric=metric, task="regression", min_gain=0.0, promote_p_value=enough,
        )  # fmt: skip
        assert verdict.promoted, verdict.reason
        assert verdict.metrics["challenger"][metric] == pytest.approx(known[metric])


def test_it_is_registered_with_what_it_takes_and_gives(
    project: Path, tmp_path: Path, fields: list[FieldSpec]
) -> None:
    """The registry's version has the signature of a regression, its metrics and its profile."""
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = _stages(project)["profile"]["cmd"].replace("profile", "publish")
    printed = _run(
        f"{command} --alias champion", project,
        ATALAIA_MLFLOW=store, ATALAIA_MODEL="arrival-delay", ATALAIA_TAGS="{}",
    )  # fmt: skip
    said = json.loads(printed.strip().splitlines()[-1])
    import mlflow

    client = mlflow.MlflowClient(store, store)
    champion = client.get_model_version_by_alias("arrival-delay", "champion")
    assert str(champion.version) == said["version"]
    run = client.get_run(said["run_id"])
    known = _read(project / "reports" / "metrics.json")
    assert {name: run.data.metrics[name] for name in known} == pytest.approx(known)
    assert {entry.path for entry in client.list_artifacts(said["run_id"])} >= {"profile.json"}
    (described,) = client.search_logged_models([run.info.experiment_id])
    model = mlflow.models.Model.load(f"{described.artifact_location}/MLmodel")
    assert [(spec.name, spec.type.name) for spec in model.signature.outputs] == [("prediction", "float")]
    assert [spec.name for spec in model.signature.inputs] == [f.name for f in fields]


def test_what_is_neither_is_refused(fields: list[FieldSpec]) -> None:
    """A clustering has neither classes nor numbers to answer with: said, not exported."""
    fitted = Pipeline([("clusters", KMeans(2, n_init=1))]).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match="neither a classifier nor a regressor"):
        to_onnx(fitted, fields[:1])
