"""Frouros's two-sample KS on the bench's windows, in its own environment; prints p-values as JSON.

Frouros pins older versions of numpy and scipy than the platform's, hence the process of its own.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import worlds
from frouros.detectors.data_drift.batch import KSTest


def main(seeds: int, before: int, after: int) -> None:
    """``{"quiet": [seed][window] least p, "kinds": {kind: [seed][window]}}``, the least over the features."""
    found: dict[str, Any] = {"quiet": [], "kinds": {kind: [] for kind in worlds.KINDS}}
    for seed in range(seeds):
        reference = worlds.reference(seed)
        detectors = []
        for f in range(worlds.FEATURES):
            detector = KSTest()
            detector.fit(X=reference[:, f])
            detectors.append(detector)

        def least(x: Any, columns: range, detectors: list[Any] = detectors) -> float:
            return min(float(detectors[f].compare(X=x[:, i])[0].p_value) for i, f in enumerate(columns))

        everything, moved, still = (
            range(worlds.FEATURES),
            range(worlds.MOVED),
            range(worlds.MOVED, worlds.FEATURES),
        )
        found["quiet"].append([least(worlds.quiet(seed, w), everything) for w in range(before)])
        rest = [least(worlds.quiet(seed, before + w)[:, worlds.MOVED :], still) for w in range(after)]
        for kind in worlds.KINDS:
            found["kinds"][kind].append(
                [min(rest[w], least(worlds.changed(seed, kind, w), moved)) for w in range(after)]
            )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
