"""Stored panes judged again under other thresholds: the monitor's own domain, over what it has counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.events import AlertChanged, ModelChanged, PaneCounted, ReferenceAccepted, WindowTested
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.versions import Versions
from drift_monitor.domain.windows import Grid
from drift_monitor.rules import rule_of
from rich.console import Console
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError
from summaries.profile import Profile

from atalaia.drift.explain import EFFECTS, make_table, say, when

THRESHOLDS = (
    "false_alarms", "correction", "min_effect", "min_rows", "alert_windows", "recovered_windows", "scales",
    "max_widening", "window_rows",
)  # fmt: skip
GEOMETRY = ("window_ms", "step_ms", "window_origin_ms")
PREFIX = "ATALAIA_"


def variable(name: str) -> str:
    """A setting as an environment variable."""
    return PREFIX + name.upper()


@dataclass(frozen=True)
class Run:
    """The serving version's windows as one rule judges them, and every change of an alert."""

    windows: list[WindowTested] = field(default_factory=list)
    alerts: list[AlertChanged] = field(default_factory=list)

    @property
    def raised(self) -> int:
        """How many alerts were raised."""
        return len({a.alert_id for a in self.alerts if a.state == "drift"})

    def count(self, status: str) -> int:
        """Windows of a status."""
        return sum(window.status == status for window in self.windows)


def grid_of(reports: Sequence[WindowTested], settings: Settings) -> Grid:
    """The windows that were decided; raises :class:`UserError` where there are none."""
    starts = sorted({report.window_start for report in reports})
    if not starts:
        raise UserError(
            "no window of this model is decided yet: there is nothing to judge again, nor to accept."
        )
    size = reports[0].window_end - reports[0].window_start
    # two that are reported are neighbours: windows are passed over only after many without rows
    steps = [b - a for a, b in itertools.pairwise(starts)]
    return Grid(starts[0], size, min(steps, default=settings.step_ms or size), 0)


def other_settings(before: Settings, given: Mapping[str, str], grid: Grid) -> tuple[Settings, list[str]]:
    """``before`` with the thresholds of ``given``, and the names of those that a backtest does not use.

    Raises :class:`UserError` where ``given`` asks for other windows, or has nothing to try.
    """
    names = {
        name.removeprefix(PREFIX).lower(): value for name, value in given.items() if name.startswith(PREFIX)
    }
    stands = {"window_ms": (grid.size,), "step_ms": (grid.step, *([0] if grid.step == grid.size else []))}
    for name in GEOMETRY:
        if name not in names:
            continue
        value = names[name].removeprefix("-")
        same = value.isdigit() and (
            (int(names[name]) - grid.origin) % grid.step == 0
            if name == "window_origin_ms"
            else int(value) in stands[name]
        )
        if not same:
            raise UserError(
                f"{variable(name)}={names[name]} cannot be tried: the stored panes were counted for windows of "
                f"{grid.size} ms, {grid.step} ms apart. A backtest changes thresholds, not windows."
            )
    tried = {name: names[name] for name in THRESHOLDS if name in names}
    if not tried:
        raise UserError(f"no threshold to try: give some of {', '.join(map(variable, THRESHOLDS))}.")
    # a default that is passed on would count as given, which some settings refuse beside others
    kept = {name: getattr(before, name) for name in before.model_fields_set}
    unused = [name for name in names if name not in THRESHOLDS and name not in GEOMETRY]
    return read_settings(**(kept | tried)), sorted(map(variable, unused))


def rule_from(settings: Settings, grid: Grid) -> Rule:
    """The rule over the windows that were decided, whatever windows the settings name."""
    try:
        return rule_of(settings, grid.step)
    except ValueError as error:
        raise UserError(
            f"{variable('false_alarms')}={settings.false_alarms} cannot be tried: {error}"
        ) from None


class Told(Versions):
    """Who served a window is what its report says, whatever promotion has reached back before it since."""

    def __init__(self, reports: Iterable[WindowTested]) -> None:
        super().__init__()
        self._told = {report.window_end: report.version for report in reports if report.serving}

    def serving(self, end: int) -> str | None:
        """As the monitor said; where it said nothing, by what is known now."""
        return self._told.get(end) or super().serving(end)


