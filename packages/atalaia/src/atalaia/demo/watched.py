"""Worlds of images and of texts for the monitor alone: what packages ship, and what becomes of it.

Images are scikit-learn's digits (1,797 of 8 by 8 pixels, UCI, CC BY 4.0): each row is one of them with a pixel's noise
of one grey level, so that no row is there twice. Texts are the sentences of SciPy's docstrings (BSD-3-Clause), read
from its files, each sent once; those of another subject are of MLflow's (Apache-2.0).
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from servicekit.errors import UserError
from summaries.profile import FieldSpec

Rows = list[Any]
SEED = 7


@dataclass(frozen=True)
class Phase:
    """So many windows of one kind. ``change`` makes of quiet rows what comes instead; None: nothing does."""

    name: str
    windows: int
    change: Callable[[Rows, np.random.Generator], Rows] | None = None


@dataclass(frozen=True)
class Watched:
    """A world of one feature. ``draw(n, generator)`` gives an endless or a long enough stream of quiet rows."""

    name: str
    field: FieldSpec
    reference_rows: int
    window_rows: int
    phases: list[Phase]
    source: Callable[[np.random.Generator], Iterator[Any]]

    def rows(self) -> tuple[Rows, list[tuple[Phase, Rows]]]:
        """The reference's rows, and those of each window with its phase."""
        generator = np.random.default_rng(SEED)
        stream = self.source(generator)
        reference = [next(stream) for _ in range(self.reference_rows)]
        windows = []
        for phase in self.phases:
            for _ in range(phase.windows):
                quiet = [next(stream) for _ in range(self.window_rows)]
                windows.append((phase, phase.change(quiet, generator) if phase.change else quiet))
        return reference, windows


def _some(share: float, generator: np.random.Generator, n: int) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = generator.random(n) < share
    return chosen


# -- digits ----------------------------------------------------------------------------------------------


@cache
def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images, data.target


def _noisy(images: NDArray[np.float64], generator: np.random.Generator) -> Rows:
    noise = generator.normal(0, 1, images.shape)
    flat: Rows = np.clip(np.round(images + noise, 2), 0, 16).reshape(len(images), -1).tolist()
    return flat


def _images(generator: np.random.Generator) -> Iterator[Rows]:
    images, _ = _digits()
    while True:
        yield from _noisy(images[generator.integers(0, len(images), 1000)], generator)


def _lying(rows: Rows, generator: np.random.Generator) -> Rows:
    """One image in ten lies on its side."""
    images = np.array(rows).reshape(-1, 8, 8)
    some = _some(0.1, generator, len(images))
    images[some] = np.rot90(images[some], axes=(1, 2))
    return images.reshape(len(rows), -1).tolist()


def _darker(rows: Rows, generator: np.random.Generator) -> Rows:
    """The scanner's lamp has lost a twelfth of its light."""
    return np.round(np.array(rows) * (11 / 12), 2).tolist()  # type: ignore[no-any-return]


def _more_ones(rows: Rows, generator: np.random.Generator) -> Rows:
    """One in four of the images is replaced by a one: the classes' shares have changed, no image has."""
    images, target = _digits()
    ones = images[target == 1]
    some = np.flatnonzero(_some(1 / 4, generator, len(rows)))
    for at, row in zip(
        some, _noisy(ones[generator.integers(0, len(ones), len(some))], generator), strict=True
    ):
        rows[at] = row
    return rows


# -- texts -----------------------------------------------------------------------------------------------


@cache
def sentences(package: str) -> list[str]:
    """The sentences of a package's docstrings, each once, in the order of its files."""
    found: dict[str, None] = {}
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the package {package}, whose docstrings are the texts, is not installed")
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        if "tests" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                found.update(dict.fromkeys(_sentences(ast.get_docstring(node) or "")))
    return list(found)


def _sentences(doc: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", doc):
        if not any(sign in paragraph for sign in (">>>", "---", "::")):  # examples, tables, formulae
            for text in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(paragraph.split())):
                if 40 <= len(text) <= 200 and text[0].isupper() and text.endswith("."):
                    yield text


def _texts(generator: np.random.Generator) -> Iterator[str]:
    texts = sentences("scipy")
    for at in generator.permutation(len(texts)):
        yield texts[at]


def _other_subject(rows: Rows, generator: np.random.Generator) -> Rows:
    """Two sentences in three are of another subject."""
    others = sentences("mlflow")
    some = _some(2 / 3, generator, len(rows))
    return [others[generator.integers(len(others))] if s else row for s, row in zip(some, rows, strict=True)]


def _shouting(rows: Rows, generator: np.random.Generator) -> Rows:
    """One in ten is in capitals."""
    some = _some(1 / 10, generator, len(rows))
    return [row.upper() if s else row for s, row in zip(some, rows, strict=True)]


def _cut(rows: Rows, generator: np.random.Generator) -> Rows:
    """A field of the form takes no more than 60 characters."""
    return [row[:60] for row in rows]


WATCHED = {
    "digits": Watched(
        "digits",
        FieldSpec("image", "vector", shape=(8, 8), encoder="identity", unit="grey level", min=0, max=16),
        2000,
        200,
        [
            Phase("as it was", 20),
            Phase("one in ten lies on its side", 4, _lying),
            Phase("as it was again", 6),
            Phase("a twelfth darker", 4, _darker),
            Phase("as it was once more", 6),
            Phase("more ones", 4, _more_ones),
        ],
        _images,
    ),
    "texts": Watched(
        "texts",
        FieldSpec("note", "text"),
        2000,
        180,
        [
            Phase("as it was", 20),
            Phase("two in three of another subject", 4, _other_subject),
            Phase("as it was again", 6),
            Phase("one in ten in capitals", 4, _shouting),
            Phase("as it was once more", 6),
            Phase("cut at 60 characters", 4, _cut),
        ],
        _texts,
    ),
}
