"""The plots of a report, each from events alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import matplotlib.dates as mdates
import numpy as np
from contracts.events import FeatureDrift, WindowTested
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atalaia.demo.report.theme import ALARM, BAND, FAINT, FROZEN, GOOD, INK, SERVED, WAIT
from atalaia.demo.story import Story

SMALLEST_P = 1e-12


def date(ms: float) -> Any:
    """Event time as matplotlib takes it."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def dates(axes: Axes) -> None:
    """Event time below, in few words."""
    locator = mdates.AutoDateLocator(maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_visible(False)


def serving(story: Story) -> list[WindowTested]:
    """Of each window the report of the newest version that has one: the version that served when it ended."""
    by_end: dict[int, WindowTested] = {}
    for w in story.final_drift:
        known = by_end.get(w.window_end)
        if known is None or w.rows >= known.rows:
            by_end[w.window_end] = w
    return [by_end[k] for k in sorted(by_end)]


def quality(
    windows: Sequence[dict[str, Any]], summary: dict[str, Any], metrics: Sequence[tuple[str, str]]
) -> Figure:
    """Served and frozen model over time, one panel a metric, with what the loop did marked."""
    figure = Figure(figsize=(10.5, 2.6 * len(metrics) + 0.7), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(metrics), 1, sharex=True))
    half = (windows[0]["window_end"] - windows[0]["window_start"]) / 2 if windows else 0
    for axes, (metric, label) in zip(panels, metrics, strict=True):
        for who, colour, style in (("frozen", FROZEN, (0, (4, 2))), ("served", SERVED, "-")):
            points = [(date(w["window_start"] + half), w[who][metric]) for w in windows if metric in w[who]]
            if points:
                x, y = zip(*points, strict=True)
                name = "first model, never retrained" if who == "frozen" else "served"
                axes.plot(
                    x, y, color=colour, linestyle=style, marker="o", markersize=3, linewidth=1.6, label=name
                )
        axes.set_title(label, pad=16)  # the alerts' marks stand above the frame
        dates(axes)
        _mark(axes, summary)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


def _at(axes: Axes, ms: int, colour: str, marker: str, height: float, name: str) -> None:
    """A mark at an event time, ``height`` as a share of the panel's; the legend names each kind once."""
    named = axes.get_legend_handles_labels()[1]
    axes.plot(
        [date(ms)], [height], marker=marker, color=colour, markersize=7, linestyle="none", clip_on=False,
        transform=axes.get_xaxis_transform(), label=None if name in named else name, zorder=5,
    )  # fmt: skip


def promotions(axes: Axes, summary: dict[str, Any]) -> None:
    """A line where each promoted version began to serve."""
    for version in summary["versions"]:
        if version["action"] == "promoted":
            ms = version["served_from"] or version["decided_at"]
            axes.axvline(date(ms), color=GOOD, linewidth=1, alpha=0.8)
            _at(axes, ms, GOOD, "^", 0.04, "promotion")


def _mark(axes: Axes, summary: dict[str, Any]) -> None:
    """Alerts, trainings, refusals and promotions on one time axis."""
    for alert in summary["alerts"]:
        if alert["state"] == "drift":
            _at(axes, alert["window_end"], ALARM, "v", 1.02, "alert")
    for decision in summary["decisions"]:
        kind = decision["decision"]
        if kind == "started":
            _at(axes, decision["as_of"], INK, "|", 0.04, "training")
        elif kind in {"refused", "failed"}:
            _at(axes, decision["as_of"], WAIT, "X", 0.04, kind)
    promotions(axes, summary)