def judge_again(
    model: str,
    panes: Iterable[PaneCounted],
    changes: Iterable[ModelChanged],
    profile: Callable[[str], Profile],
    grid: Grid,
    rule: Rule,
    until: int,
    accepted: Iterable[ReferenceAccepted] = (),
    reports: Iterable[WindowTested] = (),
) -> Run:
    """Decide all windows that end by ``until``, from their panes; ``profile`` by version.

    ``reports`` say which version served when a window was decided.
    Panes are handed over as their windows come, so that the work grows with their number and not its square.
    """
    own = sorted((p for p in panes if p.model == model), key=lambda p: (not p.late, p.pane_start))
    owner = Owner(model, grid, rule, {pane.partition for pane in own} or {0})
    owner.versions = Told(report for report in reports if report.model == model)
    for change in changes:
        if change.model == model:
            owner.changed(change)
    for event in accepted:
        if event.model == model:
            owner.accepted(event)
    # Ledgers of late rows tell of all windows to come; counts only of their own.
    first = sum(bool(pane.late) for pane in own)
    for pane in own[:first]:
        owner.replace(pane)
    waiting, run, profiles = own[first:], Run(), dict[str, Profile]()
    owner.watermark.flush(until)
    at = 0
    while True:
        window = owner.next_window()
        if window is not None and window.end > until:
            return run
        end = at
        while end < len(waiting) and (
            waiting[end].pane_start < window.end
            if window is not None
            else waiting[end].pane_start <= waiting[at].pane_start
        ):
            owner.replace(waiting[end])
            end += 1
        if end > at:
            at = end
            continue
        if window is None:
            return run
        for version in owner.testable(window):
            if version not in profiles:
                profiles[version] = profile(version)
        decided = owner.decide(window, profiles)
        owner.commit(decided)
        run.alerts.extend(decided.alerts)
        if decided.serving is not None:
            run.windows.append(decided.reports[-1])


def render(
    console: Console, settings: tuple[Settings, Settings], runs: tuple[Run, Run], *, every: bool = False
) -> None:
    """Before and after, side by side; ``every`` window, or those of which one of the two says something."""
    table = make_table("setting", "before", "after", folds="setting")
    for name in THRESHOLDS:
        before, after = (str(getattr(s, name)) for s in settings)
        if before != after:
            table.add_row(variable(name), before, after)
    if table.row_count:
        console.print(table, markup=False, highlight=False)
    else:
        say(console, "the thresholds are those there were")
    say(console)
    windows = make_table("", "window's end", "rows", "before", "after", right=("rows",), folds="before after")
    pairs = list(zip(runs[0].windows, runs[1].windows, strict=True))
    shown = [(b, a) for b, a in pairs if every or not _silent(b) or not _silent(a)]
    for before_, after_ in shown:
        differs = (before_.state, _flagged(before_)) != (after_.state, _flagged(after_))
        windows.add_row(
            "!" if differs else "",
            when(before_.window_end),
            f"{before_.rows:,}",
            _said(before_),
            _said(after_),
        )
    if shown:
        console.print(windows, markup=False, highlight=False)
    if left := len(pairs) - len(shown):
        say(console, f"{left} windows of which both say nothing are left out; --all shows them")
    say(console)
    totals = make_table("", "before", "after", right=("before", "after"))
    differ = sum((b.state, _flagged(b)) != (a.state, _flagged(a)) for b, a in pairs)
    for name, figures in (
        ("windows", [len(run.windows) for run in runs]),
        ("too few rows", [run.count("insufficient data") for run in runs]),
        ("drifted", [run.count("drift") for run in runs]),
        ("alerts", [run.raised for run in runs]),
    ):
        totals.add_row(name, *(f"{n:,}" for n in figures))
    console.print(totals, markup=False, highlight=False)
    say(console, f"{differ} of {len(pairs)} windows differ (!)")


def _silent(report: WindowTested) -> bool:
    return report.state == "ok" and report.status != "drift"


def _flagged(report: WindowTested) -> list[str]:
    return sorted(name for name, feature in report.features.items() if feature.drifted)


def _said(report: WindowTested) -> str:
    if report.status == "insufficient data":
        return f"{report.state}, too few rows"
    flagged = [
        f"{name} {EFFECTS.get(f.effect_name, '')} {f.effect:.2f}"
        for name, f in report.features.items()
        if f.drifted
    ]
    return f"{report.state}: {', '.join(sorted(flagged))}" if flagged else report.state


def unlike(reports: Iterable[WindowTested], before: Run) -> int:
    """How many windows the monitor's own reports judge otherwise than ``before``: it ran with other settings."""
    said = {r.window_end: (r.status, _flagged(r)) for r in reports if r.serving}
    return sum(
        said.get(w.window_end, (w.status, _flagged(w))) != (w.status, _flagged(w)) for w in before.windows
    )
