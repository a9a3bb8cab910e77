"""A project that ``copier copy`` gives: its pipeline passes, its model answers as the original, it can be updated."""

from __future__ import annotations

import importlib
import json
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import copier
import numpy as np
import pandas as pd
import pytest
import yaml
from modelkit.export import from_sklearn
from modelkit.fitted import Fitted
from modelkit.stages import cast
from predictor.domain.model import Model
from scoring import OnnxModel
from template_projects import Make, commit, git, run

KINDS = [
    pytest.param("lightgbm", "classification"),
    pytest.param("scikit-learn", "classification", marks=pytest.mark.slow),
    pytest.param("scikit-learn", "regression", marks=pytest.mark.slow),
    pytest.param("lightgbm", "regression", marks=pytest.mark.slow),
]


def original(folder: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Fitted]:
    """The project's fields, and what its framework makes of its training rows, before any ONNX."""
    monkeypatch.syspath_prepend(folder / "src")
    fields = importlib.import_module(f"{package}.fields")
    train = importlib.import_module(f"{package}.train")
    p = yaml.safe_load((folder / "params.yaml").read_text())
    rows = cast(pd.read_parquet(folder / "data" / "train.parquet"), fields.FIELDS)
    x, y, given = rows[[f.name for f in fields.FIELDS]], rows[fields.TARGET], p["train"] | {"seed": p["seed"]}
    if hasattr(train, "fit"):
        return fields, train.fit(x, y, given, None)
    return fields, from_sklearn(train.make(given).fit(x, y), fields.FIELDS)


