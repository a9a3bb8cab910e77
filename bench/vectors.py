"""``make bench-vectors``: how often a change of vectors is found in one window, beside a test of kernel means.

Ours is a field of a profile, judged as the monitor does (the codebook, the distance and the directions, each alone and
all jointly). The yardstick is the maximum mean discrepancy with random Fourier features, a sum over rows that adds up
over panes as well: 512 frequencies, the median distance as bandwidth, and a threshold tuned on quiet windows to alarm
as often as was meant, which in practice nobody has so many of. Beside them the codebook's centroids, and what is far from all, alone.

Rahimi, A. and Recht, B. (2007). Random features for large-scale kernel machines. NIPS. Gretton, A. and others (2012).
A kernel two-sample test. JMLR 13, 723–773.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from atalaia.demo.watched import sentences
from numpy.typing import NDArray
from results import Figure, at_least, at_most, seen, write
from sklearn.datasets import load_digits
from summaries.counts import count
from summaries.encoders import Ngrams
from summaries.profile import FieldSpec, Profile

ALPHA = 0.01
REFERENCE, ROWS = 2000, 500
QUIET, CHANGED = 100, 10  # windows a reference
Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]


# --- worlds: quiet rows, and what becomes of them --------------------------------------------------------------

_CENTERS = np.random.default_rng(5).normal(0, 0.8, (12, 64))
_SPREAD = 1 / np.sqrt(1 + np.arange(64))
_SPREAD = _SPREAD / np.sqrt((_SPREAD**2).mean())
_WAY = np.random.default_rng(6).normal(size=64)
_WAY = _WAY / np.linalg.norm(_WAY)


def _embeddings(
    generator: np.random.Generator, n: int, kinds: int = 11, without: int = -1, new: float = 0.0, spread: float = 1.0,
    move: float = 0.0, turn: bool = False,
) -> Floats:  # fmt: skip
    """Eleven kinds of rows in 64 dimensions whose spread falls off, as embeddings' does."""
    kind = generator.integers(0, kinds, n)
    if without >= 0:
        kind = np.where(kind == without, (kind + 1 + generator.integers(0, kinds - 1, n)) % kinds, kind)
    kind = np.where(generator.random(n) < new, 11, kind)
    x = generator.normal(size=(n, 64)) * _SPREAD * spread
    if turn:
        x = np.concatenate([x[:, 8:16], x[:, :8], x[:, 16:]], axis=1)
    found: Floats = _CENTERS[kind] + x + move * _WAY
    return found


def _one_blob(generator: np.random.Generator, n: int, move: float = 0.0, far: float = 0.0) -> Floats:
    """One kind of rows: nothing for centroids to tell apart."""
    x = generator.normal(size=(n, 64)) * _SPREAD + move * _WAY
    some = generator.random(n) < far
    x[some] = x[some] * 0.3 + 12 * _WAY
    found: Floats = x
    return found


_DIGITS = load_digits()


def _digits(
    generator: np.random.Generator, n: int, ones: float = 0.0, light: float = 1.0, lying: float = 0.0,
    inverted: float = 0.0, noise: float = 1.0,
) -> Floats:  # fmt: skip
    """scikit-learn's digits with a pixel's noise."""
    at = generator.integers(0, len(_DIGITS.images), n)
    some = np.flatnonzero(generator.random(n) < ones)
    at[some] = generator.choice(np.flatnonzero(_DIGITS.target == 1), len(some))
    x = (_DIGITS.images[at] + generator.normal(0, noise, (n, 8, 8))) * light
    x = np.where((generator.random(n) < lying)[:, None, None], np.rot90(x, axes=(1, 2)), x)
    x = np.where((generator.random(n) < inverted)[:, None, None], 16 - x, x)
    found: Floats = x.reshape(n, 64)
    return found


def _texts(
    generator: np.random.Generator, n: int, capitals: float = 0.0, other: float = 0.0, cut: int | None = None
) -> Floats:
    """Sentences of SciPy's docstrings by the encoder's defaults, drawn with replacement."""
    ours, others = sentences("scipy"), sentences("mlflow")
    texts = [ours[i] for i in generator.integers(0, len(ours), n)]
    for i in np.flatnonzero(generator.random(n) < other):
        texts[i] = others[generator.integers(len(others))]
    for i in np.flatnonzero(generator.random(n) < capitals):
        texts[i] = texts[i].upper()
    return Ngrams().encode([text[:cut] for text in texts], None)


def _with(draw: Callable[..., Floats], **how: Any) -> Draw:
    return lambda generator, n: draw(generator, n, **how)


