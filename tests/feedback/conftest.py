"""Helpers of these tests, importable under names that no other folder's have."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

for name in ("feedback_on_kafka", "quality_world", "fake_kafka"):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)

    spec.loader.exec_module(sys.modules[name])
