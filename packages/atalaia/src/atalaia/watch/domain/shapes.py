"""What a drifted feature looked like: the newest shape that a report bore."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from contracts.events import FeatureDrift, FeatureShape

from atalaia.demo.changes import describe
from atalaia.drift.plots import share
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.windows import Tile

MOST_SHAPES = 12


class Drawn(msgspec.Struct, frozen=True):
    """An ECDF or shares by category, the window they are of, and in ``words`` where the values went."""

    name: str
    shape: FeatureShape
    effect: float
    effect_name: str
    start: int
    end: int
    version: str
    scale: int
    accepted: bool
    words: str


def shapes_of(memory: Memory, found: Sequence[Tile]) -> list[Drawn]:
    """Of what has drifted, in the order of the tiles; then of what drifted earlier, the newest first."""
    drawn = []
    for tile in found:
        shown = memory.shapes.get(tile.name)
        shape = shown.feature.shape if shown else None
        if shown is not None and shape is not None and shape.x:
            w, f = shown.window, shown.feature
            ago = (0, 0, 0.0) if tile.state != "steady" else (1, -w.window_end, -f.effect)
            drawn.append((ago, Drawn(
                tile.name, shape, f.effect, f.effect_name, w.window_start, w.window_end, w.version, f.scale,
                w.reference is not None, _where(f, shape),
            )))  # fmt: skip
    return [each for _, each in sorted(drawn, key=lambda entry: entry[0])[:MOST_SHAPES]]


def _where(feature: FeatureDrift, shape: FeatureShape) -> str:
    above = 1 - shape.live[-1] if shape.kind == "numeric" else 0
    beyond = f", {share(above)} above all of the reference" if above > 1e-9 else ""
    return f"{describe(feature)}{beyond}"
