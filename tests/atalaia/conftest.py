"""The made-up run of ``story.py``, for every test here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_spec = importlib.util.spec_from_file_location("atalaia_story", Path(__file__).with_name("story.py"))
assert _spec is not None
assert _spec.loader is not None
_story = importlib.util.module_from_spec(_spec)
sys.modules["atalaia_story"] = _story
_spec.loader.exec_module(_story)


@pytest.fixture
def made() -> ModuleType:
    """The module ``story.py``."""
    return _story
