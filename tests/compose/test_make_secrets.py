"""Passwords are made once, kept, and another is made where one was forgotten; without Docker, on folders of their own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "make_secrets.py"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The job's program, with its volumes below a folder, and an empty ``.env``."""
    spec = importlib.util.spec_from_file_location("make_secrets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("postgres", "s3", "dvc", "store", "grafana", "alerts", "cluster"):
        (tmp_path / name).mkdir()
    root = module.ROOT
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VOTERS", tmp_path / module.VOTERS.relative_to(root))
    monkeypatch.setattr(module, "WEBHOOK", tmp_path / module.WEBHOOK.relative_to(root))
    kept = {name: tmp_path / path.relative_to(root) for name, path in module.KEPT.items()}
    monkeypatch.setattr(module, "KEPT", kept)
    monkeypatch.setenv("KAFKA_VOTERS", "1@kafka:9093")
    for name in kept:
        monkeypatch.delenv(name, raising=False)
    return module


def shown(secrets: ModuleType, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What ``show`` prints."""
    secrets.main(["show"])
    return dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())


def test_they_are_made_once(secrets: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A second start has the same, each another, long enough."""
    first = shown(secrets, capsys)
    assert first == shown(secrets, capsys)
    assert len(set(first.values())) == len(secrets.KEPT) == 4
    assert min(map(len, first.values())) >= 32


def test_another_in_env_is_refused(
    secrets: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database goes by the first one."""
    shown(secrets, capsys)
    monkeypatch.setenv("POSTGRES_PASSWORD", "another")
    with pytest.raises(SystemExit, match=r"POSTGRES_PASSWORD in \.env is another"):
        secrets.main([])


def test_what_is_forgotten_is_made_anew_or_taken(
    secrets: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them, the others stay; the store's files name the new key."""
    first = shown(secrets, capsys)
    secrets.main(["forget", "S3_SECRET_KEY"])
    second = shown(secrets, capsys)
    assert {name for name in first if first[name] != second[name]} == {"S3_SECRET_KEY"}
    assert second["S3_SECRET_KEY"] in (secrets.ROOT / "s3" / "credentials").read_text()
    assert second["S3_SECRET_KEY"] in (secrets.ROOT / "store" / "seaweedfs.json").read_text()
    secrets.main(["forget", "POSTGRES_PASSWORD"])
    monkeypatch.setenv("POSTGRES_PASSWORD", "mine")
    assert shown(secrets, capsys)["POSTGRES_PASSWORD"] == "mine"


def test_what_it_does_not_know_it_does_not_forget(secrets: ModuleType) -> None:
    """A word that is none of them ends with those that are."""
    for words in (["forget"], ["forget", "KAFKA_VOTERS"]):
        with pytest.raises(SystemExit, match="POSTGRES_PASSWORD"):
            secrets.main(words)
