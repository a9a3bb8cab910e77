"""All that a page or a terminal shows of one model: figures, words and nothing to be computed any more."""

from __future__ import annotations

import msgspec

from atalaia.watch.domain.answers import Headline
from atalaia.watch.domain.chain import Chain
from atalaia.watch.domain.facts import Fact, facts
from atalaia.watch.domain.headline import SILENCE, headline
from atalaia.watch.domain.marks import Mark, marks_of
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.quality import (
    Error,
    Quality,
    errors_of,
    metrics_of,
    quality_of,
    reports_of,
    worse_spans,
)
from atalaia.watch.domain.series import Series, Window, series_of, window_of
from atalaia.watch.domain.shapes import Drawn, shapes_of
from atalaia.watch.domain.steps import Step
from atalaia.watch.domain.trail import trail
from atalaia.watch.domain.windows import Tile, is_judged, judged_of, own, spoken, tiles

MOST_FEATURES = 200
MOST_CHAINS = 40
MOST_STEPS = 24


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


def view(memory: Memory, clock: int = 0) -> View:
    """Everything, as of what was read; ``clock`` as for :func:`headline`."""
    chains, windows = trail(memory), spoken(memory)
    serving = memory.serving
    version = serving.version if serving else windows[-1].version if windows else None
    judged = own(memory, windows)
    if not judged:  # a new version says nothing yet: what the one before it said last
        before = [w for w in windows if is_judged(w)]
        judged = judged_of(windows, before[-1].version) if before else []
    opened = {a.id for a in memory.alerts if a.open and judged and a.version == judged[-1].version}
    found = tiles(judged, opened)
    names = [tile.name for tile in found[:MOST_FEATURES]]
    shadow = memory.challenger.version if memory.challenger else None
    quality = reports_of(memory)
    metrics = metrics_of(quality)
    worse = worse_spans(memory)
    head = headline(memory, chains, clock)
    return View(
        model=memory.model,
        headline=head,
        facts=_as_of(head, facts(memory, judged[-1] if judged else None, metrics)),
        version=version,
        served_since=serving.effective_from if serving else None,
        shadow=shadow if shadow != version else None,
        newest=memory.newest,
        tiles_of=window_of(judged[-1]) if judged else None,
        tiles=found[:MOST_FEATURES],
        left_out=len(found[MOST_FEATURES:]),
        windows=[window_of(w) for w in windows],
        series={name: series_of(windows, name) for name in names},
        shapes=shapes_of(memory, found),
        metrics=metrics,
        quality=[quality_of(q, metrics, worse) for q in quality],
        errors=errors_of(memory),
        marks=marks_of(memory, head.began),
        trail=[_shortened(chain) for chain in chains[:MOST_CHAINS]],
    )


def _as_of(head: Headline, found: list[Fact]) -> list[Fact]:
    """While nothing is reported, how good a figure is is not known but of before: said so, and in no colour."""
    if head.kind != SILENCE:
        return found
    return [
        msgspec.structs.replace(fact, state=f"last known: {fact.state}", tone="none") if fact.state else fact
        for fact in found
    ]


def _shortened(chain: Chain) -> Chain:
    """Of very many steps the first and the newest ones, and how many are left out between."""
    steps, left = chain.steps, len(chain.steps) - MOST_STEPS
    if left <= 0:
        return chain
    told = Step(steps[left].at, "and more", f"{left:,} steps in between are left out.")
    return msgspec.structs.replace(chain, steps=[steps[0], told, *steps[left + 1 :]])
