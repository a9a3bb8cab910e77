"""Frouros's two-sample KS on the bench's windows, in its own environment; prints p-values as JSON.

Frouros pins older versions of numpy and scipy than the platform's, hence the process of its own.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import worlds
from frouros.detectors.data_drift.batch import KSTest


def one_seed(seed: int, before: int, after: int) -> dict[str, Any]:
    """``{"quiet": [window] least p, "kinds": {kind: [window]}}``, the least over the features."""
    reference = worlds.reference(seed)
    detectors = []
    for f in range(worlds.FEATURES):
        detector = KSTest()
        detector.fit(X=reference[:, f])
        detectors.append(detector)

    def least(x: Any, columns: range) -> float:
        return min(float(detectors[f].compare(X=x[:, i])[0].p_value) for i, f in enumerate(columns))

    everything, moved, still = (
        range(worlds.FEATURES),
        range(worlds.MOVED),
        range(worlds.MOVED, worlds.FEATURES),
    )
    rest = [least(worlds.quiet(seed, before + w)[:, worlds.MOVED :], still) for w in range(after)]
    return {
        "quiet": [least(worlds.quiet(seed, w), everything) for w in range(before)],
        "kinds": {
            kind: [min(rest[w], least(worlds.changed(seed, kind, w), moved)) for w in range(after)]
            for kind in worlds.KINDS
        },
    }


def main(seeds: int, before: int, after: int, workers: int) -> None:
    """The same with [seed][window] for each [window]."""
    with ProcessPoolExecutor(max_workers=workers) as pool:
        parts = list(pool.map(one_seed, range(seeds), [before] * seeds, [after] * seeds))
    found = {
        "quiet": [part["quiet"] for part in parts],
        "kinds": {kind: [part["kinds"][kind] for part in parts] for kind in worlds.KINDS},
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
