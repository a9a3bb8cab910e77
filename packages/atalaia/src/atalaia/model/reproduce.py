"""A registered version made again from its tags alone, and compared.

The run's branch is cloned at ``dvc_revision``, its data are pulled, the stages behind the snapshot run once more, and
what they make is held against what was registered. What was prepared before the snapshot came in is pulled, not
prepared again. Reads the registry and the two remotes, writes to neither and to no topic.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.provenance import SNAPSHOT, snapshot_sha256
from servicekit.registry import Registry
from servicekit.remotes import NAME, Remotes, remotes_of

from atalaia.processes import Child, tail
from atalaia.project import environment_of
from atalaia.registry import given, must_have

MODEL, METRICS = "models/model.onnx", "reports/metrics.json"
LONGEST = 24 * 3600.0  # seconds a step may take
_ELSEWHERE = ("ATALAIA_KAFKA", "ATALAIA_MLFLOW", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@dataclass(frozen=True)
class Compared:
    """One thing that was compared: whether it is the same, and the line that says so."""

    what: str
    same: bool
    said: str


def tags_of(settings: Settings, registry: Registry, version: str) -> dict[str, str]:
    """The version's tags; raises :class:`UserError` where they do not say what it was made of."""
    model = settings.model
    known = given(registry, f"the versions of {model}", lambda: registry.versions(model))
    must_have(registry, model, version, known)
    tags = given(registry, f"the tags of version {version}", lambda: registry.tags(model, version))
    missing = [name for name in ("dvc_revision", "data_sha256", "sha256") if not tags.get(name)]
    if missing:
        raise UserError(
            f"version {version} of {model} cannot be made again: it has no tag {', '.join(missing)}. "
            "Only what the trainer trained says what it was made of."
        )
    return tags


