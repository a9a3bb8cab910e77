"""The template as people get it, a git repository with ``copier.yml`` at its top, and projects made from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import copier
import pytest
from template_projects import Make, commit

TOP = Path(__file__).parents[2]
collect_ignore = ["node_modules"]


@pytest.fixture(scope="session")
def served() -> ModuleType:
    """``templates/served.py``, which is in no package."""
    spec = importlib.util.spec_from_file_location("served", TOP / "templates" / "served.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def template(served: ModuleType, tmp_path: Path) -> Path:
    """A repository of the template as the working tree has it."""
    folder = tmp_path / "atalaia"
    folder.mkdir()
    served.plain(folder)
    commit(folder, "the template")
    return folder


@pytest.fixture
def make(template: Path, tmp_path: Path) -> Make:
    """``make(name, **answers)``: a project as ``copier copy`` gives it, committed."""

    def made(name: str, **answers: Any) -> Path:
        folder = tmp_path / name
        copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True)
        commit(folder, "from the template")
        return folder

    return made
