"""The wine project: its file, its worlds and the thesis's Figure 18."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "projects" / "wine-quality"
DATA = os.environ.get(
    "ATALAIA_WINE_CSV", str(Path(__file__).parents[3] / "shared" / "data" / "winequality-red.csv")
)
needs_data = pytest.mark.skipif(
    not Path(DATA).is_file(), reason="set ATALAIA_WINE_CSV to winequality-red.csv"
)


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run code with the project importable."""
    paths = os.pathsep.join([str(PROJECT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": paths} | env,
    )  # fmt: skip


@needs_data
def test_figure_18_is_the_thesis_s() -> None:
    """Accuracy by max_depth 5, 10, ... 35 equals the thesis's to three places."""
    done = python(
        "from wine_quality.experiments import accuracies; print([round(a, 3) for a in accuracies().values()])",
        ATALAIA_WINE_CSV=DATA,
    )
    assert done.stdout.strip() == "[0.607, 0.651, 0.634, 0.641, 0.641, 0.641, 0.641]", done.stderr


@needs_data
def test_no_row_is_in_two_worlds() -> None:
    """Base, steady and drifted traffic share no row, and together are all 1,599."""
    done = python(
        "from wine_quality.source import read; from wine_quality.prepare import worlds\n"
        "f = read(); f['id'] = range(len(f)); w = worlds(f, 11, 0.25, 20)\n"
        "ids = [i for part in w.values() for i in part['id']]\n"
        "assert w['drifted']['alcohol'].min() > 11 >= w['steady']['alcohol'].max()\n"
        "print(len(ids), len(set(ids)))",
        ATALAIA_WINE_CSV=DATA,
    )
    assert done.stdout.split() == ["1599", "1599"], done.stderr


@pytest.mark.parametrize(("content", "said"), [(None, "not a file"), (b"broken", "not UCI's")])
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A missing and a broken file end with exit code 2 and one line that says what to do."""
    path = tmp_path / "wine.csv"
    if content is not None:
        path.write_bytes(content)
    done = python("from wine_quality.source import read; read()", ATALAIA_WINE_CSV=str(path))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unreachable_download_is_one_clear_line(tmp_path: Path) -> None:
    """Without the file and without UCI the line says where to get it and how to give it."""
    done = python(
        "import wine_quality.source as s; s.URL = 'http://127.0.0.1:1/x.zip'; s.read()",
        XDG_CACHE_HOME=str(tmp_path), ATALAIA_WINE_CSV="",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--data" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_data
def test_the_checksum_is_the_published_one() -> None:
    """The file the tests use is the one the product accepts."""
    assert hashlib.sha256(Path(DATA).read_bytes()).hexdigest().startswith("4a402cf0")
