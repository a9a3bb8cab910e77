"""One alert in the terminal: what changed, since when, how it looks, and how it went on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from contracts.events import AlertChanged, ConceptTested, FeatureDrift, FeatureShape, WindowTested
from rich.console import Console
from rich.table import Table
from rich.text import Text

from atalaia.drift.history import SHORT, Alert, alert_word, reports_of
from atalaia.drift.plots import (
    MISSING,
    UNSEEN,
    Signs,
    bars,
    ecdf,
    number,
    share,
    signs_for,
    sparkline,
)

WINDOWS_BEFORE = 12  # quiet ones, to see the change against
WIDEST = 100
KINDS = {
    "virtual": "the inputs or outputs look different",
    "real": "the same inputs mean something else",
    "quality": "the model does worse than its held-out rows promised",
}
BY = {"anderson_darling": "Anderson-Darling", "chi2": "chi-square", "missing": "missing values", "": ""}
TESTS = {"ks": "KS", "chi2": "chi2"}
EFFECTS = {"D": "D", "cramers_v": "V"}


def when(event_time: int) -> str:
    """Event time for people, UTC, no more exact than it is."""
    at = datetime.fromtimestamp(event_time / 1000, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S" if at.second or at.microsecond else "%Y-%m-%d %H:%M")


def chance(p: float) -> str:
    """A p-value; what a float cannot hold any more is not none."""
    return f"{p:.2g}" if p else "<1e-300"


def say(console: Console, line: str | Text = "") -> None:
    """A line as it is: no markup is looked for, what is long may wrap."""
    console.print(line, highlight=False, markup=False)


def make_table(*columns: str, right: Iterable[str] = (), folds: str = "", padding: int = 2) -> Table:
    """Columns that stay on one line, but for those that ``folds`` names."""
    table = Table(box=None, padding=(0, padding, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in set(right) else "left",
            no_wrap=column not in folds.split(),
            overflow="fold",
        )
    return table


def render_list(console: Console, alerts: Sequence[Alert]) -> None:
    """The alerts, newest first."""
    if not alerts:
        say(console, "no alert on drift-alerts: nothing has drifted so far")
        return
    table = make_table("", "alert", "model", "kind", "state", "since (UTC)", "features", folds="features")
    for alert in alerts:
        opening = alert.opening
        named = sorted(opening.features)
        features = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        table.add_row(
            "*" if alert.open else "",
            alert.id[:SHORT],
            f"{alert.model} {alert.version}",
            opening.kind,
            alert_word(alert),
            when(alert.changes[-1].since),
            features or "-",
            style="bold" if alert.open else None,
        )
    console.print(table, markup=False, highlight=False)
    opened = sum(alert.open for alert in alerts)
    say(console, f"{len(alerts)} alerts, {opened} open (*). One of them: atalaia drift explain <alert>")


@dataclass(frozen=True)
class Evidence:
    """The window an alert is shown by; ``report`` is None where its report is not on the topic."""

    window_start: int
    window_end: int
    features: dict[str, FeatureDrift]
    report: WindowTested | None


def evidence(alert: Alert, windows: Sequence[WindowTested], newest: bool = False) -> Evidence:
    """The window that raised an alert, or the newest drifted one."""
    if newest:
        drifted = [report for report in windows if report.alert_id == alert.id and report.status == "drift"]
        if drifted:
            last = drifted[-1]
            found = {name: f for name, f in last.features.items() if f.drifted}
            return Evidence(last.window_start, last.window_end, found, last)
    raised = alert.opening
    report = next((r for r in windows if r.window_end == raised.window_end), None)
    return Evidence(raised.window_start, raised.window_end, raised.features, report)


def render(
    console: Console,
    alert: Alert,
    reports: Iterable[WindowTested],
    errors: Iterable[ConceptTested] = (),
    *,
    newest: bool = False,
) -> None:
    """All there is to say of one alert; ``errors``: of one of errors or of quality, what its version got wrong."""
    windows = reports_of(reports, alert.model, alert.version)
    shown = evidence(alert, windows, newest)
    _head(console, alert, shown)
    _states(console, alert.changes)
    if alert.opening.kind != "virtual":
        _errors(console, alert, [e for e in errors if (e.model, e.version) == (alert.model, alert.version)])
    if shown.features:
        _decision(console, shown)
        spanned = _spanned(alert, windows) if alert.opening.kind == "virtual" else []
        _features(console, shown, spanned, alert)
        signs, width = signs_for(console.encoding), min(console.width, WIDEST)
        for name, feature in _strongest_first(shown.features):
            say(console)
            for line in _feature(name, feature, shown, spanned, alert, width, signs):
                say(console, line)


def _head(console: Console, alert: Alert, shown: Evidence) -> None:
    kind = alert.opening.kind
    say(console, Text(f"alert {alert.id}  {alert_word(alert)}", style="bold"))
    say(console, f"{alert.model} version {alert.version}, {kind}: {KINDS.get(kind, kind)}")
    say(console, f"since {when(alert.changes[-1].since)} UTC")
    rows = f", {shown.report.rows:,} rows" if shown.report else ""
    say(console, f"shown by the window {when(shown.window_start)} to {when(shown.window_end)}{rows}")
    if shown.report and shown.report.reference:
        say(console, f"the reference is the span accepted with alert {shown.report.reference[:SHORT]}")


def _states(console: Console, changes: Sequence[AlertChanged]) -> None:
    say(console)
    table = make_table("window's end", "state", "why", folds="why")
    for change in changes:
        reason = change.reason.removeprefix(f"{change.previous} -> {change.state}: ")
        table.add_row(when(change.window_end), f"{change.previous} -> {change.state}", reason)
    console.print(table, markup=False, highlight=False)


def _errors(console: Console, alert: Alert, errors: Sequence[ConceptTested]) -> None:
    """How the errors went: as of each boundary, the mean error of what was labelled since the last."""
    since, end = alert.changes[-1].since, None if alert.open else alert.changes[-1].window_end
    last = {e.as_of: e for e in errors if end is None or e.as_of <= end}
    told = [last[as_of] for as_of in sorted(last)]
    begin = sum(e.as_of <= since for e in told)
    first = max(0, begin - WINDOWS_BEFORE)
    before, after = (
        [e.error for e in part if e.error is not None] for part in (told[first:begin], told[begin:])
    )
    if not after:
        return
    signs, shown = signs_for(console.encoding), told[first:]
    drifted = ("alert_id", "state"), ("quality_alert_id", "quality_state")
    marks = [any((getattr(e, i), getattr(e, s)) == (alert.id, "drift") for i, s in drifted) for e in shown]
    width = min(console.width, WIDEST) - 34
    line, marked = sparkline([e.error for e in shown], marks, begin - first, width, signs)
    say(console)
    if before:
        was, is_ = (number(sum(part) / len(part)) for part in (before, after))
        by = f" (by {told[-1].detector})" if alert.opening.kind == "real" else ""
        say(console, f"Mean error of the labelled rows: {was} before, {is_} since{by}.")
    say(console, f"error    {line}  0 to {number(max([*before, *after]))}, {len(shown)} boundaries")
    say(console, f"drift    {marked}  ({signs.axis} since {when(since)})")


def _decision(console: Console, shown: Evidence) -> None:
    report = shown.report
    if report is None:
        return
    say(console)
    what = "a single feature" if report.question == "single" else "all features together"
    say(
        console,
        f"The window's p is {chance(report.p_value)}, alarms come at {number(report.alpha)} or less: "
        f"{what}, {_over(report.scale)}.",
    )


def _over(scale: int) -> str:
    return "in this window" if scale == 1 else f"over the last {scale} windows"


def _strongest_first(features: dict[str, FeatureDrift]) -> list[tuple[str, FeatureDrift]]:
    return sorted(features.items(), key=lambda entry: (-entry[1].effect, entry[0]))


def _spanned(alert: Alert, windows: Sequence[WindowTested]) -> list[WindowTested]:
    """The windows of an alert, to its end if it has one, and a few before it."""
    first, last = alert.opening, alert.changes[-1]
    begin = next((i for i, r in enumerate(windows) if r.window_end > first.since), len(windows))
    end = last.window_end if not alert.open else None
    spanned = [r for r in windows[begin:] if end is None or r.window_end <= end]
    return [*windows[max(0, begin - WINDOWS_BEFORE) : begin], *spanned]


def _since(alert: Alert, spanned: Sequence[WindowTested]) -> int:
    return sum(report.window_end <= alert.opening.since for report in spanned)


def _features(console: Console, shown: Evidence, spanned: Sequence[WindowTested], alert: Alert) -> None:
    say(console)
    table = make_table(
        "feature", "its test, p", "p", "effect", "decided by", "over", "drifted in",
        right=("its test, p", "p", "effect", "over"), folds="feature", padding=1,
    )  # fmt: skip
    own = spanned[_since(alert, spanned) :]
    told = [report for report in own if report.status != "insufficient data"]

    def drifted(name: str) -> str:
        times = sum(r.features[name].drifted for r in told if name in r.features)
        return f"{times} of {len(told)}" if told else "-"

    for name, feature in _strongest_first(shown.features):
        table.add_row(
            name,
            f"{TESTS.get(feature.test, feature.test)} {chance(feature.p_value)}",
            chance(feature.p_adjusted),
            f"{EFFECTS.get(feature.effect_name, feature.effect_name)} {feature.effect:.3f}",
            BY.get(feature.by, feature.by) or "-",
            str(feature.scale),
            drifted(name),
        )
    console.print(table, markup=False, highlight=False)
    others = {name for r in told for name, f in r.features.items() if f.drifted} - set(shown.features)
    if others:
        say(console, "In other windows too: " + ", ".join(f"{n} ({drifted(n)})" for n in sorted(others)))


def _feature(
    name: str,
    feature: FeatureDrift,
    shown: Evidence,
    spanned: Sequence[WindowTested],
    alert: Alert,
    width: int,
    signs: Signs,
) -> Iterator[str | Text]:
    yield Text(f"{name}, {_over(feature.scale)}", style="bold")
    shape = feature.shape
    if shape is None or not shape.x:
        yield "its shape is not on the topic"
    elif shape.kind == "numeric":
        yield from ecdf(shape, width, signs)
        yield from _numeric_words(shape)
    else:
        yield from bars(shape, width, signs)
    yield from _words(feature, shown)
    if spanned:
        told = [report.features.get(name) for report in spanned]
        effects = [None if f is None else f.effect for f in told]
        marks = [f is not None and f.drifted for f in told]
        since = _since(alert, spanned)
        line, marked = sparkline(effects, marks, since, width - 32, signs)
        most = max((e for e in effects if e is not None), default=0.0)
        yield f"effect   {line}  0 to {most:.3f}, {len(spanned)} windows"
        yield f"drifted  {marked}  ({signs.axis} since {when(alert.opening.since)})"


def _numeric_words(shape: FeatureShape) -> Iterator[str]:
    x = np.array(shape.x, dtype=np.float64)
    reference, live = (np.array(y, dtype=np.float64) for y in (shape.reference, shape.live))
    halves = [x[min(int(np.searchsorted(y, 0.5)), len(x) - 1)] for y in (reference, live)]
    if live[-1] >= 0.5:
        yield f"Half of the reference is at most {number(halves[0])}, half of the live values at most {number(halves[1])}."
    far = int(np.argmax(np.abs(live - reference)))
    yield (
        f"They differ most at {number(x[far])}: {share(reference[far])} of the reference are not above it, "
        f"{share(live[far])} of the live values."
    )
    if live[-1] < 1 - 1e-9:
        yield f"{share(1 - live[-1])} of the live values lie above all of the reference ({number(x[-1])})."
    if live[0] > reference[0] + 0.01:
        yield f"{share(live[0])} of the live values are {number(x[0])} or less, the reference's smallest."


def _words(feature: FeatureDrift, shown: Evidence) -> Iterator[str]:
    """Unseen categories and missing values."""
    shape = feature.shape
    if shape is not None and shape.kind == "categorical":
        for r, live in (
            (r, v) for c, r, v in zip(shape.x, shape.reference, shape.live, strict=True) if c == UNSEEN
        ):
            yield f"{share(live)} of the live values are categories the reference does not know ({share(r)} of its own)."
        for r, live in (
            (r, v) for c, r, v in zip(shape.x, shape.reference, shape.live, strict=True) if c == MISSING
        ):
            yield f"Missing: {share(live)} of the live values, {share(r)} of the reference."
        return
    rows = shown.report.rows if shown.report else 0
    if feature.by == "missing":
        yield f"What changed is how many values are missing: their share differs by {share(feature.effect)}."
    if feature.missing:
        of = f" of {rows:,} ({share(feature.missing / rows)})" if rows else ""
        yield f"Missing in the window: {feature.missing:,} values{of}."
