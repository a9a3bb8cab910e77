"""Plots made of letters: what differs has another sign, so that they read without colour too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from contracts.events import FeatureShape
from numpy.typing import NDArray
from rich.text import Text

REFERENCE, LIVE = "cyan", "bold magenta"
UNSEEN, MISSING, OTHER = "(unseen)", "(missing)", "(other)"
MOST_BARS = 12
NAME, SERIES = 18, 10  # columns of a bar's labels
EXACT_POINTS = 64  # a shape of fewer points names every reference value: its ECDF is a staircase


@dataclass(frozen=True)
class Signs:
    """What things are drawn with."""

    reference: str = "○"
    live: str = "●"
    both: str = "◆"
    reference_bar: str = "░"
    live_bar: str = "█"
    levels: str = "▁▂▃▄▅▆▇█"
    axis: str = "│"
    floor: str = "─"
    corner: str = "└"
    mark: str = "▲"
    nothing: str = "·"


PLAIN = Signs("o", "x", "*", "-", "#", "_.-:=+*#", "|", "-", "+", "^", " ")


def signs_for(encoding: str) -> Signs:
    """Letters of ASCII where the terminal has no others."""
    return Signs() if encoding.lower().replace("-", "").startswith("utf") else PLAIN


def number(value: float) -> str:
    """A number as short as it can be told: 1,500 or 0.0123 or 1.2e-09."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"


def share(value: float) -> str:
    """A share in per cent, never rounded to none or all."""
    shown = f"{100 * value:.0f}%" if 0.1 <= value <= 0.9 or value in (0, 1) else f"{100 * value:.1f}%"
    return {"0.0%": "<0.1%", "100.0%": ">99.9%"}.get(shown, shown)


def curve_at(x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """An ECDF known at ``x``, read at ``at``: a staircase where few values are all there are, else straight."""
    if len(x) >= EXACT_POINTS:
        return np.interp(at, x, y, left=0.0)
    position = np.searchsorted(x, at, side="right") - 1
    return np.where(position >= 0, y[np.maximum(position, 0)], 0.0)


def ecdf(shape: FeatureShape, width: int, signs: Signs, height: int = 11) -> list[Text]:
    """Both ECDFs over one axis, a legend below; ``width`` columns in all."""
    x = np.array(shape.x, dtype=np.float64)
    reference, live = (np.array(y, dtype=np.float64) for y in (shape.reference, shape.live))
    low, high = _span(x, reference)
    columns = width - 7
    at = low + (high - low) * (np.arange(columns) + 0.5) / columns
    at[0], at[-1] = low, high
    rows = {name: _rows(curve_at(x, y, at), height) for name, y in (("r", reference), ("l", live))}
    lines = []
    for row in range(height - 1, -1, -1):
        label = {height - 1: "100%", (height - 1) // 2: "50%", 0: "0%"}.get(row, "")
        line = Text(f"{label:>5} {signs.axis}")
        for column in range(columns):
            old, new = (rows[name][column][0] <= row <= rows[name][column][1] for name in "rl")
            if old or new:
                sign = signs.both if old and new else signs.reference if old else signs.live
                line.append(sign, LIVE if new else REFERENCE)
            else:
                line.append(" ")
        line.rstrip()
        lines.append(line)
    lines.append(Text(" " * 6 + signs.corner + signs.floor * columns))
    left, middle, right = number(low), number(_short((low + high) / 2, high - low)), number(high)
    room = columns - len(left) - len(right)
    lines.append(Text(" " * 7 + left + f"{middle:^{room}}" + right))
    legend = Text(" " * 7)
    legend.append(signs.reference, REFERENCE).append(" reference   ")
    legend.append(signs.live, LIVE).append(" live   ").append(signs.both, LIVE).append(" both")
    if (low, high) != (x[0], x[-1]):
        legend.append(f"   (all: {number(x[0])} to {number(x[-1])})")
    return [*lines, legend]


def _span(x: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, float]:
    """The axis: all there is, but for a few far values that would leave the rest no room."""
    low, high = float(x[0]), float(x[-1])
    inner = x[(reference >= 0.02) & (reference <= 0.99)]
    if len(inner) > 1 and (high - low) > 3 * float(inner[-1] - inner[0]) > 0:
        low, high = float(inner[0]), float(inner[-1])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _short(value: float, span: float) -> float:
    """Rounded to what the axis can tell."""
    return round(value, max(0, 2 - int(np.floor(np.log10(span))))) if span > 0 else value


def _rows(y: NDArray[np.float64], height: int) -> list[tuple[int, int]]:
    """Per column the lowest and highest row of the curve: steps are drawn, not skipped."""
    at = np.rint(np.clip(y, 0, 1) * (height - 1)).astype(int)
    before = np.concatenate([at[:1], at[:-1]])
    return [(min(b + 1, a) if b < a else a, a) for b, a in zip(before.tolist(), at.tolist(), strict=True)]


def bars(shape: FeatureShape, width: int, signs: Signs) -> list[Text]:
    """Two bars a category, those first whose shares differ most."""
    found = list(zip(map(str, shape.x), shape.reference, shape.live, strict=True))
    found.sort(key=lambda entry: -abs(entry[2] - entry[1]))
    room = width - NAME - SERIES - 8
    most = max(max(r, v) for _, r, v in found) or 1.0
    lines = []
    for name, reference, live in found[:MOST_BARS]:
        label = name if len(name) < NAME else name[: NAME - 2] + ("…" if signs != PLAIN else "~")
        for series, value, sign, style in (
            ("reference", reference, signs.reference_bar, REFERENCE),
            ("live", live, signs.live_bar, LIVE),
        ):
            line = Text(f"{label:<{NAME}}{series:<{SERIES}}")
            line.append(sign * (max(1, round(room * value / most)) if value else 0), style)
            lines.append(line.append(f"{' ' if value else ''}{share(value)}"))
            label = ""
    if left := found[MOST_BARS:]:
        lines.append(
            Text(f"{len(left)} more categories differ by {share(abs(left[0][2] - left[0][1]))} or less")
        )
    return lines


def sparkline(
    values: Sequence[float | None], marks: Sequence[bool], since: int, width: int, signs: Signs
) -> tuple[str, str]:
    """Values from 0 to their largest, and below them marks; ``since`` is the place of the dividing line.

    Where there are more than ``width``, neighbours share a place that shows their largest.
    """
    each = -(-len(values) // width) if values else 1
    top = max((v for v in values if v is not None), default=0.0)
    drawn, marked = "", ""
    for begin in range(0, len(values), each):
        if begin <= since < begin + each:
            drawn, marked = drawn + signs.axis, marked + signs.axis
        known = [v for v in values[begin : begin + each] if v is not None]
        level = round(max(known) / top * (len(signs.levels) - 1)) if known and top else 0
        drawn += signs.levels[level] if known else signs.nothing
        marked += signs.mark if any(marks[begin : begin + each]) else " "
    return drawn, marked.rstrip()
