"""One number for all final window reports of a run: two runs of the same replay give the same.

Random ids and registry numbers are left out (a version is its turn in serving), and so is what says when a report was
made or how often. Statistics of drift come from integer counts and enter whole. Quality comes from integer counts too, but
by logarithms, roots and sums whose last bits are the machine's; it enters with nine digits. What follows from these
figures (intervals, errors, status) does not enter again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from atalaia.demo.story import Story


def _round(value: float) -> float:
    return float(f"{value:.9g}")


def _figures(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _round(value) for name, value in sorted(values.items())}


def reports(story: Story) -> list[dict[str, Any]]:
    """What enters the digest."""
    drift = [
        {
            "kind": "drift",
            "version": story.ordinal(w.version),
            "window": [w.window_start, w.window_end],
            "rows": w.rows,
            "status": w.status,
            "state": w.state,
            "features": {
                name: [f.statistic, f.p_value, f.p_adjusted, f.effect, f.drifted, f.missing]
                for name, f in sorted(w.features.items())
            },
        }
        for w in story.final_drift
    ]
    quality = [
        {
            "kind": "quality",
            "version": story.ordinal(q.version),
            "window": [q.window_start, q.window_end],
            "predicted": q.predicted,
            "labelled": q.labelled,
            "metrics": _figures(q.metrics),
            "confusion": q.confusion,
            "estimated": _figures(q.estimated),
            "segments": {
                feature: {
                    value: [s.predicted, s.labelled, _figures(s.metrics), _figures(s.estimated)]
                    for value, s in values.items()
                }
                for feature, values in q.segments.items()
            },
        }
        for q in story.final_quality
    ]
    concept = [
        {
            "kind": "concept",
            "version": story.ordinal(c.version),
            "as_of": c.as_of,
            "rows": c.rows,
            "error": None if c.error is None else _round(c.error),
            "state": c.state,
            "since": c.since,
        }
        for c in sorted({c.as_of: c for c in story.concepts}.values(), key=lambda c: c.as_of)
    ]
    return drift + quality + concept


def digest(story: Story) -> str:
    """sha256 of :func:`reports` as sorted JSON."""
    return hashlib.sha256(orjson.dumps(reports(story), option=orjson.OPT_SORT_KEYS)).hexdigest()
