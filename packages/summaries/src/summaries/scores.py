"""Classes, labels and probabilities as numbers: what every count of predicted classes begins with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries.labels import text, texts

BINS = 1_000  # of a probability, equal widths
TOLERANCE = 1e-6  # float32 arithmetic may leave [0, 1] by a rounding error


@lru_cache(maxsize=256)
def numbered(classes: tuple[object, ...]) -> dict[str, int]:
    """The number of each class; raises ``ValueError`` unless there are two or more distinct ones.

    >>> numbered((5.0, 6))
    {'5': 0, '6': 1}
    """
    names = [text(name) for name in classes]
    if len(names) < 2 or None in names or len(set(names)) != len(names):
        raise ValueError(f"two or more distinct classes, not {list(classes)}")
    return {cast("str", name): i for i, name in enumerate(names)}


def named(labels: Iterable[object]) -> list[str]:
    """Labels as text; raises ``ValueError`` where one is missing.

    >>> named([True, "a", 5.0])
    ['true', 'a', '5']
    """
    column = list(labels)
    kinds = set(map(type, column))
    if kinds <= {str}:
        return cast("list[str]", column)
    # What :func:`texts` says, quicker for columns of one type of number.
    if kinds == {int}:
        return list(map(str, column))
    if kinds == {float} and all(map(math.isfinite, cast("list[float]", column))):
        return [str(int(x)) if x.is_integer() else repr(x) for x in cast("list[float]", column)]
    names = texts(column)
    if None in names:
        raise ValueError("a label is missing")
    return cast("list[str]", names)


def matrix(classes: Sequence[str], probabilities: Mapping[str, ArrayLike], n: int) -> NDArray[np.float64]:
    """Probabilities [classes, rows]; of two classes either is enough.

    Raises ``ValueError`` where a class has none, where they are not ``n``, and for one outside [0, 1].

    >>> matrix(["no", "yes"], {"yes": [0.25, 1.0]}, 2).tolist()
    [[0.75, 0.0], [0.25, 1.0]]
    """
    given = {text(name): np.asarray(column, dtype=np.float64) for name, column in probabilities.items()}
    if len(classes) == 2:
        for name, twin in (classes, classes[::-1]):
            if name not in given and twin in given:
                given[name] = 1.0 - given[twin]
    absent = [name for name in classes if name not in given]
    if absent:
        raise ValueError(f"no probability of class {absent[0]}")
    scores = np.array([given[name] for name in classes])
    if scores.shape != (len(classes), n):
        raise ValueError(f"{scores.shape[-1]} probabilities for {n} rows")
    if not n:
        return scores
    low, high = scores.min(), scores.max()
    # NaN fails the comparison.
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        raise ValueError("a probability lies in [0, 1]")
    return scores if low >= 0.0 and high <= 1.0 else np.clip(scores, 0.0, 1.0)


def binned(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each probability.

    >>> binned(np.array([0.0, 0.0015, 0.25, 1.0])).tolist()
    [0, 1, 250, 999]
    """
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


def middles() -> NDArray[np.float64]:
    """[BINS] the probability in the middle of each bin: what a row of the bin is taken to have."""
    return (np.arange(BINS) + 0.5) / BINS
