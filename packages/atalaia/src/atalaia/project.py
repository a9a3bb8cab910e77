"""An ML project on disk: where it is, what it is called, and its own settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from servicekit.errors import UserError


@dataclass(frozen=True)
class Project:
    """``folder`` holds params.yaml, dvc.yaml and service.env; ``package`` is its Python package."""

    folder: Path
    package: str

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def service_env(self) -> dict[str, str]:
        """The settings of ``service.env``."""
        return read_env(self.folder / "service.env")


def read_env(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; comments and blank lines are skipped."""
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{path}, line {number}: expected NAME=value, found {text!r}")
        values[name.strip()] = value.partition(" #")[0].strip().strip("\"'")
    return values


def find_project(path_or_name: str | Path) -> Project:
    """The project in a folder, or the one so named under ``projects/`` here or in the checkout."""
    given = Path(path_or_name)
    checkout = Path(__file__).resolve().parents[4]
    for folder in (given, Path.cwd() / "projects" / given, checkout / given, checkout / "projects" / given):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return _read(folder.resolve())
    raise UserError(f"no ML project at {given}: a folder with dvc.yaml and params.yaml is expected")


def _read(folder: Path) -> Project:
    try:
        package = _package(folder)
    except yaml.YAMLError as error:
        raise UserError(f"{folder / 'params.yaml'} is not YAML: {str(error).splitlines()[0]}") from None
    if package is None:
        raise UserError(f"{folder / 'params.yaml'} does not name the project's Python package (key: package)")
    return Project(folder, package)


def _package(folder: Path) -> str | None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    package = params.get("package") if isinstance(params, dict) else None
    return package if isinstance(package, str) else None


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{' '.join(command[:4])} failed in {cwd}: {why[-1] if why else done.returncode}")


NOT_COPIED = (".git", "__pycache__", ".dvc", ".venv", ".atalaia", ".atalaia-source", "mlruns", "*.pyc")
MADE = ("data", "models", "reports")  # by the project's stages


def repository_of(project: Project, data: Path) -> Path:
    """A git and DVC repository holding only the project, under ``data``: what the trainer clones.

    The user's checkout is never written to, and need not be a git repository. Made at the first start; at
    each later one it takes up what has changed in the project since, as a commit. Raises :class:`UserError` where
    it was made of a project with another package: lock file, data and models of that one are no start for this one.
    """
    target = data / "project"
    if shutil.which("git") is None:
        raise UserError("git is needed (DVC works on git repositories): install it")
    if not (target / ".git").is_dir():
        fresh = data / "project.new"  # all or nothing: a repository that is there is whole
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(project.folder, fresh, ignore=shutil.ignore_patterns(*NOT_COPIED))
        dvc = [sys.executable, "-m", "dvc"]
        _run(["git", "init", "--quiet", "--initial-branch=main", "."], fresh)
        _run([*dvc, "init", "--quiet"], fresh)
        # One cache for this repository and every clone of it: a stage that has run is not run again.
        _run([*dvc, "cache", "dir", "--quiet", "--local", str((data / "dvc-cache").resolve())], fresh)
        _run([*dvc, "config", "--quiet", "core.analytics", "false"], fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    else:
        kept = _package(target)
        if kept not in (None, project.package):
            raise UserError(
                f"{data} is the data folder of the project with package {kept!r}; {project.name} with package "
                f"{project.package!r} needs one of its own"
            )
        _take_up(project.folder, target)
    _run(["git", "add", "--all"], target)
    git = ["git", "-c", "user.name=atalaia", "-c", "user.email=atalaia@localhost"]
    message = f"{project.name} as it is when Atalaia starts"
    _run([*git, "commit", "--quiet", "--allow-empty", "--message", message], target)
    return target


def _take_up(folder: Path, target: Path) -> None:
    """What the project is made of, as it is now; what its stages made stays the copy's own."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=target, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        ours = name.startswith(".dvc") or name == "dvc.lock" or name.split("/")[0] in MADE
        if not ours and not (folder / name).exists():
            (target / name).unlink(missing_ok=True)
    ignored = shutil.ignore_patterns(*NOT_COPIED, *MADE, "dvc.lock")
    shutil.copytree(folder, target, dirs_exist_ok=True, ignore=ignored)


def environment_of(project_copy: Path, base: dict[str, str]) -> dict[str, str]:
    """``base`` with the project's package importable, and one order in sets of strings: equal runs, equal bytes."""
    paths = [str(project_copy / "src"), *filter(None, [base.get("PYTHONPATH")])]
    return {**base, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