def drift(story: Story, names: Sequence[str], summary: dict[str, Any]) -> Figure:
    """Each feature's adjusted p-value and effect over time, alpha and the smallest effect as bands."""
    windows = serving(story)
    figure = Figure(figsize=(10.5, 1.15 * len(names) + 0.9), layout="constrained")
    panels = figure.subplots(len(names), 2, sharex=True, squeeze=False)
    promoted = [v["served_from"] or v["decided_at"] for v in summary["versions"] if v["action"] == "promoted"]
    for (left, right), name in zip(panels, names, strict=True):
        tested = [
            (date((w.window_start + w.window_end) / 2), w.features[name])
            for w in windows
            if name in w.features
        ]
        x = [t for t, _ in tested]
        p = [max(f.p_adjusted, SMALLEST_P) for _, f in tested]
        effect = [f.effect for _, f in tested]
        colour = [ALARM if f.drifted else SERVED for _, f in tested]
        left.axhspan(SMALLEST_P / 3, summary["settings"]["alpha"], color=BAND, linewidth=0)
        left.plot(x, p, color=FAINT, linewidth=0.8)
        left.scatter(x, p, c=colour, s=13, zorder=3, linewidths=0)
        left.set(yscale="log", ylim=(SMALLEST_P / 3, 3), yticks=[1e-12, 1e-6, 1])
        left.minorticks_off()
        right.axhspan(summary["settings"]["min_effect"], 1.05, color=BAND, linewidth=0)
        right.plot(x, effect, color=FAINT, linewidth=0.8)
        right.scatter(x, effect, c=colour, s=13, zorder=3, linewidths=0)
        right.set(ylim=(0, max(0.3, 1.1 * max(effect, default=0.0))))
        for axes in (left, right):
            dates(axes)
            for ms in promoted:
                axes.axvline(date(ms), color=GOOD, linewidth=0.8, alpha=0.7)
        left.set_title(name)
        if tested:
            right.set_title("D" if tested[0][1].effect_name == "D" else "Cramér's V", color=FAINT)
    figure.suptitle(
        "adjusted p-value (left, logarithmic) and effect (right)", fontsize=9, x=0.01, ha="left", color=FAINT
    )
    return figure


def strongest(
    story: Story, names: Sequence[str], most: int = 9
) -> list[tuple[WindowTested, str, FeatureDrift]]:
    """The drifted window of each feature with the largest effect, the strongest features first."""
    found: dict[str, tuple[WindowTested, str, FeatureDrift]] = {}
    for w in story.final_drift:
        for name, f in w.features.items():
            if f.drifted and f.shape is not None and (name not in found or f.effect > found[name][2].effect):
                found[name] = (w, name, f)
    order = {name: i for i, name in enumerate(names)}
    return sorted(found.values(), key=lambda t: (-t[2].effect, order.get(t[1], 0)))[:most]


def shapes(chosen: Sequence[tuple[WindowTested, str, FeatureDrift]]) -> Figure:
    """Reference against live: ECDFs of numbers, bars of categories."""
    columns = 3
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(10.5, 2.3 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (window, name, f) in zip(panels, chosen, strict=False):
        assert f.shape is not None
        s = f.shape
        if s.kind == "numeric":
            x = [float(v) for v in s.x]
            axes.step(
                x,
                s.reference,
                where="post",
                color=FROZEN,
                linestyle=(0, (4, 2)),
                linewidth=1.4,
                label="reference",
            )
            axes.step(x, s.live, where="post", color=SERVED, linewidth=1.6, label="live")
            axes.set_ylim(0, 1.03)
        else:
            top = np.argsort(-(np.array(s.reference) + np.array(s.live)))[:10]
            at = np.arange(len(top))
            axes.bar(at - 0.2, [s.reference[i] for i in top], 0.38, color=FROZEN, label="reference")
            axes.bar(at + 0.2, [s.live[i] for i in top], 0.38, color=SERVED, label="live")
            axes.set_xticks(at, [str(s.x[i])[:10] for i in top], rotation=40 if len(top) > 5 else 0)
        effect = "D" if f.effect_name == "D" else "V"
        axes.set_title(f"{name}   {effect} {f.effect:.2f}", fontsize=9)
        whole_days = window.window_end - window.window_start >= 86_400_000
        form = "%d %b" if whole_days else "%H:%M"
        span = f"{date(window.window_start):{form}} to {date(window.window_end):{form}}"
        axes.set_title(span, loc="right", fontsize=7.5, color=FAINT)
    for axes in panels[len(chosen) :]:
        axes.set_visible(False)
    if chosen:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure
