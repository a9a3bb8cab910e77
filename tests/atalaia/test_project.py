"""The project's own repository: made once, and taken up to date at each later start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from atalaia.project import Project, repository_of
from servicekit.errors import UserError


def git(folder: Path, *arguments: str) -> list[str]:
    """Lines that git prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_later_start_takes_up_what_changed(tmp_path: Path) -> None:
    """Edited, new and deleted files are committed; what the stages made in the copy is left alone."""
    folder, data = tmp_path / "toy", tmp_path / "run"
    (folder / "src").mkdir(parents=True)
    for name, content in {
        "params.yaml": "package: toy", "dvc.yaml": "stages: {}", "src/old.py": "1", ".gitignore": "/models/",
    }.items():  # fmt: skip
        (folder / name).write_text(content)
    project = Project(folder, "toy")
    copy = repository_of(project, data)
    (copy / "dvc.lock").write_text("made here")
    (copy / "models").mkdir()
    (copy / "models" / "model.onnx").write_text("made here")
    (folder / "params.yaml").write_text("package: toy\nseed: 1")
    (folder / "src" / "old.py").rename(folder / "src" / "new.py")
    (folder / "models").mkdir()
    (folder / "models" / "model.onnx").write_text("made in the checkout")

    assert repository_of(project, data) == copy
    assert (copy / "params.yaml").read_text() == "package: toy\nseed: 1"
    assert [n for n in git(copy, "ls-files") if n.startswith("src")] == ["src/new.py"]
    assert (copy / "dvc.lock").read_text() == "made here"
    assert (copy / "models" / "model.onnx").read_text() == "made here"
    assert git(copy, "status", "--porcelain") == []
    assert len(git(copy, "log", "--oneline")) == 2


def test_another_project_does_not_take_over_a_data_folder(tmp_path: Path) -> None:
    """What is there is left alone, and the one line names both; a folder that has only moved is the same project."""
    data = tmp_path / "run"
    for name, package in (("toy", "toy"), ("other", "other"), ("moved", "toy")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.yaml").write_text(f"package: {package}")
        (tmp_path / name / "dvc.yaml").write_text("stages: {}")
    copy = repository_of(Project(tmp_path / "toy", "toy"), data)
    commits = git(copy, "log", "--format=%H")
    with pytest.raises(
        UserError, match=r"package 'toy'; other with package 'other' needs one of its own"
    ) as said:
        repository_of(Project(tmp_path / "other", "other"), data)
    assert len(str(said.value).splitlines()) == 1
    assert git(copy, "log", "--format=%H") == commits
    assert (copy / "params.yaml").read_text() == "package: toy"
    assert repository_of(Project(tmp_path / "moved", "toy"), data) == copy
