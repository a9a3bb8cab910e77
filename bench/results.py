"""What a benchmark found: a table for people, and ``bench/results/NAME.json`` for whoever compares runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


@dataclass
class Figure:
    """One figure; ``ratio`` is value to baseline, ``goal`` in words, ``met`` None where there is no goal."""

    figure: str
    value: float | None
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None


def at_most(name: str, value: float, unit: str, limit: float, baseline: float | None = None) -> Figure:
    """A figure with an upper goal."""
    return Figure(
        name, value, unit, baseline, _ratio(value, baseline), f"at most {limit:g}", bool(value <= limit)
    )


def at_least(name: str, value: float, unit: str, limit: float, baseline: float | None = None) -> Figure:
    """A figure with a lower goal."""
    return Figure(
        name, value, unit, baseline, _ratio(value, baseline), f"at least {limit:g}", bool(value >= limit)
    )


def seen(name: str, value: float | None, unit: str, baseline: float | None = None) -> Figure:
    """A figure without a goal."""
    return Figure(name, value, unit, baseline, _ratio(value, baseline))


def _ratio(value: float | None, baseline: float | None) -> float | None:
    return value / baseline if value is not None and baseline else None


def write(name: str, figures: Sequence[Figure]) -> None:
    """Print the figures that have a goal, and write all of them."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps([asdict(f) for f in figures], indent=1) + "\n", encoding="utf-8")
    print()
    for f in figures:
        if f.met is not None:
            ratio = f"  ({f.ratio:.2f} of {f.baseline:,.4g})" if f.ratio is not None and f.baseline else ""
            print(f"{'met ' if f.met else 'MISSED'}  {f.figure}: {f.value:,.4g} {f.unit}, {f.goal}{ratio}")
    print(f"written: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
