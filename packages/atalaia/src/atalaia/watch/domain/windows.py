"""Which window speaks for which piece of event time, and what each feature says in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import msgspec
from contracts.events import WindowTested

from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import is_output

FeatureState = Literal["drifted", "was", "steady"]
ORDER: dict[str, int] = {"drifted": 0, "was": 1, "steady": 2}


class Tile(msgspec.Struct, frozen=True):
    """One feature as of the newest judged window.

    ``state``: ``drifted`` in it; ``was``: not in it, but in an earlier one of the alerts (``opened``) that are open; else ``steady``.
    ``since``: where the run of windows began in each of which it drifted. ``windows``: of how many judged ones of this
    version it ``drifted_in`` how many. ``over``: its effect is large enough to count, but chance may explain it.
    """

    name: str
    output: bool
    state: FeatureState
    effect: float
    effect_name: str
    p: float
    missing: int
    since: int | None
    drifted_in: int
    windows: int
    over: bool = False


def is_judged(window: WindowTested) -> bool:
    """Whether it had rows enough."""
    return window.status != "insufficient data" and bool(window.features)


def spoken(memory: Memory) -> list[WindowTested]:
    """One report a window, in order of time: the serving version's, unless only another's could be judged.

    When a version is replaced both report: the old one for the last time, the new one often with too few rows yet.
    """
    chosen: dict[tuple[int, int], WindowTested] = {}
    for window in memory.windows.values():
        key = (window.window_end, window.window_start)
        known = chosen.get(key)
        if known is None or _weight(window) >= _weight(known):
            chosen[key] = window
    return [chosen[key] for key in sorted(chosen)]


def _weight(window: WindowTested) -> tuple[bool, bool, int]:
    return is_judged(window), window.serving, window.rows


def judged_of(windows: Iterable[WindowTested], version: str) -> list[WindowTested]:
    """The judged windows of one version."""
    return [w for w in windows if w.version == version and is_judged(w)]


def own(memory: Memory, windows: Sequence[WindowTested]) -> list[WindowTested]:
    """The judged windows of the version that serves, since it does: what it did before it was replaced and came back is over."""
    serving = memory.serving
    if serving is None:
        return judged_of(windows, windows[-1].version) if windows else []
    return [w for w in judged_of(windows, serving.version) if w.window_end > serving.effective_from]


def tiles(windows: Sequence[WindowTested], opened: Collection[str]) -> list[Tile]:
    """A tile a feature of the last of ``windows``, judged ones of one version: what drifted first, the strongest first."""
    if not windows:
        return []
    found = []
    for name, feature in windows[-1].features.items():
        own = [(w, w.features[name]) for w in windows if name in w.features]
        since = None
        for window, f in reversed(own):
            if not f.drifted:
                break
            since = window.window_start
        before = any(f.drifted for w, f in own if w.alert_id in opened)
        state: FeatureState = "drifted" if feature.drifted else "was" if before else "steady"
        found.append(
            Tile(
                name, is_output(name), state, feature.effect, feature.effect_name, feature.p_adjusted, feature.missing,
                since, sum(f.drifted for _, f in own), len(own),
                not feature.drifted and feature.effect >= windows[-1].min_effect,
            )
        )  # fmt: skip
    return sorted(found, key=lambda t: (ORDER[t.state], t.output, -t.effect, t.name))