WORLDS: dict[str, dict[str, Draw]] = {
    "embeddings": {
        "": _with(_embeddings),
        "moved by .75": _with(_embeddings, move=0.75),
        "5% of a new kind": _with(_embeddings, new=0.05),
        "a kind gone": _with(_embeddings, without=3),
        "spread of 1.05": _with(_embeddings, spread=1.05),
        "turned": _with(_embeddings, turn=True),
    },
    "one blob": {
        "": _with(_one_blob),
        "moved by .75": _with(_one_blob, move=0.75),
        "2% far away": _with(_one_blob, far=0.02),
    },
    "digits": {
        "": _with(_digits),
        "10% more ones": _with(_digits, ones=0.1),
        "5% on their side": _with(_digits, lying=0.05),
        "3% inverted": _with(_digits, inverted=0.03),
        "5% darker": _with(_digits, light=0.95),
        "noise of 1.2": _with(_digits, noise=1.2),
    },
    "texts": {
        "": _with(_texts),
        "5% capitals": _with(_texts, capitals=0.05),
        "a third of another subject": _with(_texts, other=1 / 3),
        "cut at 100 characters": _with(_texts, cut=100),
    },
}


# --- methods ---------------------------------------------------------------------------------------------------


class _Ours:
    """The p-value of a window, and that of the codebook's centroids alone."""

    def __init__(self, reference: Floats) -> None:
        spec = FieldSpec("v", "vector", shape=(reference.shape[1],))
        nothing = [0.0] * len(reference)
        self.profile = Profile.build({"v": reference}, [spec], nothing, None, "none", None, "regression")
        self.field = self.profile.features[0]
        names = self.field.references
        self.detector = type(self.profile.detector())(
            names, scales=(1,), joint=self.profile.joint, joint_names=list(names)
        )

    def scores(self, window: Floats) -> tuple[float, float]:
        counts = {
            name: count(cells, self.field.references[name].size)
            for name, cells in self.field.place(window).items()
        }
        return self.detector.judge({1: counts}).p_value, float(
            np.exp(self.detector.log_p("v", counts["v"])[0])
        )


class _MeanDiscrepancy:
    """Minus the squared distance of the mean random features."""

    def __init__(self, reference: Floats, frequencies: int = 512) -> None:
        generator = np.random.default_rng(0)
        a, b = reference[generator.integers(0, len(reference), (2, 1000))]
        bandwidth = np.sqrt(np.median(((a - b) ** 2).sum(axis=1)))
        self.frequencies = generator.normal(size=(reference.shape[1], frequencies)) / bandwidth
        self.mean = self._features(reference)

    def _features(self, rows: Floats) -> Floats:
        along = rows @ self.frequencies
        return np.concatenate([np.cos(along).mean(axis=0), np.sin(along).mean(axis=0)])

    def score(self, window: Floats) -> float:
        return -float(((self._features(window) - self.mean) ** 2).sum())


@dataclass
class _Scored:
    """Of one reference: by change (none by ``""``), scores [windows, methods]."""

    scores: dict[str, Floats]


def _reference(world: str, seed: int) -> _Scored:
    changes = WORLDS[world]
    reference = changes[""](np.random.default_rng([seed, 0]), REFERENCE)
    ours, mmd = _Ours(reference), _MeanDiscrepancy(reference)
    found = {}
    for number, (change, draw) in enumerate(changes.items()):
        windows = CHANGED if change else QUIET
        rows = []
        for window in range(windows):
            x = draw(np.random.default_rng([seed, 1 + number, window]), ROWS)
            rows.append([*ours.scores(x), mmd.score(x)])
        found[change] = np.array(rows)
    return _Scored(found)


def main() -> None:
    """Print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--references", type=int, default=24)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    figures: list[Figure] = []
    print(f"{given.references} references of {REFERENCE:,} rows, windows of {ROWS}, at {ALPHA:g} a window\n")
    print(f"{'':40} {'ours':>6} {'centroids':>10} {'MMD, tuned':>11}")
    with ProcessPoolExecutor(given.processes) as pool:
        for world in WORLDS:
            scored = list(pool.map(_reference, [world] * given.references, range(given.references)))
            quiet = np.concatenate([s.scores[""] for s in scored])
            threshold = np.array([ALPHA, ALPHA, np.quantile(quiet[:, 2], ALPHA)])
            share = (quiet <= threshold).mean(axis=0)
            print(f"{world + ', quiet':40} {share[0]:6.4f} {share[1]:10.4f} {share[2]:11.4f}")
            # What is allowed beside the budget is chance: five standard errors of that many windows.
            limit = ALPHA + 5 * np.sqrt(ALPHA / len(quiet))
            figures.append(
                at_most(f"{world}: quiet windows that alarm", float(share[0]), "share", float(limit))
            )
            for change in list(WORLDS[world])[1:]:
                power = (np.concatenate([s.scores[change] for s in scored]) <= threshold).mean(axis=0)
                print(
                    f"{world + ', ' + change:40} {power[0]:6.2f} {power[1]:10.2f} {power[2]:11.2f}",
                    flush=True,
                )
                name = f"{world}, {change}: found in one window"
                figures.append(seen(name, float(power[0]), "share", float(power[2])))
                figures.append(seen(f"{name}, centroids alone", float(power[1]), "share", float(power[2])))
    found = [f for f in figures if f.figure.endswith("found in one window")]
    mean, yardstick = (
        float(np.mean([v or 0.0 for v in of]))
        for of in zip(*((f.value, f.baseline) for f in found), strict=True)
    )
    figures.append(at_least("changes found in one window, mean", mean, "share", 0.9 * yardstick, yardstick))
    write("vectors", figures)


if __name__ == "__main__":
    main()
