"""A model's owner, the one that decides: it adds panes up to windows, tests each once, and keeps the alert."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from contracts.codec import derived_id
from contracts.events import (
    AlertChanged,
    FeatureDrift,
    ModelChanged,
    PaneCounted,
    ReferenceAccepted,
    WindowTested,
)
from numpy.typing import NDArray
from summaries.counts import unpack_sparse
from summaries.detection import Detector
from summaries.profile import Profile

from drift_monitor.domain.alerts import AlertState
from drift_monitor.domain.decision import Rule, Verdict, judge
from drift_monitor.domain.panes import PaneKey, newer
from drift_monitor.domain.references import References
from drift_monitor.domain.versions import Versions, version_order
from drift_monitor.domain.watermark import NEVER, Watermark
from drift_monitor.domain.windows import Grid, Window

KIND = "virtual"
MAX_SAID = 10_000  # windows whose answer is remembered
MAX_EMPTY = 1000  # windows without a row that are reported one after the other


class Said(NamedTuple):
    """Who served a window, the alert open after it, and that version's rows in it."""

    version: str
    alert_id: str | None
    rows: int


@dataclass(frozen=True)
class Decided:
    """One window's outcome in the order of publication: alerts, then reports, the serving version's last.

    ``since`` is that of the serving version's alert, where one is open.
    """

    window: Window
    serving: str | None
    state: AlertState
    alerts: list[AlertChanged] = field(default_factory=list)
    reports: list[WindowTested] = field(default_factory=list)
    since: int | None = None


