"""The live span of an alert as its version's reference: formed from panes, checked against reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from contracts.codec import derived_id
from contracts.events import PaneCounted, ReferenceAccepted, TrainingDecided, WindowTested
from servicekit.config import Settings
from servicekit.errors import UserError
from summaries.counts import unpack_sparse

from atalaia import sending
from atalaia.drift.explain import when
from atalaia.drift.history import SHORT, Alert, reports_of
from atalaia.drift.plots import share

TOPIC = "references"
MAX_BYTES = 16 * 1024 * 1024  # as the topic allows
BLIND = 0.1


def acceptance(
    alert: Alert,
    reports: Iterable[WindowTested],
    panes: Iterable[PaneCounted],
    accepted: Iterable[ReferenceAccepted],
    reason: str,
    by: str = "",
) -> ReferenceAccepted:
    """What to publish; raises :class:`UserError` where the alert or its rows do not allow it.

    The span goes from the alert's ``since`` to the newest decided window. It is whole where the panes of each window
    in it hold as many rows as the window's report says.
    """
    name = f"alert {alert.id[:SHORT]}"
    if alert.opening.kind != "virtual":
        raise UserError(
            f"{name} is of kind {alert.opening.kind}: another reference of inputs and outputs does not answer it."
        )
    for known in accepted:
        if known.alert_id == alert.id:
            raise UserError(
                f"{name} was accepted already, for windows that end after {when(known.effective_from)}; "
                f"it closes with the next one that is decided."
            )
    if not alert.open:
        raise UserError(f"{name} is not open ({alert.changes[-1].reason}): there is nothing to accept.")
    windows = [r for r in reports_of(reports, alert.model, alert.version) if r.final]
    since = min(change.since for change in alert.changes)
    span = [report for report in windows if report.window_end > since]
    if not span:
        raise UserError(f"{name}: the reports of its windows are gone, so its span is not known.")
    until = span[-1].window_end
    own = [
        pane for pane in panes if (pane.model, pane.version) == (alert.model, alert.version) and not pane.late
    ]
    for report in span:
        held = sum(p.rows for p in own if report.window_start <= p.pane_start < report.window_end)
        if held != report.rows:
            raise UserError(
                f"{name}: panes of its span are gone: the window {when(report.window_start)} to "
                f"{when(report.window_end)} had {report.rows:,} rows, its panes hold {held:,}. It cannot be accepted."
            )
    chosen = [pane for pane in own if pane.pane_end > since and pane.pane_end <= until]
    return ReferenceAccepted(
        model=alert.model,
        version=alert.version,
        alert_id=alert.id,
        since=since,
        until=until,
        effective_from=until,
        rows=sum(pane.rows for pane in chosen),
        counts=added_up(chosen),
        reason=reason,
        accepted_by=by,
    )


def added_up(panes: Iterable[PaneCounted]) -> dict[str, tuple[list[int], list[int]]]:
    """The counts of all panes, sparse as theirs."""
    total: dict[str, dict[int, int]] = {}
    for pane in panes:
        for name, packed in pane.counts.items():
            of = total.setdefault(name, {})
            for index, count in zip(*(part.tolist() for part in unpack_sparse(packed)), strict=True):
                of[index] = of.get(index, 0) + count
    return {name: (sorted(of), [of[index] for index in sorted(of)]) for name, of in sorted(total.items())}


def blind_spots(event: ReferenceAccepted, reports: Sequence[WindowTested]) -> Iterator[str]:
    """Numbers of which many rows lie in one gap between the profile's values: there no difference can be seen.

    Of a number's cells the gaps are the even ones.
    """
    tests = {name: feature.test for report in reports for name, feature in report.features.items()}
    for name, (indices, counts) in event.counts.items():
        if tests.get(name) == "ks":
            heaviest = max((c for i, c in zip(indices, counts, strict=True) if i % 2 == 0), default=0)
            if heaviest > BLIND * event.rows:
                yield (
                    f"{name}: {share(heaviest / event.rows)} of the rows lie between two neighbouring values of the "
                    f"model's profile, or beyond all of them; differences among these will not be seen."
                )


def said(event: ReferenceAccepted) -> Iterator[str]:
    """What is accepted, in words."""
    yield (
        f"{event.rows:,} rows of {event.model} version {event.version}, {when(event.since)} to {when(event.until)} UTC, "
        f"are the reference of its windows that end after {when(event.effective_from)}."
    )
    yield "How features go together is not known of them: each is judged alone until another version serves."


def under_way(alert_id: str, decisions: Iterable[TrainingDecided]) -> Iterator[str]:
    """A word of warning where the trainer is answering the alert already."""
    last = {run.run_id: run for run in decisions if alert_id in (run.alert_id, *run.answers)}
    for decision in last.values():
        pending = decision.decision == "waiting" and decision.waits_for in ("shadow", "approval")
        if decision.decision == "started" or pending:
            yield (
                f"A training that this alert began is under way ({decision.reason}). Should its model be promoted, "
                f"that answers the alert, and the new version has its own reference."
            )


async def send(settings: Settings, event: ReferenceAccepted) -> None:
    """Publish it; raises :class:`UserError` where no monitor has made the topic."""
    ce_id = derived_id("reference", event.alert_id)
    await sending.send(
        settings, TOPIC, event, key=event.model, ce_id=ce_id, reader="drift-monitor", max_bytes=MAX_BYTES
    )
