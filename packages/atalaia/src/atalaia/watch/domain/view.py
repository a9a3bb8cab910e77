"""All that a page or a terminal shows of one model: figures, words and nothing to be computed any more."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from contracts.events import FeatureDrift, FeatureShape, QualityReported, WindowTested

from atalaia.demo.changes import describe
from atalaia.drift.plots import share
from atalaia.watch.domain.facts import Fact, facts
from atalaia.watch.domain.headline import Headline, headline
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.trail import Chain, trail
from atalaia.watch.domain.windows import Tile, is_judged, judged_of, spoken, tiles

MOST_FEATURES = 200
MOST_CHAINS = 40
MOST_SHAPES = 12
METRICS = (
    "accuracy", "log_loss", "auc", "f1", "balanced_accuracy", "precision", "recall", "brier", "pr_auc",
    "mae", "rmse", "r2", "mape", "bias",
)  # fmt: skip


class Window(msgspec.Struct, frozen=True):
    """A window as charts need it; ``drifted`` of ``features`` have."""

    start: int
    end: int
    version: str
    rows: int
    late: int
    status: str
    p: float
    alpha: float
    min_effect: float
    drifted: int
    features: int


class Series(msgspec.Struct, frozen=True):
    """A feature's tests ``[windows]``; None where it was not tested."""

    p: list[float | None]
    effect: list[float | None]
    drifted: list[bool]


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


class Figure(msgspec.Struct, frozen=True):
    """A metric of one window: realised with its interval, and estimated before the labels."""

    realised: float | None
    low: float | None
    high: float | None
    estimated: float | None


class Quality(msgspec.Struct, frozen=True):
    """How good one window's predictions were; ``enough``: its labels are."""

    start: int
    end: int
    version: str
    predicted: int
    labelled: int
    coverage: float
    enough: bool
    figures: dict[str, Figure]


class Error(msgspec.Struct, frozen=True):
    """The mean error of what a boundary's labels brought."""

    at: int
    version: str
    error: float | None
    drift: bool


class Mark(msgspec.Struct, frozen=True):
    """Something that charts mark at an event time."""

    at: int
    what: str
    words: str


class View(msgspec.Struct, frozen=True):
    """What there is to show of one model. ``tiles_of`` is the window that they are of, None before any was judged."""

    model: str
    headline: Headline
    facts: list[Fact]
    version: str | None
    served_since: int | None
    shadow: str | None
    newest: int
    tiles_of: Window | None
    tiles: list[Tile]
    left_out: int
    windows: list[Window]
    series: dict[str, Series]
    shapes: list[Drawn]
    metrics: list[str]
    quality: list[Quality]
    errors: list[Error]
    marks: list[Mark]
    trail: list[Chain]


def view(memory: Memory) -> View:
    """Everything, as of what was read."""
    chains, windows = trail(memory), spoken(memory)
    serving = memory.serving
    version = serving.version if serving else windows[-1].version if windows else None
    judged = judged_of(windows, version) if version else []
    if not judged:  # a new version says nothing yet: what the one before it said last
        before = [w for w in windows if is_judged(w)]
        judged = judged_of(windows, before[-1].version) if before else []
    opened = {a.id for a in memory.alerts if a.open and judged and a.version == judged[-1].version}
    found = tiles(judged, opened)
    names = [tile.name for tile in found[:MOST_FEATURES]]
    shadow = memory.challenger.version if memory.challenger else None
    quality = _told(memory)
    metrics = _metrics(quality)
    return View(
        model=memory.model,
        headline=headline(memory, chains),
        facts=facts(memory, judged[-1] if judged else None, metrics),
        version=version,
        served_since=serving.effective_from if serving else None,
        shadow=shadow if shadow != version else None,
        newest=memory.newest,
        tiles_of=_window(judged[-1]) if judged else None,
        tiles=found[:MOST_FEATURES],
        left_out=len(found[MOST_FEATURES:]),
        windows=[_window(w) for w in windows],
        series={name: _series(windows, name) for name in names},
        shapes=_shapes(memory, found),
        metrics=metrics,
        quality=[_quality(q, metrics) for q in quality],
        errors=[
            Error(key[0], e.version, e.error, e.state == "drift")
            for key, e in sorted(memory.concepts.items())
        ],
        marks=_marks(memory),
        trail=chains[:MOST_CHAINS],
    )


def _window(w: WindowTested) -> Window:
    drifted = sum(f.drifted for f in w.features.values())
    return Window(
        w.window_start, w.window_end, w.version, w.rows, w.late_rows, w.status, w.p_value, w.alpha, w.min_effect,
        drifted, len(w.features),
    )  # fmt: skip


def _series(windows: Sequence[WindowTested], name: str) -> Series:
    told = [w.features.get(name) for w in windows]
    return Series(
        [f.p_adjusted if f else None for f in told],
        [f.effect if f else None for f in told],
        [bool(f and f.drifted) for f in told],
    )


def _shapes(memory: Memory, found: Sequence[Tile]) -> list[Drawn]:
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


def _told(memory: Memory) -> list[QualityReported]:
    """One report a window, in order of time: of the version that predicted most of it."""
    chosen: dict[tuple[int, int], QualityReported] = {}
    for key in sorted(memory.quality):
        report = memory.quality[key]
        known = chosen.get(key[:2])
        if report.predicted and (known is None or report.predicted >= known.predicted):
            chosen[key[:2]] = report
    return list(chosen.values())


def _metrics(quality: Sequence[QualityReported]) -> list[str]:
    """Those that are told of, the one with an estimate first."""
    told = [m for m in METRICS if any(m in q.metrics for q in quality)]
    estimated = {m for q in quality for m in q.estimated}
    return sorted(told, key=lambda m: m not in estimated)


def _quality(q: QualityReported, metrics: Sequence[str]) -> Quality:
    figures = {}
    for name in metrics:
        low, high = q.intervals.get(name, (None, None))
        if name in q.metrics or name in q.estimated:
            figures[name] = Figure(q.metrics.get(name), low, high, q.estimated.get(name))
    return Quality(
        q.window_start,
        q.window_end,
        q.version,
        q.predicted,
        q.labelled,
        q.coverage,
        q.status == "ok",
        figures,
    )


def _marks(memory: Memory) -> list[Mark]:
    found = [
        Mark(a.opening.window_end, "alert", f"{a.opening.kind} alert")
        for a in memory.alerts
        if a.opening.state == "drift"
    ]
    for change in memory.changes.values():
        if change.effective_from and change.action != "installed":
            words = f"version {change.version} {change.action.replace('_', ' ')}"
            found.append(Mark(change.effective_from, change.action, words))
    told = {(c.version, c.effective_from) for c in memory.changes.values()}
    for d in memory.decisions.values():
        if d.decision == "refused":
            found.append(Mark(d.as_of, "refused", f"version {d.challenger_version or 'untold'} refused"))
        elif d.decision == "promoted" and not any(v == d.challenger_version for v, _ in told):
            found.append(Mark(d.as_of, "promoted", f"version {d.challenger_version} promoted"))
    return sorted(found, key=lambda mark: mark.at)
