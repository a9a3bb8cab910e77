"""Quality alerts: the version that serves does worse than it was found to do when it was released, by more than is allowed.

What was promised is the figure of the held-out rows that travel in the version's profile. A window of prediction time is
judged once, as of the first boundary at which enough of its rows are labelled. It has fallen where the lower limit of
"promised minus realised" is above ``drop``. The limits of the difference are put together from those of both figures
(MOVER: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general approach", 2008;
of two proportions, R. G. Newcombe, "Interval estimation for the difference between independent proportions", 1998),
so a promise that rests on few rows is held to less. Their level is the false-alarm budget: a window whose quality
is ``drop`` below the promise alarms with probability ``alpha``, one that keeps it much less often. That holds for rows that are
independent, and for a version that was not chosen on the rows that promise: docs/quality.md says by how much else.

This asks how good the model *is*; :mod:`~drift_monitor.domain.concept` asks whether its errors *rose*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Literal, NamedTuple

from contracts.codec import derived_id
from contracts.events import AlertChanged, ConceptTested, QualityReported
from summaries.intervals import Interval, intervals
from summaries.profile import Profile
from summaries.quality import Classification, Regression

from drift_monitor.domain.alerts import AlertState

KIND: Literal["quality"] = "quality"
HIGHER_IS_BETTER = frozenset(
    ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "pr_auc", "r2")
)
LOWER_IS_BETTER = frozenset(("log_loss", "brier", "mae", "rmse", "mape"))
DEFAULT = {"classification": "accuracy", "regression": "mae"}
MAX_JUDGED = 10_000  # windows of a version that are remembered
Z = NormalDist().inv_cdf(0.975)  # of the intervals that reports have


@dataclass(frozen=True)
class QualityRule:
    """When quality has fallen; raises ``ValueError`` for a metric of which it is not known what is better.

    ``metric``: empty, the task's own. ``drop``: by how much, in its units, it may be worse than promised. ``complete``: the
    share of a window's rows that must be labelled. ``alpha``: how often a window may alarm that lies at the limit.
    """

    metric: str
    drop: float
    complete: float
    alpha: float
    alert_windows: int
    recovered_windows: int

    def __post_init__(self) -> None:
        known = sorted(HIGHER_IS_BETTER | LOWER_IS_BETTER)
        if self.metric and self.metric not in known:
            raise ValueError(f"{self.metric!r} is none of {', '.join(known)}")


class Figure(NamedTuple):
    """A metric of ``rows`` rows, with its 95% interval."""

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Promise:
    """What a version was found to do on rows that it had not seen."""

    metric: str
    figure: Figure

    @classmethod
    def of(cls, profile: Profile, metric: str = "") -> Promise | None:
        """None where the profile has no held-out quality, or none of this metric."""
        if profile.quality is None:
            return None
        kind = Regression if profile.task == "regression" else Classification
        metric, held_out = metric or DEFAULT[profile.task], kind.from_dict(profile.quality)
        value, limits = held_out.get().get(metric), intervals(held_out).get(metric)
        return None if value is None or limits is None else cls(metric, Figure(value, *limits, held_out.rows))


def has_fallen(live: Figure, promise: Promise, drop: float, alpha: float) -> bool:
    """Whether a window's figure is more than ``drop`` worse than promised, beyond what chance does once in 1/``alpha``.

    >>> promise = Promise("accuracy", Figure(0.8, 0.78, 0.82, 1500))
    >>> has_fallen(Figure(0.70, 0.67, 0.73, 900), promise, 0.05, 0.001)
    False
    >>> has_fallen(Figure(0.65, 0.62, 0.68, 900), promise, 0.05, 0.001)
    True
    """
    held = promise.figure
    if promise.metric in LOWER_IS_BETTER:
        fall, towards = live.value - held.value, (live.value - live.low, held.high - held.value)
    else:
        fall, towards = held.value - live.value, (live.high - live.value, held.value - held.low)
    return fall - NormalDist().inv_cdf(1 - alpha) / Z * math.hypot(*towards) > drop


class _Window(NamedTuple):
    """What a report says of one window of one version."""

    end: int
    start: int
    version: str
    labelled: int
    enough: bool  # labels, to be judged
    metrics: dict[str, float]
    intervals: dict[str, Interval]

    def figure(self, metric: str) -> Figure | None:
        value, limits = self.metrics.get(metric), self.intervals.get(metric)
        return None if value is None or limits is None else Figure(value, *limits, self.labelled)


@dataclass(frozen=True)
class Standing:
    """Where quality stands after a boundary, and what is to be published of it."""

    as_of: int
    version: str
    state: AlertState
    alert_id: str | None
    alerts: list[AlertChanged] = field(default_factory=list)

    @property
    def since(self) -> int | None:
        """From where on the open alert's windows are bad."""
        return self.state.since if self.alert_id is not None else None


