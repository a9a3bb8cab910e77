"""Making a version again where something is not as it was: git and DVC are real, the registry's tags are given."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from atalaia.model import reproduce
from atalaia.model.commands import reproduce_version
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.provenance import SNAPSHOT, made_with, snapshot_sha256
from servicekit.remotes import NAME, remotes_of

STAGES = """
stages:
  prepare:
    cmd: cat /nowhere/base > data/base
    frozen: true
    outs: [data/base]
  train:
    cmd: mkdir -p models reports && cat data/base data/live/*.parquet > models/model.onnx && echo $LUCK >> models/model.onnx &&
      echo "{\\"fit\\":$LUCK}" > reports/metrics.json
    deps: [data/base, data/live]
    outs: [models/model.onnx]
    metrics:
      - reports/metrics.json: {cache: false}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, str]]:
    """A project in a folder of its repository, trained where the environment's LUCK was 1; settings and the version's tags."""
    folder = tmp_path_factory.mktemp("reproduce")
    settings = Settings(model="m", data_dir=folder / "data")
    top = folder / "repository"
    work = top / "projects" / "shop"
    (work / "data" / "live").mkdir(parents=True)
    (work / ".gitignore").write_text(
        "/data/*.parquet\n/data/live/*.parquet\n/data/base\n/models/\n/reports/\n"
    )
    (work / "dvc.yaml").write_text(STAGES)
    (work / "data" / "base").write_text("what is not there to be had any more\n")
    for name in SNAPSHOT:
        (work / name).write_text(f"rows of {name}\n")
    env = {**os.environ, "LUCK": "1", "DVC_NO_ANALYTICS": "1"}

    def run(*command: str, cwd: Path = work) -> str:
        return subprocess.run(
            command, cwd=cwd, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run("git", "init", "--quiet", cwd=top)
    run(sys.executable, "-m", "dvc", "init", "--quiet", cwd=top)
    (top / ".dvc" / "config.local").write_text(remotes_of(settings).dvc_config)
    made = [["add", *SNAPSHOT], ["commit", "--force", "prepare"], ["repro"], ["push", "--remote", NAME]]
    script = f"from dvc.cli import main; assert not any(main([*c, '--quiet']) for c in {made})"
    run(sys.executable, "-c", script)  # one process: importing DVC takes longer than any of them
    run("git", "add", "-A", cwd=top)
    run("git", *author, "commit", "--quiet", "-m", "A run")
    run("git", "clone", "--quiet", "--bare", str(top), remotes_of(settings).git)
    tags = {
        **made_with(),
        "dvc_revision": run("git", "rev-parse", "HEAD"),
        "project_path": "projects/shop",
        "data_sha256": snapshot_sha256(work),
        "sha256": hashlib.sha256((work / "models" / "model.onnx").read_bytes()).hexdigest(),
    }
    return settings, tags


def test_equal_means_make_equal_bytes(
    trained: tuple[Settings, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of a repository too, and without the source that the base data once came from."""
    monkeypatch.setenv("LUCK", "1")
    found = reproduce.Reproduction(*trained, tmp_path / "again").run()
    assert [(c.what, c.same) for c in found] == [("data", True), ("model", True), ("metrics", True)], found


def test_what_came_out_by_luck_is_told(
    trained: tuple[Settings, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 1, a line for the model and the metrics each, and which of the means are others now."""
    settings, tags = trained
    monkeypatch.setenv("LUCK", "2")
    monkeypatch.setenv("ATALAIA_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(reproduce, "tags_of", lambda *_: {**tags, "python": "3.9.1"})
    assert reproduce_version("m", "7", tmp_path / "again") == 1
    data, model, metrics, means, last = capsys.readouterr().out.splitlines()
    assert data.startswith("data     the same bytes")
    assert model.startswith(f"model    other bytes: sha256 was {tags['sha256']}, is ")
    assert metrics.startswith("metrics  differ (md5 was ")
    assert metrics.endswith("now fit 2")
    assert means == f"made with other means: Python was 3.9.1 and is {made_with()['python']}"
    assert last == "Version 7 of m is not made again as it was."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"git_remote": "/nowhere.git"}, "is not to be had from /nowhere.git"),
        ({"dvc_remote": "/nowhere"}, "are not to be had from /nowhere"),
    ],
)
def test_a_remote_that_is_not_the_one_is_named(
    trained: tuple[Settings, dict[str, str]], tmp_path: Path, given: dict[str, str], words: str
) -> None:
    """One line that says which remote, and the settings that name it."""
    settings = trained[0].model_copy(update=given)
    with pytest.raises(UserError, match=words) as told:
        reproduce.Reproduction(settings, trained[1], tmp_path / "again").run()
    assert "ATALAIA_DATA_DIR" in str(told.value)