class Reproduction:
    """One version, in a folder of its own that holds a clone and a log."""

    def __init__(
        self,
        settings: Settings,
        tags: Mapping[str, str],
        folder: Path,
        tick: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.tags, self.folder, self.tick = tags, folder.resolve(), tick
        self.remotes: Remotes = remotes_of(settings)
        self.clone = self.folder / "clone"
        self.work = self.clone / tags.get("project_path", ".")
        self.log = self.folder / "reproduce.log"

    def run(self) -> list[Compared]:
        """Data, model and metrics, in this order; data that are others end it, for nothing could be shown by them."""
        self._fetch()
        data = self._data()
        if not data.same:
            return [data]
        before = _lock(self.work)
        self._repeat(before)
        model = self.work / MODEL
        if not model.is_file():
            return [data, Compared("model", False, f"the stages make no {MODEL}")]
        made = hashlib.sha256(model.read_bytes()).hexdigest()
        return [data, _digests("model", self.tags["sha256"], made), self._metrics(before)]

    def _step(self, what: str, *command: str, cwd: Path) -> None:
        """Run a command to its end; raises :class:`UserError` with its log's last lines where it fails."""
        self.tick(what)
        base = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        base["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), base.get("PATH", "")])
        env = environment_of(self.work, base | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_NOSYSTEM": "1"})
        guarded = (sys.executable, "-m", "atalaia.guard", *command)
        child = Child(what, guarded, self.log, env=env, cwd=cwd)
        try:
            child.wait(LONGEST)
        finally:
            child.stop()

    def _fetch(self) -> None:
        """The branch as it was committed, and the data it names."""
        revision, remote = self.tags["dvc_revision"], self.remotes
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            quiet = ("git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
            clone = (*quiet, "clone", "--quiet", "--no-checkout", remote.git, str(self.clone))
            self._step("git clone", *clone, cwd=self.folder)
            self._step("git checkout", *quiet, "checkout", "--quiet", revision, cwd=self.clone)
        except UserError:
            raise UserError(
                f"revision {revision[:12]} is not to be had from {remote.git} (ATALAIA_GIT_REMOTE, or "
                f"ATALAIA_DATA_DIR): {_last(self.log)}"
            ) from None
        dvc = next((f / ".dvc" for f in (self.work, *self.work.parents) if (f / ".dvc").is_dir()), None)
        if dvc is None:
            raise UserError(f"revision {revision[:12]} holds no DVC repository")
        (dvc / "config.local").write_text(remote.dvc_config, encoding="utf-8")
        try:
            pull = (sys.executable, "-m", "dvc", "pull", "--remote", NAME)
            self._step("dvc pull", *pull, "--recursive", "--allow-missing", ".", cwd=self.work)
            if not any((self.work / name).is_file() for name in SNAPSHOT):
                raise UserError("nothing of it")
        except UserError:
            raise UserError(
                f"the data of revision {revision[:12]} are not to be had from {remote.dvc} (ATALAIA_DVC_REMOTE, or "
                f"ATALAIA_DATA_DIR): {_last(self.log)}"
            ) from None

    def _data(self) -> Compared:
        """DVC does not hand out a file that is not what its md5 says."""
        lacking = [name for name in SNAPSHOT if not (self.work / name).is_file()]
        if lacking:
            return Compared(
                "data", False, f"{', '.join(lacking)}: changed, or not in {self.remotes.dvc} any more"
            )
        return _digests("data", self.tags["data_sha256"], snapshot_sha256(self.work))

    def _repeat(self, lock: Mapping[str, Any]) -> None:
        """Run every stage behind the snapshot, whatever the cache has."""
        first, behind = stages_behind(lock, SNAPSHOT)
        for name in behind:  # what was pulled shall not pass for what was made
            for path in _paths(lock[name], "outs"):
                target = self.work / path
                shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        repro = (sys.executable, "-m", "dvc", "repro", "--force", "--no-run-cache")
        self._step("dvc repro", *repro, "--downstream", *first, cwd=self.work)

    def _metrics(self, before: Mapping[str, Any]) -> Compared:
        was, now = (_md5(lock, METRICS) for lock in (before, _lock(self.work)))
        if was is None and now is None:
            return Compared("metrics", True, f"the project's stages write no {METRICS}")
        path = self.work / METRICS
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        figures = ", ".join(f"{k} {v:.6g}" for k, v in sorted(found.items()) if isinstance(v, int | float))
        if was == now:
            return Compared("metrics", True, f"the same: {figures}")
        return Compared("metrics", False, f"differ (md5 was {was}, is {now}); now {figures}")


def stages_behind(lock: Mapping[str, Any], files: Iterable[str]) -> tuple[list[str], list[str]]:
    """The stages of a ``dvc.lock`` that read ``files``, and all that follow from them; all stages where none does.

    >>> deps = lambda *paths: [{"path": p} for p in paths]
    >>> lock = {"prepare": {"deps": deps("src"), "outs": deps("data/base")},
    ...         "split": {"deps": deps("data/base", "data/live"), "outs": deps("data/train")},
    ...         "train": {"deps": deps("data/train"), "outs": deps("models")}}
    >>> stages_behind(lock, ["data/live/training.parquet"])
    (['split'], ['split', 'train'])
    """
    first = [name for name, stage in lock.items() if _touch(_paths(stage, "deps"), files)] or list(lock)
    behind = set(first)
    while True:
        made = [path for name in behind for path in _paths(lock[name], "outs")]
        more = {name for name, stage in lock.items() if _touch(_paths(stage, "deps"), made)} - behind
        if not more:
            return first, [name for name in lock if name in behind]
        behind |= more


def _touch(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a path of one is, holds, or lies in one of the other."""
    pairs = [(PurePosixPath(a), PurePosixPath(b)) for a in some for b in others]
    return any(a.is_relative_to(b) or b.is_relative_to(a) for a, b in pairs)


def _paths(stage: Mapping[str, Any], kind: str) -> list[str]:
    return [str(entry["path"]) for entry in stage.get(kind, [])]


def _lock(work: Path) -> dict[str, Any]:
    """The stages of ``dvc.lock``."""
    content = yaml.safe_load((work / "dvc.lock").read_text(encoding="utf-8"))
    return dict(content["stages"])


def _md5(lock: Mapping[str, Any], path: str) -> str | None:
    outs = (entry for stage in lock.values() for entry in stage.get("outs", []))
    return next((str(entry["md5"]) for entry in outs if entry["path"] == path), None)


def _digests(what: str, was: str, now: str) -> Compared:
    if was == now:
        return Compared(what, True, f"the same bytes (sha256 {now})")
    return Compared(what, False, f"other bytes: sha256 was {was}, is {now}")


def _last(log: Path) -> str:
    return tail(log, 1).strip()[:400]
