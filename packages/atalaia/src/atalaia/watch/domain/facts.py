"""Four figures at a glance: who serves, what drifted, how good it is, and what trainings came to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec
from contracts.events import QualityReported, WindowTested

from atalaia.drift.explain import when
from atalaia.drift.plots import number
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.quality import LESS_IS_BETTER, reports_of
from atalaia.watch.domain.words import metric_name, utc

FEW = 3  # windows, of which a median says little


class Fact(msgspec.Struct, frozen=True):
    """A figure, and what it is. ``state``: in a few words how good that is, in the colour of ``tone``, where it can be said."""

    value: str
    label: str
    state: str = ""
    tone: str = ""


def facts(memory: Memory, judged: WindowTested | None, metrics: Sequence[str]) -> list[Fact]:
    """What there is of the four; ``judged`` is the newest judged window, be it of the version before."""
    found = [_serving(memory), _drifted(memory, judged), _quality(memory, metrics), _trainings(memory)]
    return [fact for fact in found if fact is not None]


def _serving(memory: Memory) -> Fact | None:
    change = memory.serving
    if change is None:
        return None
    again = " again" if change.action == "rolled_back" else ""
    begins = (
        f"serves{again} since {utc(change.effective_from)}"
        if change.effective_from
        else "serves from the beginning"
    )
    shadow = memory.challenger.version if memory.challenger else None
    beside = f" (version {shadow} shadows it)" if shadow not in (None, change.version) else ""
    return Fact(f"version {change.version}", f"{begins}{beside}")


def _is_own(memory: Memory, report: WindowTested | QualityReported) -> bool:
    """Whether it is about the version that serves, since it does."""
    serving = memory.serving
    return serving is None or (report.version == serving.version and report.window_end > memory.since)


def _not_yet(memory: Memory, what: str, version: str, said: str) -> Fact:
    """That the version that serves has no such figure yet, and what the last one was of."""
    serving = memory.serving
    if serving is None or version == serving.version:
        return Fact(f"version {version}: {what}", f"before it was replaced and came back: {said}")
    return Fact(f"version {serving.version}: {what}", f"version {version}, replaced: {said}")


def _drifted(memory: Memory, judged: WindowTested | None) -> Fact | None:
    if judged is None:
        return None
    drifted, of = sum(f.drifted for f in judged.features.values()), len(judged.features)
    if not _is_own(memory, judged):
        said = f"{drifted} of {of} inputs and outputs drifted, window to {when(judged.window_end)}"
        return _not_yet(memory, "not judged yet", judged.version, said)
    label = f"inputs and outputs, window to {when(judged.window_end)} ({judged.rows:,} rows)"
    tone = "alarm" if drifted else "good"
    return Fact(
        f"{drifted} of {of} drifted",
        label,
        "they look different" if drifted else "they look as they should",
        tone,
    )


def _quality(memory: Memory, metrics: Sequence[str]) -> Fact | None:
    told = [q for q in reports_of(memory) if q.status == "ok" and metrics and metrics[0] in q.metrics]
    if not told:
        return None
    q, name = told[-1], metrics[0]
    value = f"{number(round(q.metrics[name], 3))} {metric_name(name)}"
    if not _is_own(memory, q):
        return _not_yet(memory, "no labels yet", q.version, f"{value}, window to {when(q.window_end)}")
    guess = f"; guess before the labels {number(round(q.estimated[name], 3))}" if name in q.estimated else ""
    label = f"{q.coverage:.0%} of rows labelled, window to {when(q.window_end)}{guess}"
    usual = _usual(memory, [each for each in told if _is_own(memory, each)], name)
    if usual is None:
        return Fact(value, label)
    return Fact(value, label, *_beside(memory, q, name, *usual))


def _usual(memory: Memory, own: Sequence[QualityReported], name: str) -> tuple[float, str] | None:
    """What the version did before, and when that was: in the windows before the alert, or where it was chosen."""
    since = min((alert.changes[-1].since for alert in memory.opened), default=own[-1].window_start)
    before = [
        q.metrics[name] for q in own if q.window_end <= max(since, own[0].window_end) and q is not own[-1]
    ]
    if len(before) >= FEW:
        return median(before), f"in the {len(before)} windows before"
    for d in memory.decisions.values():
        found = d.metrics.get("challenger", {})
        if d.decision == "promoted" and d.challenger_version == own[-1].version and name in found:
            return found[name], "before its promotion"
    return None


def _beside(memory: Memory, q: QualityReported, name: str, usual: float, of: str) -> tuple[str, str]:
    """How a window's figure stands to the usual one, and the tone of that: worse counts beyond its 95% interval."""
    less, was = name in LESS_IS_BETTER, f"was {number(round(usual, 3))} {of}"
    if (q.metrics[name] <= usual) if less else (q.metrics[name] >= usual):
        return was, "good"
    low, high = q.intervals.get(name, (None, None))
    if low is None or high is None:
        return was, ""
    if (low > usual) if less else (high < usual):
        tone = "alarm" if any(a.opening.kind in ("real", "quality") for a in memory.opened) else "wait"
        return f"worse: {was}", tone
    return f"{was}; may be chance", "none"


def _trainings(memory: Memory) -> Fact | None:
    ended = [d for d in memory.decisions.values() if d.decision in ("promoted", "refused", "failed")]
    if not ended:
        return None
    undone = {c.previous_version for c in memory.changes.values() if c.action == "rolled_back"}
    promoted = [d for d in ended if d.decision == "promoted"]
    back = sum(d.challenger_version in undone for d in promoted)
    told = []
    if promoted:
        then = (
            ""
            if not back
            else ", then rolled back"
            if back == len(promoted)
            else f" ({back} rolled back since)"
        )
        told.append(f"{len(promoted)} promoted{then}")
    told += [f"{n} {how}" for how in ("refused", "failed") if (n := sum(d.decision == how for d in ended))]
    if len(ended) == 1:
        return Fact("1 retraining", told[0].removeprefix("1 "))
    return Fact(f"{len(ended)} retrainings", "; ".join(told))
