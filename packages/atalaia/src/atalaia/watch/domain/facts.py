"""Four figures at a glance: who serves, what drifted, how good it is, and what trainings came to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from contracts.events import WindowTested

from atalaia.drift.explain import when
from atalaia.drift.plots import number, share
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import metric_name, utc


class Fact(msgspec.Struct, frozen=True):
    """A figure, and what it is."""

    value: str
    label: str


def facts(memory: Memory, judged: WindowTested | None, metrics: Sequence[str]) -> list[Fact]:
    """What there is of the four; ``judged`` is the newest judged window."""
    found = [_serving(memory), _drifted(judged), _quality(memory, metrics), _trainings(memory)]
    return [fact for fact in found if fact is not None]


def _serving(memory: Memory) -> Fact | None:
    change = memory.serving
    if change is None:
        return None
    begins = (
        f"serves since {utc(change.effective_from)}" if change.effective_from else "serves from the beginning"
    )
    shadow = memory.challenger.version if memory.challenger else None
    beside = f" (version {shadow} shadows it)" if shadow not in (None, change.version) else ""
    return Fact(f"version {change.version}", f"{begins}{beside}")


def _drifted(judged: WindowTested | None) -> Fact | None:
    if judged is None:
        return None
    drifted = sum(f.drifted for f in judged.features.values())
    of = (
        f"drifted in the newest judged window, to {when(judged.window_end)}: "
        f"{judged.rows:,} rows of version {judged.version}"
    )
    return Fact(f"{drifted} of {len(judged.features)} features", of)


def _quality(memory: Memory, metrics: Sequence[str]) -> Fact | None:
    told = [
        q
        for _, q in sorted(memory.quality.items())
        if q.status == "ok" and metrics and metrics[0] in q.metrics
    ]
    if not told:
        return None
    q, name = told[-1], metrics[0]
    estimated = f", estimated {number(round(q.estimated[name], 3))}" if name in q.estimated else ""
    of = f"{share(q.coverage)} of the labels, window to {when(q.window_end)}, version {q.version}{estimated}"
    return Fact(f"{number(round(q.metrics[name], 3))} {metric_name(name)}", of)


def _trainings(memory: Memory) -> Fact | None:
    told = [d.decision for d in memory.decisions.values()]
    ended = {how: told.count(how) for how in ("promoted", "refused", "failed")}
    if not any(ended.values()):
        return None
    others = ", ".join(f"{ended[how]} {how}" for how in ("refused", "failed") if ended[how])
    of = f"trainings that are remembered{f'; {others}' if others else ''}"
    return Fact(f"{ended['promoted']} of {sum(ended.values())} promoted", of)