@pytest.mark.parametrize(("framework", "task"), KINDS)
def test_its_pipeline_passes_and_its_model_answers_as_the_original(
    make: Make, framework: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ``copier copy`` to ``dvc repro`` with nothing between; the ONNX model against the framework's own answers.

    The predictor loads it with its profile, the project's own tests pass, and all that was made is in git or ignored.
    """
    package = f"made_{framework.replace('-', '_')}_{task}"
    folder = make("made", framework=framework, task=task, package=package)
    run(folder, "dvc", "repro", "--quiet")
    fields, fitted = original(folder, package, monkeypatch)
    rows = cast(pd.read_parquet(folder / "data" / "test.parquet"), fields.FIELDS)
    names = [f.name for f in fields.FIELDS]
    content = (folder / "models" / "model.onnx").read_bytes()
    found = OnnxModel(content, names).score({n: rows[n].to_numpy() for n in names}, len(rows))
    predicted, probabilities = fitted.predict(rows[names])
    if task == "classification":
        assert found.predictions.tolist() == predicted.tolist()
        assert found.probabilities is not None
        np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-6)
    else:
        np.testing.assert_allclose(found.predictions, predicted, rtol=1e-5)
    profile = json.loads((folder / "models" / "profile.json").read_text())
    answers, _ = Model("made", "1", content, profile).score({n: rows[n].tolist() for n in names}, len(rows))
    assert answers == found.predictions.tolist()
    assert "3 passed" in run(folder, "python", "-m", "pytest", "-q")
    left = git(folder, "status", "--porcelain", "--untracked-files=all").splitlines()
    new = {line[3:] for line in left}
    known = {"dvc.lock", *(f"reports/{n}.json" for n in ("agreement", "candidates", "confusion", "metrics"))}
    assert new == (known if task == "classification" else known - {"reports/confusion.json"})


def test_an_update_brings_the_template_s_changes_and_keeps_the_user_s(make: Make, template: Path) -> None:
    """A stage of the user's own and the user's own files stay; what the template changed since comes."""
    folder = make("made", package="mine")
    dvc, train = folder / "dvc.yaml", folder / "src" / "mine" / "train.py"
    dvc.write_text(dvc.read_text() + "  explain:\n    cmd: PYTHONPATH=src python -m mine.explain\n")
    train.write_text("# all mine\n")
    commit(folder, "mine")
    before = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    theirs = template / "templates" / "model"
    pipeline = theirs / "dvc.yaml.jinja"
    pipeline.write_text(pipeline.read_text().replace("params: [prepare]", "params: [seed, prepare]"))
    stage = theirs / "src" / "{{package}}" / "train.py.jinja"
    stage.write_text("# theirs\n")
    (theirs / "new.md").write_text("new\n")
    commit(template, "the template goes on")
    copier.run_update(folder, defaults=True, overwrite=True, quiet=True)
    stages = yaml.safe_load(dvc.read_text())["stages"]
    assert stages["prepare"]["params"] == ["seed", "prepare"]
    assert stages["explain"]["cmd"] == "PYTHONPATH=src python -m mine.explain"
    assert train.read_text() == "# all mine\n"
    assert (folder / "new.md").read_text() == "new\n"
    assert "UU" not in git(folder, "status", "--porcelain")
    after = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert after["_commit"] != before["_commit"]
    assert {k: v for k, v in after.items() if k != "_commit"} == {
        k: v for k, v in before.items() if k != "_commit"
    }


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"name": "Wine Quality"}, "small letters, digits and hyphens"),
        ({"package": "wine-quality"}, "a Python name"),
        ({"task": "regression", "metric": "accuracy"}, "metric"),
        ({"target": ""}, "a name is needed"),
    ],
)
def test_answers_that_would_make_no_project_are_refused(
    served: ModuleType, tmp_path: Path, answers: dict[str, Any], said: str
) -> None:
    """A name that is none, a metric of the other task, no target: said before a file is written."""
    (tmp_path / "template").mkdir()
    template = served.plain(tmp_path / "template")
    with pytest.raises(ValueError, match=said):
        served.render(template, tmp_path / "made", answers)
    assert not (tmp_path / "made" / "dvc.yaml").exists()


def test_what_it_writes_is_in_order(make: Make) -> None:
    """Each kind's Python passes the linter and the formatter as it comes; rows may be held out by a group."""
    for i, (framework, task) in enumerate(
        (f, t) for f in ("scikit-learn", "lightgbm") for t in ("classification", "regression")
    ):
        folder = make(f"made-{i}", framework=framework, task=task, group="batch" if i % 2 else "")
        run(folder, "ruff", "check", "--select", "E,F,W,I,UP,B,SIM,RUF", "--ignore", "E501", ".")
        run(folder, "ruff", "format", "--check", ".")
        split = (folder / "src" / f"made_{i}" / "split.py").read_text()
        assert ('group="batch"' in split) == bool(i % 2)


def test_the_served_projects_are_made_from_it(served: ModuleType) -> None:
    """Byte for byte: all that ``copier.yml`` does not call the project's own. ``python templates/served.py`` mends it."""
    assert [folder.name for folder in served.served()] == ["flights", "loans", "wine-quality"]
    assert served.differing() == []


def test_a_served_project_that_strays_is_found(
    served: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte more in a pipeline, and a module that is gone, are named."""
    served.plain(tmp_path)
    project = tmp_path / "projects" / "p"
    served.render(tmp_path, project, {"own_repository": False})
    (project / ".copier-answers.yml").write_text("name: p\nown_repository: false\n")
    monkeypatch.setattr(served, "TOP", tmp_path)
    assert served.differing() == []
    (project / "dvc.yaml").write_text((project / "dvc.yaml").read_text() + "#\n")
    (project / "src" / "p" / "split.py").unlink()
    (project / "params.yaml").write_text("# the project's own\n")
    assert served.differing() == ["projects/p/dvc.yaml", "projects/p/src/p/split.py"]


@pytest.mark.slow
@pytest.mark.kafka
def test_atalaia_up_serves_it(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``atalaia up --project`` of a LightGBM project: its first version answers a row of its documentation."""
    from atalaia.project import find_project
    from atalaia.up import Platform

    for name in ("ATALAIA_KAFKA", "ATALAIA_MLFLOW"):
        monkeypatch.delenv(name, raising=False)
    folder = make("grapes", framework="lightgbm")
    with Platform(find_project(folder), tmp_path / "data", free_ports=True) as platform:
        url = platform.url("predictor")
        with urllib.request.urlopen(f"{url}/openapi.json", timeout=30) as answer:
            row = json.load(answer)["components"]["schemas"]["Features"]["examples"][0]
        request = urllib.request.Request(
            f"{url}/api/v1.0/predict/",
            json.dumps({"features": row}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = json.load(answer)
    assert "class_" in json.dumps(said)
    assert git(folder, "status", "--porcelain") == ""