class Quality:
    """The quality of the version that serves, and its alert; without a rule there are none."""

    def __init__(self, model: str, rule: QualityRule | None) -> None:
        self.model, self._rule = model, rule
        self._version: str | None = None
        self._state = AlertState()
        self._said: dict[int, dict[tuple[int, str], _Window]] = {}  # by boundary
        self._judged: dict[str, list[int]] = {}  # ends of windows, by version
        self._newest: int | None = None
        self._decided: int | None = None
        self._promises: tuple[str, Promise | None] | None = None

    def take(self, report: QualityReported) -> None:
        """Take in a report; the same one again changes nothing."""
        if self._rule is None:
            return
        self._newest = report.as_of if self._newest is None else max(self._newest, report.as_of)
        if self._decided is not None and report.as_of <= self._decided:
            return
        enough = report.status == "ok" and report.coverage >= self._rule.complete
        self._said.setdefault(report.as_of, {})[report.window_end, report.version] = _Window(
            report.window_end,
            report.window_start,
            report.version,
            report.labelled,
            enough,
            report.metrics,
            report.intervals,
        )

    def is_said(self, as_of: int, version: str, rows: int) -> bool:
        """Whether all reports of a version as of a boundary are here, with ``rows`` of it in the window that ends there.

        They come in order, and the report of that window is the last.
        """
        if self._rule is None or not rows or (self._newest is not None and self._newest > as_of):
            return True
        return (as_of, version) in self._said.get(as_of, {})

    def decide(
        self, as_of: int, size: int, version: str, profile: Profile | None, told: ConceptTested | None = None
    ) -> Standing:
        """Judge what has become complete; :meth:`commit` it once it is published.

        ``told`` is what was said as of this boundary before a restart: that stands, and nothing is published again.
        """
        before = self._state if version == self._version else AlertState()
        after, words = before, ""
        for window in self._complete(as_of, version):
            verdict = self._verdict(window, version, profile)
            if verdict is not None and self._rule is not None:
                fallen, words = verdict
                after = after.after(
                    drifted=fallen,
                    start=window.start,
                    alert_windows=self._rule.alert_windows,
                    recovered_windows=self._rule.recovered_windows,
                )
        if told is not None:
            after = _as_told(after, told)
            return Standing(as_of, version, after, told.quality_alert_id)
        alerts = []
        if self._version is not None and version != self._version and self._state.state != "ok":
            answer = f"version {version} serves"
            alerts.append(self._alert(as_of, size, self._version, self._state, AlertState(), answer))
        if self._rule is None and before.state != "ok":
            after, words = AlertState(), "no quality alerts are asked for any more"
        if before.state != "ok" and after.since not in (None, before.since):  # one ended, another began
            alerts.append(self._alert(as_of, size, version, before, AlertState(), words))
            before = AlertState()
        if after.state != before.state:
            alerts.append(self._alert(as_of, size, version, before, after, words))
        alert_id = self._id(version, after.since) if after.opened else None
        return Standing(as_of, version, after, alert_id, alerts)

    def commit(self, standing: Standing) -> None:
        """What was decided is published."""
        judged = self._judged.setdefault(standing.version, [])
        judged += [window.end for window in self._complete(standing.as_of, standing.version)]
        del judged[:-MAX_JUDGED]
        self._said = {as_of: said for as_of, said in self._said.items() if as_of > standing.as_of}
        self._decided = standing.as_of
        self._version, self._state = standing.version, standing.state

    # --- how

    def _complete(self, as_of: int, version: str) -> Iterator[_Window]:
        """The windows of a version that have labels enough, and had not before, in order of their ends."""
        known = set(self._judged.get(version, ()))
        for boundary in sorted(at for at in self._said if at <= as_of):
            for (end, of), window in sorted(self._said[boundary].items()):
                if of == version and window.enough and end not in known:
                    known.add(end)
                    yield window

    def _verdict(self, window: _Window, version: str, profile: Profile | None) -> tuple[bool, str] | None:
        """Whether a window has fallen, and its figures for people; None where that cannot be said."""
        if self._rule is None or profile is None:
            return None
        if self._promises is None or self._promises[0] != version:
            self._promises = version, Promise.of(profile, self._rule.metric)
        promise = self._promises[1]
        live = None if promise is None else window.figure(promise.metric)
        if promise is None or live is None:
            return None
        words = (
            f"{promise.metric} {live.value:.3g} ({live.low:.3g} to {live.high:.3g}) on {live.rows} labelled rows of a "
            f"window; {promise.figure.value:.3g} on {promise.figure.rows} rows was promised, and {self._rule.drop:g} "
            f"worse is allowed"
        )
        return has_fallen(live, promise, self._rule.drop, self._rule.alpha), words

    def _id(self, version: str, since: int | None) -> str:
        return derived_id(self.model, version, KIND, since)

    def _alert(
        self, as_of: int, size: int, version: str, before: AlertState, state: AlertState, words: str
    ) -> AlertChanged:
        """A change of state as of a boundary."""
        since = state.since if state.since is not None else before.since
        return AlertChanged(
            alert_id=self._id(version, since),
            model=self.model,
            version=version,
            kind=KIND,
            state=state.state,
            previous=before.state,
            since=as_of - size if since is None else since,
            window_start=as_of - size,
            window_end=as_of,
            features={},
            offsets={},
            reason=f"{before.state} -> {state.state}: {words}",
        )


def _as_told(state: AlertState, told: ConceptTested) -> AlertState:
    """A state that is worked out again, as it was said: by other settings, or with reports that are no more, it may differ."""
    if told.quality_alert_id is None:
        return AlertState() if state.opened else state
    if state.opened and state.since == told.quality_since:
        return replace(state, state=told.quality_state)
    return AlertState(told.quality_state, 1, 0, told.quality_since, opened=True)
