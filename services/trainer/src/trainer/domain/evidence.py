"""The evidence holds what the monitor and feedback have said about each boundary: reports, alerts, label counts.

A boundary B is complete for the serving version when the monitor's final report of the window ending at B
is here, the concept report as of B if it says that one comes, the alerts that they name, feedback's word as of
B, and every outcome that word counted. Decisions at B use nothing said as of later boundaries, so they do not depend
on who was faster.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.events import AlertChanged, ConceptTested, QualityReported, ReferenceAccepted, WindowTested

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
        self._judged: dict[int, ConceptTested] = {}
        self._alerts: dict[str, list[AlertChanged]] = {}
        self._accepted: dict[str, int] = {}  # alert -> effective_from
        # (window, version) -> [(as_of, predicted, labelled)], and boundary -> versions reported as of it
        self._quality: dict[tuple[int, int, str], list[tuple[int, int, int]]] = {}
        self._said: dict[int, set[str]] = {}

    def tested(self, report: WindowTested) -> None:
        """Take in a drift report; provisional ones decide nothing."""
        if report.final:
            said = _Tested(report.rows, report.state, report.alert_id, report.concept)
            self._tested.setdefault(report.version, {})[report.window_end] = said

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
        key = (report.window_start, report.window_end, report.version)
        self._quality.setdefault(key, []).append((report.as_of, report.predicted, report.labelled))
        if report.window_end == report.as_of:
            self._said.setdefault(report.as_of, set()).add(report.version)

    def _as_of(self, boundary: int) -> dict[tuple[int, int], tuple[int, int]]:
        """(predicted, labelled) of each window by what was known at the boundary, all versions together."""
        total: dict[tuple[int, int], tuple[int, int]] = {}
        for (start, end, _), said in self._quality.items():
            known = [report for report in said if report[0] <= boundary]
            if end <= boundary and known:
                _, predicted, labelled = max(known)
                before = total.get((start, end), (0, 0))
                total[start, end] = (before[0] + predicted, before[1] + labelled)
        return total

    def next(self, version: str, after: int | None) -> int | None:
        """The first boundary after ``after`` of which the monitor has spoken; boundaries are not jumped."""
        later = [b for b in self._tested.get(version, {}) if after is None or b > after]
        return min(later, default=None)

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
        known = self._as_of(boundary)
        here = ledger.labelled(list(known), boundary)
        for ((start, end), (_, labelled)), rows in zip(known.items(), here.tolist(), strict=True):
            if rows < labelled:
                return f"outcomes: {rows} of {labelled} labelled rows of window [{start}, {end}) as of {boundary}"
        return None

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
        known = self._as_of(boundary)
        return sum(
            max(predicted - labelled, 0)
            for (_, end), (predicted, labelled) in known.items()
            if since < end <= until
        )

    def cut(self, boundary: int, complete: float) -> int | None:
        """End of the newest window that has ``complete`` of its labels as of the boundary.

        Late labels are not a random sample (a late plane labels late): rows after the cut would lie.
        """
        ends = [
            end
            for (_, end), (predicted, labelled) in self._as_of(boundary).items()
            if predicted > 0 and labelled >= complete * predicted
        ]
        return max(ends, default=None)
