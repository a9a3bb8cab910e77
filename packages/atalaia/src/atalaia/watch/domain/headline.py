"""The first line: what is wrong with the model now, since when, and what was done about it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from atalaia.drift.explain import when
from atalaia.drift.history import Alert
from atalaia.watch.domain.answers import GRAVEST, Headline, what
from atalaia.watch.domain.chain import Chain, last_move
from atalaia.watch.domain.done import answers_to, done, promoted_of
from atalaia.watch.domain.duty import nothing_to_do
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.pending import review_of, turn_of, under_review
from atalaia.watch.domain.quality import reports_of, worse_than_estimated
from atalaia.watch.domain.steps import APPROVAL, APPROVED, LABELS, NOT_APPROVED, SHADOW
from atalaia.watch.domain.takeover import last_rollback, not_judged, promoting_of, worse
from atalaia.watch.domain.windows import is_judged, own, spoken
from atalaia.watch.domain.words import changed, lasting, sentence, strongest, utc

PHASES = {
    "waiting": "a training waits", LABELS: "waiting for labels", "training": "a training runs", SHADOW: "a winner is tried on live traffic",
    APPROVAL: "a winner waits for approval", APPROVED: "a winner is approved", NOT_APPROVED: "a winner is not approved",
    "refused": "a training was refused", "failed": "a training failed",
}  # fmt: skip
# Without a report for so many windows' time, and for LEAST_SILENCE, nobody knows how a model is.
SILENT_WINDOWS = 3
LEAST_SILENCE = 600_000  # ms: rows come late, and a window is not reported before they have had their time
SILENCE = "silence"
STATES = {"quality": "Worse predictions", "real": "Concept drift", "virtual": "Drift"}


def headline(memory: Memory, chains: Sequence[Chain], clock: int = 0) -> Headline:
    """What the topics say of a model, in the order of what matters most, and whether it is a person's turn.

    ``clock``: the time (wall clock, ms), by which what was said long ago does not pass for the present; 0: it is not asked.
    """
    head = _heard(memory, _as_judged(memory, chains), clock)
    turn, review, tone = turn_of(memory), review_of(memory), head.tone
    last = last_move(chains)
    phase = PHASES.get(last.what, "") if last else "under review" if under_review(memory) else ""
    if head.kind in STATES and not phase and not any(chain.open and chain.answers for chain in chains):
        phase = "no training yet"
    if turn is not None and tone in ("good", "none"):
        tone = "wait"
    progress = last.progress if last else None
    steady, alerted = head.tone in ("good", "none"), head.kind in STATES
    need = turn.words if turn else nothing_to_do(memory, last, alerted=alerted, steady=steady)
    done = f"{head.done}\n{review}".strip()
    if head.kind == SILENCE and turn is None:
        need = "Look whether requests come and the drift-monitor runs: docs/runbooks.md, WindowsUndecided."
    return replace(head, tone=tone, done=done, phase=phase, need=need, turn=turn, progress=progress)


def _heard(memory: Memory, head: Headline, clock: int) -> Headline:
    """The same, unless for too long no window was reported: what was well then is not known to be now."""
    windows = spoken(memory)
    if not windows or not memory.reported or not clock:
        return head
    size = windows[-1].window_end - windows[-1].window_start
    silence = clock - memory.reported
    if silence <= max(SILENT_WINDOWS * size, LEAST_SILENCE):
        return head
    told = f"No window has been reported for {lasting(silence)}; one is due every {lasting(size)}."
    if head.tone not in ("good", "none"):
        return replace(head, more=f"{head.more} {told} What is said here is of before that.".strip())
    newest = f"window to {when(windows[-1].window_end)}"
    return replace(
        head, tone="wait", state="No reports", kind=SILENCE, now=told, began=None,
        more=f"How {memory.model} does now is not known. The last known ({newest}): {head.now} {head.more}".strip(),
        since=f"{utc(memory.reported)}, when the last report came.",
        done=f"About this silence nothing is done by itself.\nBefore it: {head.done}",
    )  # fmt: skip


def _as_judged(memory: Memory, chains: Sequence[Chain]) -> Headline:
    windows = spoken(memory)
    version = memory.serving.version if memory.serving else windows[-1].version if windows else None
    if version is None:
        return Headline(
            "none",
            "Nothing yet",
            f"No version of {memory.model} serves or was judged so far.",
            "",
            "",
            "",
        )
    alerts = sorted(memory.opened, key=lambda alert: GRAVEST.get(alert.opening.kind, 3))
    if memory.looks and memory.looks[-1].verdict == "rolled_back":
        return worse(memory, chains)
    if alerts:
        return _alerted(memory, alerts, chains)
    if not own(memory, windows):
        return not_judged(memory, version, chains)
    if windows[-1].state == "warning" and windows[-1].version == version:
        return _warned(memory, version)
    return _steady(memory, version, chains)


def _alerted(memory: Memory, alerts: Sequence[Alert], chains: Sequence[Chain]) -> Headline:
    first, *others = alerts
    whose = f"version {first.version} of {memory.model}"
    since = first.changes[-1].since
    recovered = all(alert.state == "recovered" for alert in alerts)
    more = []
    if first.opening.kind != "virtual" and any(alert.opening.kind == "virtual" for alert in others):
        more.append("Its inputs or outputs no longer look as they did either.")
    judged = own(memory, spoken(memory))
    drifted = [name for name, f in judged[-1].features.items() if f.drifted] if judged else []
    began = first.opening.kind == "virtual" and not recovered and set(drifted) > set(first.opening.features)
    if recovered:
        more.append("The newest window is quiet again; a few more, and the alert is closed.")
    elif judged:
        new = first.opening.kind != "virtual" and drifted
        names = f": {changed(strongest(judged[-1].features, drifted))}" if new else ""
        quiet = "Its inputs and outputs look as they should: " if not drifted else ""
        by_now = "By now " if began else ""
        of = "" if quiet else " inputs and outputs"
        more.append(
            f"{quiet}{by_now}{len(drifted)} of {len(judged[-1].features)}{of} "
            f"{'has' if len(drifted) == 1 else 'have'} drifted in {newest(memory)}{names}."
        )
    ago = memory.newest - since
    return Headline(
        tone="wait" if recovered else "alarm",
        state="Quiet again" if recovered else STATES.get(first.opening.kind, "Alert"),
        now=what(first, whose, looked_like(memory, first.version, whose), more=began),
        kind=first.opening.kind,
        more=" ".join(more),
        since=f"{utc(since)}{f', for {lasting(ago)} up to the newest window' if ago > 0 else ''}.",
        done=f"{last_rollback(memory)}\n{answers_to(alerts, chains)}".strip(),
        began=since,
    )


def newest(memory: Memory) -> str:
    """What the newest window of which anything can be said is called."""
    return "the newest window" if is_judged(spoken(memory)[-1]) else "the newest window with rows enough"


def looked_like(memory: Memory, version: str, whose: str) -> str:
    """The rows that live ones of a version are held against: its own, or what a person has accepted in their place."""
    if any(reference.version == version for reference in memory.accepted.values()):
        return f"the rows that were accepted as the reference of {whose}"
    return f"the rows that {whose} was trained and tested on"


def _warned(memory: Memory, version: str) -> Headline:
    window = spoken(memory)[-1]
    names = strongest(window.features, [n for n, f in window.features.items() if f.drifted])
    now = sentence(
        f"{changed(names) or 'all inputs and outputs together'} of {memory.model} version {version} drifted in the newest window"
    )
    return Headline(
        "wait", "Warning", now, "So few windows are no alert yet.", f"{utc(window.window_start)}.",
        last_rollback(memory) or "Nothing was done: trainings begin with an alert.", began=window.window_start,
    )  # fmt: skip


def _steady(memory: Memory, version: str, chains: Sequence[Chain]) -> Headline:
    windows = spoken(memory)
    judged = own(memory, windows)
    it = looked_like(memory, version, "it")
    now = f"Nothing is wrong: what {memory.model} version {version} sees and says looks like {it}."
    if judged[-1].status == "drift":
        now = f"What {memory.model} version {version} sees has drifted in {newest(memory)}, and no alert is open."
    labelled = [q for q in reports_of(memory) if q.version == version and q.window_end > memory.since]
    few_rows = (
        f"The newest window has {windows[-1].rows:,} rows, too few to be judged."
        if not is_judged(windows[-1])
        else ""
    )
    at, why = judged[0].window_start, "with the first window that is known here"
    if memory.since > 0:
        first = memory.serving is not None and memory.serving.action == "installed"
        at, why = memory.since, f"when version {version} {'began to serve' if first else 'took over'}"
    closed = [a for a in memory.alerts if not a.open and a.version == version and a.opening.state == "drift"]
    if closed and closed[0].changes[-1].window_end > at:
        at, why = closed[0].changes[-1].window_end, "when the last alert was closed"
    return Headline(
        tone="good" if judged[-1].status == "ok" else "wait",
        state="Steady" if judged[-1].status == "ok" else "Drifted, no alert",
        now=now,
        more=f"{few_rows} {worse_than_estimated(labelled)}".strip(),
        since=f"{utc(at)}, {why}.",
        done=_going_on(chains) or _promotion(chains, version) or _last_time(chains),
        began=at,
    )


def _going_on(chains: Sequence[Chain]) -> str:
    """Of a training that nothing about the model asks for, or whose alert is closed."""
    current = (chain for chain in chains if chain.open or chain.waits)
    return "\n".join(filter(None, map(done, current)))


def _promotion(chains: Sequence[Chain], version: str) -> str:
    """How the version that serves came to, if that is the last that was done."""
    answered = next((chain for chain in chains if chain.answers), None)
    promoting = promoting_of(chains, version)
    return promoted_of(promoting, version) if promoting is not None and promoting is answered else ""


def _last_time(chains: Sequence[Chain]) -> str:
    answered = next((chain for chain in chains if chain.answers), None)
    if answered is None:
        return "Nothing was done: nothing was needed."
    title = f"{answered.title[:1].lower()}{answered.title[1:]}"
    since = f", since {utc(answered.since)}" if answered.since else ""
    return f"Nothing since. The last time ({title}{since}):\n{done(answered)}"
