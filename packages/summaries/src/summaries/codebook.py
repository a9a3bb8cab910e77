"""Vectors as counts: the cells of a fixed codebook, how far from it a row lies, and where along a few directions.

A window of vectors is told by three kinds of integer counts, all over what the reference taught and then fixed:

- the nearest of a few centroids (k-means), or *far* from all of them, as one in a thousand is: a kind of row that
  appears, goes, or changes its share;
- the distance to the nearest: noise and blur show here;
- the place along a few directions, each in units of the reference's own spread there: the directions of most spread,
  and random ones of the whitened space, to which a move in any direction is alike. A shift shows here.

Guarantees: a row's cells depend on the row alone, whatever the batch, the machine or its number of cores, because
vectors are rounded to a grid first and everything after that is arithmetic of whole numbers that a double holds
exactly. What the codebook learned from is not counted into the reference, so that quiet live rows lie as the counted
ones do.

Sculley, D. (2010). Web-scale k-means clustering. WWW, 1177–1178 (a fixed codebook as a summary); Arthur, D. and
Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA, 1027–1035.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries.cells import Cells
from summaries.counts import Counts

CENTROIDS = 16
FAR = 0.999  # of the learned rows lie nearer than what is called far: all but an outlier
LEARN_AT_MOST = 4096  # rows; at most half of the reference
ROWS_A_CENTROID = 10
SPREAD_AXES, WHITE_AXES = 4, 12
AXIS_NUMBERS = 2_000_000  # of rows and dimensions, or 1,024 rows, that directions are learned from
AXIS_CELLS = 256  # edges, of which the test makes 200 groups
SPAN, MARGIN = 0.99, 16  # so many of the numbers lie within a sixteenth of what is learned on the grid
MAX_DIMENSION = 1 << 16
CHUNK = 4096  # rows placed at a time, for memory
SEED = 0
FAR_NAME = "(far)"
Vectors = NDArray[np.float64]


class Codebook:
    """Cells of a space of vectors: one a centroid (the most frequent first), then the far, then the missing.

    ``parts`` are cells of numbers that are made of the same vectors: ``distance``, and ``axis1`` and so on.

    >>> around = np.random.default_rng(0).normal(size=(400, 3))
    >>> codebook = Codebook.from_reference(np.concatenate([around, around + 9]))
    >>> codebook.size, codebook.rows, sorted(codebook.parts)[:2], sorted(codebook.parts)[-1]
    (18, 400, ['axis1', 'axis2'], 'distance')
    >>> placed = codebook.place(np.array([[0.0, 0.0, 0.0], [100.0, 100.0, 100.0]]))
    >>> (placed[""] == codebook.far).tolist()
    [False, True]
    """

    kind: Literal["vector"] = "vector"

    def __init__(
        self,
        step: float,
        center: ArrayLike,
        centroids: ArrayLike,
        axes: ArrayLike,
        scales: Sequence[float],
        radius: float,
        counts: Counts,
        parts: Mapping[str, Cells],
    ) -> None:
        self.step = float(step)
        self.center = np.array(center, dtype=np.float64)
        self.dimension = len(self.center)
        self.centroids = np.array(centroids, dtype=np.float64).reshape(-1, self.dimension)
        self.axes = np.array(axes, dtype=np.float64).reshape(-1, self.dimension)
        self.scales = [float(scale) for scale in scales]
        self.radius = float(radius)  # beyond it from every centroid, a row is far
        self.counts: Counts = np.array(counts, dtype=np.int64)
        self.parts = dict(parts)
        self.size = len(self.centroids) + 2
        if not 1 <= self.dimension <= MAX_DIMENSION or not len(self.centroids):
            raise ValueError(f"a codebook of {len(self.centroids)} centroids in {self.dimension} dimensions")
        if len(self.counts) != self.size or (self.counts < 0).any():
            raise ValueError(
                f"{len(self.centroids)} centroids make {self.size} cells, not {len(self.counts)}"
            )
        if not (math.isfinite(self.step) and self.step > 0) or len(self.scales) != len(self.axes):
            raise ValueError("the grid has a step, and each axis a scale")
        names = {"distance", *(f"axis{i + 1}" for i in range(len(self.axes)))}
        if self.parts.keys() != names:
            raise ValueError(f"parts are {', '.join(sorted(names))}, not {', '.join(sorted(self.parts))}")
        self.reach, unit = _grid(self.dimension)
        if any((np.abs(of) > unit).any() for of in (self.centroids, self.axes)):
            raise ValueError(f"centroids and axes are whole numbers up to {unit}")
        self.counts.flags.writeable = False
        self._norms = (self.centroids * self.centroids).sum(axis=1)

    @classmethod
    def from_reference(
        cls, vectors: ArrayLike, missing: ArrayLike | None = None, centroids: int = CENTROIDS
    ) -> Codebook:
        """Learn from some of the rows and count the others.

        ``vectors`` [N, d] are those that are there; ``missing`` [rows] says which of all rows are not, None: none.
        :func:`learned` says which rows it learns from.
        """
        given = np.asarray(vectors, dtype=np.float64)
        if given.ndim != 2 or not len(given):
            raise ValueError("a reference of vectors has at least one")
        if not np.isfinite(given).all():
            raise ValueError("a vector holds NaN or an infinity")
        if not 1 <= given.shape[1] <= MAX_DIMENSION:
            raise ValueError(f"vectors of {given.shape[1]} numbers; 1 to {MAX_DIMENSION:,} are possible")
        gone = np.zeros(len(given), dtype=bool) if missing is None else np.asarray(missing, dtype=bool)
        taught = learned(len(gone))[~gone]
        if not taught.any() or taught.all():  # too few to go without any
            taught = np.ones(len(given), dtype=bool)
            counted = given
        else:
            counted = given[~taught]
        teacher = given[taught]
        _, unit = _grid(given.shape[1])
        middle = np.median(teacher, axis=0)
        # By what nearly all numbers span: a few wild ones would leave the others a handful of steps.
        away = np.abs(given - middle)
        spread = MARGIN * float(np.quantile(away, SPAN)) or float(away.max())
        if not math.isfinite(spread):
            raise ValueError("vectors too large to be told apart")
        # A power of two: dividing by it is exact.
        step = 2.0 ** math.ceil(math.log2(spread / unit)) if spread > 0 else 1.0
        center = np.rint(middle / step)
        grid = np.clip(np.rint(teacher / step) - center, -unit, unit)
        points = _kmeans(grid, max(1, min(centroids, len(grid) // ROWS_A_CENTROID)))
        axes, scales = _axes(grid, unit)
        names = ["distance", *(f"axis{i + 1}" for i in range(len(axes)))]
        nothing = np.zeros(len(points) + 2, dtype=np.int64)
        empty = dict.fromkeys(names, Cells.from_reference([], "float32"))
        rough = cls(step, center, points, axes, scales, np.inf, nothing, empty)
        radius = float(np.quantile(rough._measure(teacher)[1]["distance"], FAR))
        nearest, numbers = rough._measure(counted)
        near = np.bincount(nearest[numbers["distance"] <= radius], minlength=len(points))
        # The most frequent first: what is listed first is what there is most of.
        order = np.argsort(-near, kind="stable")
        absent = [None] * int(gone.sum())
        counts = np.array([*near[order], len(counted) - near.sum(), len(absent)])
        parts = {
            name: Cells.from_reference([*column.tolist(), *absent], "float32", cap=AXIS_CELLS)
            for name, column in numbers.items()
        }
        return cls(step, center, points[order], axes, scales, radius, counts, parts)

    @property
    def far(self) -> int:
        """The cell of what is near no centroid."""
        return self.size - 2

    @property
    def missing(self) -> int:
        """The cell of missing vectors, the last one."""
        return self.size - 1

    @property
    def rows(self) -> int:
        """Reference rows that were counted, missing ones included."""
        return int(self.counts.sum())

    @property
    def names(self) -> list[str]:
        """What the cells are called, but that of the missing."""
        return [*(f"#{i + 1}" for i in range(len(self.centroids))), FAR_NAME]

    def references(self, name: str) -> dict[str, Codebook | Cells]:
        """Itself by ``name``, and its parts by ``name:part``."""
        return {name: self, **{f"{name}:{part}": cells for part, cells in self.parts.items()}}

    def place(
        self, vectors: ArrayLike, missing: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """The cells of each row: by ``""`` its centroid, and by each part.

        ``vectors`` [N, d] are those that are there, ``missing`` [rows] which of all rows are not. Raises
        ``ValueError`` on vectors of another length, and on NaN and infinities.
        """
        given = np.asarray(vectors, dtype=np.float64)
        if not len(given):  # nothing but missing ones: of no length
            given = np.zeros((0, self.dimension))
        if given.ndim != 2 or given.shape[1] != self.dimension:
            raise ValueError(
                f"a vector has {given.shape[-1]} numbers, those of the reference {self.dimension}"
            )
        if not np.isfinite(given).all():
            raise ValueError("a vector holds NaN or an infinity")
        nearest, numbers = self._measure(given)
        nearest[numbers["distance"] > self.radius] = self.far
        placed = {"": nearest, **{part: self.parts[part].index(of) for part, of in numbers.items()}}
        if missing is None:
            return placed
        sizes = {"": self.size, **{part: cells.size for part, cells in self.parts.items()}}
        whole = {}
        for part, cells in placed.items():
            whole[part] = np.full(len(missing), sizes[part] - 1, dtype=np.int64)
            whole[part][~missing] = cells
        return whole

    def index(self, vectors: ArrayLike) -> NDArray[np.int64]:
        """The cell of each vector's centroid, or that of the far."""
        return self.place(vectors)[""]

    def _measure(self, vectors: Vectors) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
        """The nearest centroid (of equally near ones the first), and the numbers of the parts."""
        nearest = np.empty(len(vectors), dtype=np.int64)
        numbers = {name: np.empty(len(vectors), dtype=np.float32) for name in self.parts}
        for start in range(0, len(vectors), CHUNK):
            rows = slice(start, start + CHUNK)
            with np.errstate(over="ignore"):  # what overflows is beyond the grid
                grid = np.clip(np.rint(vectors[rows] / self.step) - self.center, -self.reach, self.reach)
            far = (grid * grid).sum(axis=1)[:, None] - 2 * (grid @ self.centroids.T) + self._norms
            nearest[rows] = at = far.argmin(axis=1)
            numbers["distance"][rows] = np.sqrt(far[np.arange(len(at)), at]) * self.step
            along = grid @ self.axes.T
            for i, scale in enumerate(self.scales):
                numbers[f"axis{i + 1}"][rows] = along[:, i] * scale
        return nearest, numbers

    def counted(self, name: str, counts: Mapping[str, Counts]) -> Codebook:
        """The same cells with other counts, by the names of :meth:`references`."""
        parts = {
            part: Cells(cells.edges, counts[f"{name}:{part}"], cells.dtype)
            for part, cells in self.parts.items()
        }
        return Codebook(
            self.step, self.center, self.centroids, self.axes, self.scales, self.radius, counts[name], parts
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON: the grid, whole numbers on it, and counts."""
        return {
            "step": self.step,
            "center": _whole(self.center),
            "centroids": _whole(self.centroids),
            "axes": _whole(self.axes),
            "scales": self.scales,
            "radius": self.radius,
            "counts": self.counts[:-2].tolist(),
            "far": int(self.counts[-2]),
            "missing": int(self.counts[-1]),
            "parts": {name: cells.to_dict() for name, cells in self.parts.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Codebook:
        """The codebook that :meth:`to_dict` wrote."""
        return cls(
            data["step"],
            data["center"],
            data["centroids"],
            data["axes"],
            data["scales"],
            data["radius"],
            np.array([*data["counts"], data["far"], data["missing"]], dtype=np.int64),
            {name: Cells.from_dict(cells) for name, cells in data["parts"].items()},
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codebook) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Codebook({len(self.centroids)} centroids in {self.dimension} dimensions, {self.rows} rows)"


def learned(rows: int) -> NDArray[np.bool_]:
    """Which of so many reference rows codebooks learn from: the same for each, so that the rest is whole rows.

    >>> int(learned(1000).sum()), int(learned(100_000).sum())
    (500, 4096)
    """
    taken = np.zeros(rows, dtype=bool)
    taken[np.random.default_rng(SEED).permutation(rows)[: min(rows // 2, LEARN_AT_MOST)]] = True
    return taken


def _grid(dimension: int) -> tuple[int, int]:
    """How far the grid reaches, and up to where what is learned lies on it.

    A sum of ``dimension`` products of two numbers within reach is below 2^51, where doubles hold whole numbers
    exactly whatever the order of adding.
    """
    bits = (51 - math.ceil(math.log2(max(dimension, 2)))) // 2
    return 1 << bits, 1 << min(15, bits - 2)


def _kmeans(points: Vectors, k: int, rounds: int = 25) -> Vectors:
    """Lloyd's algorithm from k-means++; fewer centroids where there are fewer distinct points."""
    generator = np.random.default_rng(SEED)
    chosen = [points[generator.integers(len(points))]]
    far = ((points - chosen[0]) ** 2).sum(axis=1)
    while len(chosen) < k and far.any():
        total = np.cumsum(far)
        chosen.append(points[int(np.searchsorted(total, generator.random() * total[-1], side="right"))])
        far = np.minimum(far, ((points - chosen[-1]) ** 2).sum(axis=1))
    centroids = np.array(chosen)
    for _ in range(rounds):
        norms = (centroids * centroids).sum(axis=1)
        nearest = (norms - 2 * (points @ centroids.T)).argmin(axis=1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, points)
        sizes = np.bincount(nearest, minlength=len(centroids))[:, None]
        moved = np.where(sizes > 0, np.rint(sums / np.maximum(sizes, 1)), centroids)
        if (moved == centroids).all():
            break
        centroids = moved
    return np.unique(centroids, axis=0)


def _axes(points: Vectors, unit: int) -> tuple[Vectors, list[float]]:
    """Directions, as whole numbers, and what turns a row's product with one into units of its spread there."""
    most = max(1024, AXIS_NUMBERS // points.shape[1])
    points = points[:: -(-len(points) // most)]
    _, singular, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    spread = singular / math.sqrt(len(points))
    # Directions of hardly any spread are noise of the rounding; whitened they would rule.
    keep = spread > max(0.5, 1e-3 * (float(spread[0]) if len(spread) else 0.0))
    spread, directions = spread[keep], directions[keep]
    white = WHITE_AXES if len(spread) > SPREAD_AXES else 0  # few dimensions are told by those of most spread
    mixed = np.random.default_rng(SEED).normal(size=(white, len(spread))) @ (directions / spread[:, None])
    chosen = np.concatenate([directions[:SPREAD_AXES], mixed])
    largest = np.abs(chosen).max(axis=1, keepdims=True) if len(chosen) else np.ones((0, 1))
    axes = np.rint(chosen / largest * unit)
    along = points @ axes.T
    return axes, [1 / float(column.std()) for column in along.T]


def _whole(numbers: Vectors) -> Any:
    return numbers.astype(np.int64).tolist()
