"""The evidence holds what the monitor and feedback have said about each boundary: reports, alerts, label counts.

A boundary B is complete for the serving version when the monitor's final report of the window ending at B
is here, the concept report as of B if it says that one comes, the alerts that they name, feedback's word as of
B, and every outcome that word counted. Decisions at B use nothing said as of later boundaries, so they do not depend
on who was faster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from contracts.events import AlertChanged, ConceptTested, QualityReported, ReferenceAccepted, WindowTested

from trainer.domain.counts import Counts, Window
from trainer.domain.ledger import Ledger
from trainer.domain.triggers import Kind, Trigger


@dataclass(frozen=True)
class _Tested:
    rows: int
    state: str
    alert_id: str | None
    concept: bool


class Evidence:
    """Reports and alerts of one model, by boundary."""

    def __init__(self) -> None:
        self._tested: dict[str, dict[int, _Tested]] = {}
        self._boundaries: dict[str, list[int]] = {}  # of _tested, sorted
        self._judged: dict[int, ConceptTested] = {}
        self._alerts: dict[str, list[AlertChanged]] = {}
        self._accepted: dict[str, int] = {}  # alert -> effective_from
        self._counts = Counts()
        self._said: dict[int, set[str]] = {}  # boundary -> versions that feedback has spoken of as of it
        self._here: int | None = None  # the boundary as of which all outcomes that were counted are here
        self._late: set[Window] = set()  # of which something was said since that counts from before it on

    def tested(self, report: WindowTested) -> None:
        """Take in a drift report; provisional ones decide nothing."""
        if report.final:
            said = _Tested(report.rows, report.state, report.alert_id, report.concept)
            tested = self._tested.setdefault(report.version, {})
            if report.window_end not in tested:
                insort(self._boundaries.setdefault(report.version, []), report.window_end)
            tested[report.window_end] = said

    def judged(self, report: ConceptTested) -> None:
        """Take in a concept report; one that was published twice says the same."""
        self._judged[report.as_of] = report

    def alerted(self, alert: AlertChanged) -> None:
        """Take in a state change of an alert."""
        self._alerts.setdefault(alert.alert_id, []).append(alert)

    def accepted(self, event: ReferenceAccepted) -> None:
        """A person takes an alert's world for the reference; of an alert's events the first holds."""
        self._accepted.setdefault(event.alert_id, event.effective_from)

    def measured(self, report: QualityReported) -> None:
        """Take in a quality report."""
        counts_from, window = self._counts.update(report)
        if self._here is not None and counts_from <= self._here:
            self._late.add(window)
        if report.window_end == report.as_of:
            self._said.setdefault(report.as_of, set()).add(report.version)

    def next(self, version: str, after: int | None) -> int | None:
        """The first boundary after ``after`` of which the monitor has spoken; boundaries are not jumped."""
        boundaries = self._boundaries.get(version, [])
        at = 0 if after is None else bisect_right(boundaries, after)
        return boundaries[at] if at < len(boundaries) else None

    def before(self, version: str, boundary: int) -> int | None:
        """The boundary before one at which a version was spoken of, whatever served then; itself where it was not."""
        if boundary not in self._tested.get(version, {}):
            return boundary
        earlier = (b[at - 1] for b in self._boundaries.values() if (at := bisect_left(b, boundary)))
        return max(earlier, default=None)

    @property
    def first(self) -> int | None:
        """The first boundary of all, whatever version served."""
        return min((boundaries[0] for boundaries in self._boundaries.values()), default=None)

    def missing(self, version: str, boundary: int, ledger: Ledger) -> str | None:
        """What is still to come before a boundary given by :meth:`next` is complete, in words."""
        tested = self._tested[version][boundary]
        said = self._said.get(boundary, set())
        # A version without rows yet is unknown to feedback, whose word for the window is then another's.
        if not (version in said or (said and tested.rows == 0)):
            return f"quality report of version {version} as of {boundary}"
        judged = self._judged.get(boundary)
        if tested.concept and judged is None:
            return f"concept report as of {boundary}"
        if tested.alert_id is not None and tested.alert_id not in self._alerts:
            return f"alert {tested.alert_id}, named by the drift report as of {boundary}"
        for named in (judged.alert_id, judged.quality_alert_id) if judged is not None else ():
            if named is not None and named not in self._alerts:
                return f"alert {named}, named by the concept report as of {boundary}"
        return self._outcomes(boundary, ledger)

    def _outcomes(self, boundary: int, ledger: Ledger) -> str | None:
        """Which outcomes that feedback had counted by a boundary are not here, in words.

        Rows only become more, so only windows of which something was said since the last boundary at which all were here
        are looked at.
        """
        here = self._here
        if here is None or boundary < here:
            windows = self._counts.said(None, boundary)
        else:
            windows = self._counts.said(here, boundary) | self._late
        for start, end in sorted(windows):
            _, labelled = self._counts.of((start, end), boundary)
            rows = ledger.labelled(start, end, boundary)
            if rows < labelled:
                return f"outcomes: {rows} of {labelled} labelled rows of window [{start}, {end}) as of {boundary}"
        if here is None or boundary >= here:
            self._here, self._late = boundary, set()
        return None

    @property
    def newest(self) -> int | None:
        """The newest boundary of all, complete or not."""
        return max((boundaries[-1] for boundaries in self._boundaries.values()), default=None)

    def open_alerts(self, version: str, boundary: int) -> list[Trigger]:
        """The version's alerts that ask for a training as of a boundary: the virtual one, the real one, that of quality."""
        found = [
            self.drift_alert(version, boundary),
            self.concept_alert(version, boundary),
            self.quality_alert(version, boundary),
        ]
        return [alert for alert in found if alert is not None]

    def quality_alert(self, version: str, boundary: int) -> Trigger | None:
        """The quality alert that the concept report as of ``boundary`` names, if it is of this version and in drift.

        In which state is what the report says: the topics of alerts and reports have no common order.
        """
        judged = self._judged.get(boundary)
        if judged is None or judged.version != version or judged.quality_state != "drift":
            return None
        return self._alert(judged.quality_alert_id, boundary)

    def concept_alert(self, version: str, boundary: int) -> Trigger | None:
        """The real alert that the concept report as of ``boundary`` names, if it is of this version."""
        judged = self._judged.get(boundary)
        if judged is None or judged.version != version or judged.state != "drift":
            return None
        return self._alert(judged.alert_id, boundary)

    def drift_alert(self, version: str, boundary: int) -> Trigger | None:
        """The alert that the report of the window ending at ``boundary`` names, if its state is drift.

        One that is open in another state, such as recovered, asks for no training, nor does one that is accepted: the
        reports after ``effective_from`` say whether it is closed, those before do not know of it. That it was accepted
        is a person's word and bound to no boundary.
        """
        tested = self._tested.get(version, {}).get(boundary)
        if tested is None or tested.state != "drift" or tested.alert_id is None:
            return None
        effective_from = self._accepted.get(tested.alert_id)
        if effective_from is not None and boundary <= effective_from:
            return None
        return self._alert(tested.alert_id, boundary)

    def kind(self, alert_id: str) -> Kind:
        """Of an alert; virtual where nothing is known of it."""
        changes = self._alerts.get(alert_id)
        return changes[0].kind if changes else "virtual"

    def _alert(self, alert_id: str | None, boundary: int) -> Trigger | None:
        """What was known of an alert at a boundary."""
        if alert_id is None:
            return None
        changes = [a for a in self._alerts.get(alert_id, []) if a.window_end <= boundary]
        if not changes:
            return None
        newest = changes[-1]
        return Trigger(newest.alert_id, newest.kind, min(a.since for a in changes), newest.reason)

    def unlabelled(self, since: int, until: int, boundary: int) -> int:
        """Rows predicted in the windows from ``since`` up to ``until`` that have no label as of the boundary.

        Windows are not divided: the one in which ``since`` lies counts whole.
        """
        known = (self._counts.of(window, boundary) for window in self._between(since, min(until, boundary)))
        return sum(max(predicted - labelled, 0) for predicted, labelled in known)

    def _between(self, since: int, until: int) -> Iterator[Window]:
        return takewhile(lambda window: since < window[1], self._counts.until(until))

    def cut(self, boundary: int, complete: float) -> int | None:
        """End of the newest window that has ``complete`` of its labels as of the boundary.

        Late labels are not a random sample (a late plane labels late): rows after the cut would lie.
        """
        for window in self._counts.until(boundary):
            predicted, labelled = self._counts.of(window, boundary)
            if predicted > 0 and labelled >= complete * predicted:
                return window[1]
        return None
