"""Images and texts through the monitor alone, on real Kafka: what must hold does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("world", "name"), [("digits", "image"), ("texts", "note")])
def test_changes_of_images_and_texts_are_found(tmp_path: Path, world: str, name: str) -> None:
    """Twenty quiet windows stay quiet, each of three changes is found within two, by the feature's own counts."""
    command = [str(Path(sys.executable).parent / "atalaia"), "demo", world, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=380)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {check["ok"] for check in summary["checks"]} == {True}
    drifted = {feature for window in summary["windows"] for feature in window["drifted"]}
    assert {feature.partition(":")[0] for feature in drifted} == {name}
    assert "alert " in (tmp_path / "out" / "alerts.txt").read_text(encoding="utf-8")