class Owner:
    """All there is to know of one model, from its panes alone."""

    def __init__(self, model: str, grid: Grid, rule: Rule, partitions: Iterable[int]) -> None:
        self.model = model
        self.grid = grid
        self.rule = rule
        self.watermark = Watermark(partitions)
        self.versions = Versions()
        self.references = References()
        self.decided_through: int | None = None
        self._serving: str | None = None  # the version that served the last decided window
        self._reference: str | None = None  # what it was judged against, where that was accepted
        self._state = AlertState()  # and where it stands after it
        self._panes: dict[PaneKey, PaneCounted] = {}
        self._late: dict[PaneKey, PaneCounted] = {}
        self._first: int | None = None
        self._said: dict[int, Said] = {}  # by window end, as its report says
        self._judged: dict[
            tuple[str, str | None], list[int]
        ] = {}  # ends of windows of rows, by what judged them
        self._filled: int | None = None  # the end of the last decided window that has rows
        # By version and reference: their laws take a moment to work out.
        self._detectors: dict[tuple[str, str | None], Detector] = {}

    # --- what it learns

    def replace(self, pane: PaneCounted) -> None:
        """Take a pane's newer counts; an older or the same one changes nothing."""
        key = PaneKey.of(pane)
        if not newer(pane, self._panes.get(key) or self._late.get(key)):
            return
        if key.late:
            # told by the window whose last step it lies in
            if self.decided_through is None or pane.pane_start >= self.decided_through:
                self._late[key] = pane
            return
        if pane.rows:
            self.versions.seen(pane.version, pane.pane_start)
        self._first = pane.pane_start if self._first is None else min(self._first, pane.pane_start)
        if self.decided_through is None or self._needed_until(pane.pane_start) > self.decided_through:
            self._panes[key] = pane

    def changed(self, event: ModelChanged) -> None:
        """Another version serves."""
        self.versions.changed(event)

    def accepted(self, event: ReferenceAccepted) -> None:
        """A live span is the reference of a version."""
        self.references.accepted(event)

    def restore(self, reports: Iterable[WindowTested]) -> None:
        """Begin where own reports end: their windows are decided, and the alert stands where it stood.

        A window is decided by its last report, the serving version's; which version that was is what the
        report says, whatever model-events say by now, and so is what it was judged against. Of records older than
        ``serving`` the last one holds.
        """
        own = [report for report in reports if report.final]
        for report in own:
            if report.rows:
                self.versions.seen(report.version, report.window_start)  # its panes may be no more
        self._filled = max((report.window_end for report in own if report.rows), default=None)
        for report in {(r.version, r.window_end): r for r in own}.values():
            self._note_judged(report)
        last = {report.window_end: report for report in own if report.serving}
        for end in sorted(last):
            report = last[end]
            drifted = None if report.status == "insufficient data" else report.status == "drift"
            before = self._standing(report.version, report.reference)
            self._state = self._after(before, drifted, report.window_start)
            self._serving, self._reference = report.version, report.reference
            self._said[end] = Said(report.version, report.alert_id, report.rows)
        if last:
            self._forget(max(last))

    @property
    def since(self) -> int | None:
        """That of the serving version's alert, where one is open."""
        if self._serving is None or not self._state.opened:
            return None
        return self._since(self._serving, self._state)

    # --- what it decides

    def next_window(self) -> Window | None:
        """The oldest undecided window; none before the first row.

        After ``MAX_EMPTY`` windows without a row those that follow are not reported, up to the first that has
        rows, or late ones to tell: a single row of another decade would make hundreds of thousands. Which ones
        are depends on the rows alone, not on how fast they come: the first with rows is known when it is due.
        """
        if self.decided_through is None:
            return None if self._first is None else self.grid.first_window(self._first)
        window = self.grid.after(self.grid.ending(self.decided_through))
        if self._filled is None or self.decided_through - self._filled < MAX_EMPTY * self.grid.step:
            return window
        starts = [s for s in (key.start for key in self._panes) if self._undecided(s)]
        starts += [key.start for key in self._late if key.start >= self.decided_through]
        return max(window, self.grid.first_window(min(starts))) if starts else None

    def passed_over(self) -> int:
        """How many windows without a row lie before the next window and are not reported."""
        window = self.next_window()
        if window is None or self.decided_through is None:
            return 0
        return (window.end - self.decided_through) // self.grid.step - 1

    def due(self) -> Window | None:
        """The next window, if it is over."""
        window = self.next_window()
        return window if window is not None and self.watermark.get() >= self.grid.closes_at(window) else None

    def wants_end_offsets(self) -> bool:
        """Whether the next window may be over, if idle partitions have nothing more."""
        window = self.next_window()
        return window is not None and self.watermark.wants(self.grid.closes_at(window))

    def rows(self, window: Window) -> dict[str, int]:
        """Rows of a window by version."""
        found: dict[str, int] = {}
        for key, pane in self._within(window):
            found[key.version] = found.get(key.version, 0) + pane.rows
        return found

    def testable(self, window: Window) -> list[str]:
        """The versions whose profile deciding a window needs."""
        told = [version for version in self.rows(window) if self._spans(window, version)]
        asked = {*self.rows(window), self.versions.serving(window.end)} - {None, *told}
        return told + sorted(v for v in asked if v is not None and self.references.unknown(v, window.end))

    def decide(self, window: Window, profiles: Mapping[str, Profile]) -> Decided:
        """Test a window; :meth:`commit` it once it is published."""
        serving = self.versions.serving(window.end)
        for version, profile in profiles.items():
            self.references.fit(version, window.end, profile)
        reports = [
            self._report(window, version, profiles)
            for version in sorted(self._present(window), key=version_order)
            if version != serving
        ]
        if serving is None:
            return Decided(window, None, AlertState(), [], reports)
        tested = self._report(window, serving, profiles)
        before = self._standing(serving, tested.reference)
        drifted = None if tested.status == "insufficient data" else tested.status == "drift"
        state = self._after(before, drifted, window.start)
        alerts = []
        answered = (self._serving, self._reference) != (serving, tested.reference)
        if self._serving is not None and answered and self._state.state != "ok":
            answer = self._answer(serving, window.end)
            alerts.append(self._alert(window, self._serving, self._state, AlertState(), {}, answer))
        if state.state != before.state:
            alerts.append(self._alert(window, serving, before, state, tested.features))
        told = msgspec.structs.replace(
            tested, state=state.state, alert_id=self._open_id(serving, state), serving=True, concept=True
        )
        since = self._since(serving, state) if state.opened else None
        return Decided(window, serving, state, alerts, [*reports, told], since)

    def commit(self, decided: Decided) -> None:
        """What was decided is published."""
        if decided.serving is not None:
            self._serving, self._state = decided.serving, decided.state
            self._reference = decided.reports[-1].reference
            told = decided.reports[-1]
            self._said[decided.window.end] = Said(told.version, told.alert_id, told.rows)
            if len(self._said) > 2 * MAX_SAID:  # where nobody asks
                self._said = dict(list(self._said.items())[-MAX_SAID:])
        for report in decided.reports:
            self._note_judged(report)
        if any(report.rows for report in decided.reports):
            self._filled = decided.window.end
        self._forget(decided.window.end)

    def alert(self) -> tuple[str | None, AlertState, str | None]:
        """The version that serves now, its state, and its open alert."""
        serving = self.versions.latest()
        if serving is None:
            return None, AlertState(), None
        state = self._standing(serving, self._reference)
        return serving, state, self._open_id(serving, state)

    def said_as_of(self, boundary: int) -> Said | None:
        """What was said of the window that ends at ``boundary``; earlier ones are forgotten.

        Of a window that was passed over, the last one before it, without its rows.
        """
        newest = max((end for end in self._said if end <= boundary), default=None)
        if newest is None:
            return None
        self._said = {end: said for end, said in self._said.items() if end >= newest}
        said = self._said[newest]
        return said if newest == boundary else said._replace(rows=0)

    # --- how

    def _within(self, window: Window) -> list[tuple[PaneKey, PaneCounted]]:
        return [(key, pane) for key, pane in self._panes.items() if window.start <= key.start < window.end]

    def _present(self, window: Window) -> set[str]:
        """The versions with rows in a window, or late ones to tell."""
        late = {key.version for key in self._late}
        return {*self.rows(window), *(version for version in late if self._late_rows(window, version))}

    def _undecided(self, pane_start: int) -> bool:
        return self.decided_through is None or self.grid.last_window(pane_start).end > self.decided_through

    def _needed_until(self, pane_start: int) -> int:
        """The end of the last window whose decision may need a pane: a larger scale reaches back to it."""
        return self.grid.last_window(pane_start).end + (self.rule.windows_back - 1) * self.grid.size

    def _forget(self, decided: int) -> None:
        self.decided_through = decided
        for key in [key for key in self._panes if self._needed_until(key.start) <= decided]:
            del self._panes[key]
        self._late = {key: ledger for key, ledger in self._late.items() if key.start >= decided}
        kept = {self._serving, *(key.version for key in self._panes)}
        self._judged = {key: ends for key, ends in self._judged.items() if key[0] in kept}
        self._detectors = {key: detector for key, detector in self._detectors.items() if key[0] in kept}

    def _reaching_back(self, window: Window, version: str, windows: int) -> Window:
        """A window and those before it, so many in all; rows that are the reference are not held against it."""
        accepted = self.references.at(version, window.end)
        earliest = min(window.start, accepted.effective_from) if accepted is not None else NEVER
        return Window(max(window.end - windows * self.grid.size, earliest), window.end)

    def _spans(self, window: Window, version: str) -> dict[int, Window]:
        """By scale the span of event time that is judged; none where not even the widest has rows enough."""
        if not self.rows(window).get(version):
            return {}
        if self.rule.window_rows:
            return self._spans_of_rows(window, version)
        for windows in range(1, self.rule.max_widening + 1):
            if self.rows(self._reaching_back(window, version, windows)).get(version, 0) >= self.rule.min_rows:
                return {
                    scale: self._reaching_back(window, version, scale * windows) for scale in self.rule.scales
                }
        return {}

    def _spans_of_rows(self, window: Window, version: str) -> dict[int, Window]:
        """As many windows as have come since the last that was judged, where they hold rows enough; and those before."""
        judged = self._judged.get((version, self._reference_id(version, window)), [])
        spans = {}
        for scale in self.rule.scales:
            widest = self._reaching_back(window, version, scale * self.rule.max_widening)
            # until so many were judged, a span goes back to the first row
            first = min(key.start for key, _ in self._within(widest) if key.version == version)
            since = judged[-scale] if len(judged) >= scale else first
            spans[scale] = Window(max(widest.start, since), window.end)
        enough = max(self.rule.window_rows, self.rule.min_rows)
        return spans if self.rows(spans[1]).get(version, 0) >= enough else {}

    def _note_judged(self, report: WindowTested) -> None:
        """Where a version's windows of rows end; as many as the largest scale looks back to."""
        if self.rule.window_rows and report.status != "insufficient data":
            ends = self._judged.setdefault((report.version, report.reference), [])
            ends.append(report.window_end)
            del ends[: -self.rule.scales[-1]]

    def _standing(self, version: str, reference: str | None) -> AlertState:
        """Where a version stands before the next window: at ok, where the one before was answered by another
        version or reference."""
        return self._state if (version, reference) == (self._serving, self._reference) else AlertState()

    def _answer(self, serving: str, end: int) -> str:
        """What closes the alert of the window before."""
        accepted = self.references.at(serving, end)
        if serving != self._serving or accepted is None:
            return f"version {serving} serves"
        why = f", {accepted.reason}" if accepted.reason else ""
        return f"accepted, {accepted.rows} rows are the reference{why}"

    def _after(self, before: AlertState, drifted: bool | None, start: int) -> AlertState:
        return before.after(
            drifted=drifted,
            start=start,
            alert_windows=self.rule.alert_windows,
            recovered_windows=self.rule.recovered_windows,
        )

    def _since(self, version: str, state: AlertState) -> int | None:
        """An alert's ``since``: no version's world looks different before it serves."""
        if state.since is None:
            return None
        took_over = self.versions.took_over(version, state.since + self.grid.size)
        return state.since if took_over is None else max(state.since, took_over)

    def _alert_id(self, version: str, state: AlertState) -> str:
        return derived_id(self.model, version, KIND, state.since)

    def _open_id(self, version: str, state: AlertState) -> str | None:
        return self._alert_id(version, state) if state.opened else None

    def _late_rows(self, window: Window, version: str) -> int:
        """Rows that came while the window's last step was the newest, for windows that were over by then."""
        newest = range(window.end - self.grid.step, window.end)
        return sum(
            ledger.late
            for key, ledger in self._late.items()
            if key.version == version and key.start in newest
        )

    def _sum(self, window: Window, version: str, detector: Detector) -> dict[str, NDArray[np.int64]]:
        """The counts of a window: its panes, of all partitions, added up."""
        total = {name: np.zeros(ref.size, dtype=np.int64) for name, ref in detector.references.items()}
        for key, pane in self._within(window):
            if key.version == version:
                for name, packed in pane.counts.items():
                    indices, counts = unpack_sparse(packed)
                    total[name][indices] += counts
        return total

    def _report(self, window: Window, version: str, profiles: Mapping[str, Profile]) -> WindowTested:
        """A version's report, without a state."""
        rule, spans = self.rule, self._spans(window, version)
        status: Literal["ok", "drift", "insufficient data"] = "insufficient data"
        found: dict[str, Any] = {"features": {}}
        if spans:
            verdict = self._verdict(window, version, profiles[version], spans)
            status = "drift" if verdict.drifted else "ok"
            judgement = verdict.judgement
            found = {
                "features": {
                    name: msgspec.structs.replace(feature, scale=self._windows_in(spans[feature.scale]))
                    for name, feature in verdict.features.items()
                },
                "p_value": judgement.p_value,
                "question": judgement.question,
                "scale": self._windows_in(spans[judgement.scale]),
            }
        return WindowTested(
            model=self.model,
            version=version,
            window_start=window.start,
            window_end=window.end,
            final=True,
            rows=self.rows(window).get(version, 0),
            late_rows=self._late_rows(window, version),
            status=status,
            state="ok",
            alert_id=None,
            alpha=rule.alpha,
            correction=rule.correction,
            min_effect=rule.min_effect,
            serving=False,
            reference=self._reference_id(version, window),
            **found,
        )

    def _reference_id(self, version: str, window: Window) -> str | None:
        accepted = self.references.at(version, window.end)
        return accepted.alert_id if accepted is not None else None

    def _windows_in(self, span: Window) -> int:
        return -(-(span.end - span.start) // self.grid.size)

    def _verdict(
        self, window: Window, version: str, profile: Profile, spans: Mapping[int, Window]
    ) -> Verdict:
        """The window judged at each scale that has more rows than the one before."""
        key = (version, self._reference_id(version, window))
        if key not in self._detectors:
            reference = self.references.profile(version, window.end, profile)
            self._detectors[key] = reference.detector(self.rule.scales, self.rule.correction)
        detector, counts, rows = self._detectors[key], {}, 0
        for scale, whole in spans.items():
            more = self.rows(whole).get(version, 0)
            if more > rows:
                counts[scale], rows = self._sum(whole, version, detector), more
        return judge(detector, counts, self.rule)

    def _alert(
        self,
        window: Window,
        version: str,
        before: AlertState,
        state: AlertState,
        features: Mapping[str, FeatureDrift],
        otherwise: str = "no feature drifted",
    ) -> AlertChanged:
        """A change of state; ``otherwise`` is its reason where no feature drifted."""
        # what comes back to ok has no since any more
        named = state if state.since is not None else before
        since = self._since(version, named)
        drifted = {name: feature for name, feature in features.items() if feature.drifted}
        offsets: dict[str, int] = {}
        for key, pane in self._within(window):
            if key.version == version:
                offsets[str(key.partition)] = max(offsets.get(str(key.partition), -1), pane.last_offset)
        reason = f"{before.state} -> {state.state}: " + (
            ", ".join(
                f"{name} ({f.effect_name} {f.effect:.3f}, p {f.p_adjusted:.2g})"
                for name, f in sorted(drifted.items())
            )
            or otherwise
        )
        return AlertChanged(
            alert_id=self._alert_id(version, named),
            model=self.model,
            version=version,
            kind="virtual",
            state=state.state,
            previous=before.state,
            since=window.start if since is None else since,
            window_start=window.start,
            window_end=window.end,
            features=drifted,
            offsets=offsets,
            reason=reason,
        )
