"""The first line: what is wrong with the model now, since when, and what was done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from atalaia.drift.history import Alert
from atalaia.watch.domain.done import answers_to, done
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.trail import Chain
from atalaia.watch.domain.windows import is_judged, judged_of, spoken
from atalaia.watch.domain.words import changed, lasting, plain, sentence, strongest, utc

Tone = Literal["alarm", "wait", "good", "none"]
GRAVEST = {"quality": 0, "real": 1, "virtual": 2}
STATES = {"quality": "Worse predictions", "real": "Concept drift", "virtual": "Drift"}


class Headline(msgspec.Struct, frozen=True):
    """``state`` in a word or two, then three answers in plain words: ``now`` in a sentence, with ``more`` to it,
    ``since`` and ``done``."""

    tone: Tone
    state: str
    now: str
    more: str
    since: str
    done: str


def headline(memory: Memory, chains: Sequence[Chain]) -> Headline:
    """What the topics say of a model, in the order of what matters most."""
    windows = spoken(memory)
    version = memory.serving.version if memory.serving else windows[-1].version if windows else None
    if version is None:
        return Headline(
            "none", "Nothing yet", f"No version of {memory.model} serves or was judged so far.", "", "", ""
        )
    opened = sorted((a for a in memory.alerts if a.open), key=lambda a: GRAVEST.get(a.opening.kind, 3))
    own = [alert for alert in opened if alert.version == version]
    if own:
        return _alerted(memory, own, chains)
    if not judged_of(windows, version):
        return _not_judged(memory, version, opened, chains)
    if windows[-1].state == "warning" and windows[-1].version == version:
        return _warned(memory, version)
    return _steady(memory, version, chains)


def _alerted(memory: Memory, own: Sequence[Alert], chains: Sequence[Chain]) -> Headline:
    first, *others = own
    since = first.changes[-1].since
    recovered = all(alert.state == "recovered" for alert in own)
    more = []
    if first.opening.kind != "virtual" and any(alert.opening.kind == "virtual" for alert in others):
        more.append("Its inputs or outputs no longer look like its reference either.")
    judged = judged_of(spoken(memory), first.version)
    if recovered:
        more.append("The newest window is quiet again; a few more, and the alert is closed.")
    elif judged:
        drifted = [name for name, f in judged[-1].features.items() if f.drifted]
        new = first.opening.kind != "virtual" and drifted
        names = f": {changed(strongest(judged[-1].features, drifted))}" if new else ""
        more.append(
            f"In the newest judged window {len(drifted)} of {len(judged[-1].features)} features have drifted{names}."
        )
    ago = memory.newest - since
    return Headline(
        tone="wait" if recovered else "alarm",
        state="Quiet again" if recovered else STATES.get(first.opening.kind, "Alert"),
        now=_what(first, f"{memory.model} version {first.version}"),
        more=" ".join(more),
        since=f"{utc(since)}{f', {lasting(ago)} before the end of the newest window' if ago > 0 else ''}.",
        done=answers_to(own, chains),
    )


def _what(alert: Alert, whose: str) -> str:
    opening, reason = alert.opening, plain(alert.opening.reason)
    if opening.kind == "real":
        return sentence(
            f"the same inputs mean something else to {whose} than they did: {reason.partition(';')[0]}"
        )
    if opening.kind == "quality":
        return sentence(f"the predictions of {whose} are worse than expected: {reason}")
    names = strongest(opening.features)
    if not names:
        return sentence(
            f"all features of {whose} together no longer look like its reference, though none does alone"
        )
    return sentence(f"{changed(names)} of {whose} no longer look{'s' * (len(names) == 1)} like its reference")


def _not_judged(memory: Memory, version: str, opened: Sequence[Alert], chains: Sequence[Chain]) -> Headline:
    change = memory.serving
    at = change.effective_from if change else 0
    whose = f"version {version} of {memory.model}"
    since = f"{utc(at)}." if at else "The beginning."
    if change is not None and change.action == "rolled_back":
        now = (
            f"Version {change.previous_version} was taken back: {whose} serves again, and is not judged yet."
        )
        return Headline(
            "wait", "Rolled back", now, "", since, sentence(plain(change.reason) or "no reason was given")
        )
    if opened:
        first = opened[0]
        names = strongest(first.opening.features)
        what = f"{changed(names)} drifted" if names else _what(first, f"version {first.version}").rstrip(".")
        return Headline(
            "wait", "Replaced, not judged yet",
            sentence(f"{what}; {whose} has taken over, and none of its windows has been judged yet"), "",
            f"{utc(first.changes[-1].since)}; version {version} took over {utc(at)}.", answers_to(opened, chains),
        )  # fmt: skip
    now = f"{sentence(whose)[:-1]} serves, and none of its windows has been judged yet."
    return Headline("none", "Not judged yet", now, "", since, "Nothing was needed so far.")


def _warned(memory: Memory, version: str) -> Headline:
    window = spoken(memory)[-1]
    names = strongest(window.features, [n for n, f in window.features.items() if f.drifted])
    now = sentence(
        f"{changed(names) or 'all features together'} of {memory.model} version {version} drifted in the newest window"
    )
    return Headline(
        "wait", "Warning", now, "So few windows are no alert yet.", f"{utc(window.window_start)}.",
        "Nothing yet: trainings begin with an alert.",
    )  # fmt: skip


def _steady(memory: Memory, version: str, chains: Sequence[Chain]) -> Headline:
    windows = spoken(memory)
    judged = judged_of(windows, version)
    now = f"Nothing is wrong: what {memory.model} version {version} sees and says looks like its reference."
    if judged[-1].status == "drift":
        now = (
            f"The newest judged window of {memory.model} version {version} has drifted, and no alert is open."
        )
    few = windows[-1].rows if not is_judged(windows[-1]) else None
    at, why = judged[0].window_start, "with the first window that is remembered"
    if memory.serving is not None and memory.serving.effective_from > 0:
        at, why = memory.serving.effective_from, f"when version {version} took over"
    closed = [a for a in memory.alerts if not a.open and a.version == version and a.opening.state == "drift"]
    if closed and closed[0].changes[-1].window_end > at:
        at, why = closed[0].changes[-1].window_end, "when the last alert was closed"
    answered = next((chain for chain in chains if chain.answers), None)
    last = f" Last time, since {utc(answered.since)}: {done(answered)}" if answered else ""
    return Headline(
        tone="good" if judged[-1].status == "ok" else "wait",
        state="Steady" if judged[-1].status == "ok" else "Drifted, no alert",
        now=now,
        more=f"The newest window has {few:,} rows, too few to be judged." if few is not None else "",
        since=f"{utc(at)}, {why}.",
        done=f"Nothing is needed.{last}",
    )
