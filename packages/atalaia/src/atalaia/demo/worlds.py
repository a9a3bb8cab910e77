"""The worlds a demonstration can show: where their traffic comes from, and what has to be true at the end."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from servicekit.errors import UserError

from atalaia.demo.alerts import Facts, Span
from atalaia.demo.batches import Batch, make_batch
from atalaia.demo.figures import Scores
from atalaia.demo.replay import Sent
from atalaia.demo.story import Story
from atalaia.demo.swift import Swift, swiftness
from atalaia.project import Project

ENDS = ("promoted", "refused", "failed")
MINUTE = 60_000
HOUR = 60 * MINUTE


@dataclass
class Check:
    """One thing that has to be true, and what was seen; where it does not count, the loop closes without it.

    What hangs on how busy the machine is does not count.
    """

    name: str
    ok: bool
    seen: str
    counts: bool = True


@dataclass
class Evidence:
    """All that checks look at."""

    story: Story
    sent: Sent
    scores: Scores
    window: int
    policies: dict[str, dict[str, float]] = field(default_factory=dict)

    def first_served(self) -> dict[str, int]:
        """The event time of each version's first outcome."""
        found: dict[str, int] = {}
        for version, at in zip(self.scores.version, self.scores.time.tolist(), strict=True):
            found[version] = min(at, found.get(version, at))
        return found

    def trainings(self) -> int:
        """How often the project's pipeline was run, whatever came of it."""
        return len({d.run_id for d in self.story.decisions if d.decision in ("started", *ENDS)})

    def after_promotion(self) -> Any:
        """Rows from the first row on that a promoted version served."""
        first = self.first_served()
        promoted = [
            first[m.version] for m in self.story.models if m.action == "promoted" and m.version in first
        ]
        if not promoted:
            return np.zeros(len(self.scores.time), dtype=bool)
        return self.scores.time >= min(promoted)


@dataclass
class World:
    """A demonstration. ``traffic(project)`` gives batches and the number of rows."""

    traffic: Callable[[Project], tuple[Iterator[Batch], int]]
    upload_every: int
    checks: Callable[[Evidence], list[Check]]
    policies: Callable[[Project, Callable[[str], None], Evidence], dict[str, dict[str, float]]] | None = None
    facts: Callable[[Project], Facts] | None = None


@contextmanager
def importable(project: Project) -> Iterator[None]:
    """The project's package on the path and its folder current; its own clear error line becomes ours."""
    said, here = StringIO(), Path.cwd()
    sys.path.insert(0, str(project.folder / "src"))
    try:
        os.chdir(project.folder)
        with redirect_stderr(said):
            yield
    except SystemExit:
        lines = said.getvalue().strip().splitlines()
        raise UserError(
            lines[-1].removeprefix("Error: ") if lines else "the project's data cannot be read"
        ) from None
    finally:
        os.chdir(here)
        sys.path.remove(str(project.folder / "src"))


# -- flights ---------------------------------------------------------------------------------------------

# column of the project's policies -> its name, and how often it trains in the year
FIXED = {"frozen": ("frozen (scikit-learn)", 0), "last_month": ("last month", 10), "monthly": ("monthly", 10)}


def _flights(project: Project) -> tuple[Iterator[Batch], int]:
    with importable(project):
        given = list(importlib.import_module(f"{project.package}.stream").batches())

    def each() -> Iterator[Batch]:
        for b in given:
            n = len(b.rows)
            yield make_batch([b.event_time] * n, b.rows, b.truth, [t or 0 for t in b.label_time])

    return each(), sum(len(b.rows) for b in given)


def _flights_policies(
    project: Project, progress: Callable[[str], None], evidence: Evidence
) -> dict[str, dict[str, float]]:
    """Offline, on the same departures: the January model, and monthly retraining on the last month or everything so far.

    ``log_loss`` and ``auc`` are of the rows from the first on that a promoted version served, ``log_loss_year`` of all.
    """
    with importable(project):
        module = importlib.import_module(f"{project.package}.policies")
        table = module.run(project.folder, progress)
        mask = evidence.after_promotion()
        if not mask.any():
            return {}
        start = int(evidence.scores.time[mask].min())
        rows = table[table["event_time"] >= start]
        truths = [frame.iloc[:, 1].to_numpy() for frame in (rows, table)]
        found = {}
        for column, (name, trainings) in FIXED.items():
            after, year = (
                module.figures(truth, frame[column].to_numpy())
                for truth, frame in zip(truths, (rows, table), strict=True)
            )
            found[name] = after | {"log_loss_year": year["log_loss"], "trainings": float(trainings)}
        return found


def _flights_facts(project: Project) -> Facts:
    """Weather, delays and carriers of two spans, from the data themselves."""

    def facts(reference: Span, live: Span) -> Mapping[str, str]:
        with importable(project):
            found: dict[str, str] = importlib.import_module(f"{project.package}.facts").changes(
                reference, live
            )
            return found

    return facts


def _flights_checks(e: Evidence) -> list[Check]:
    mask = e.after_promotion()
    served, frozen = e.scores.metrics("served", mask), e.scores.metrics("frozen", mask)
    checks = [Check("at least two promotions", len(e.story.promotions) >= 2, str(len(e.story.promotions)))]
    if served and frozen:
        gain = 1 - served["log_loss"] / frozen["log_loss"]
        better = served["auc"] - frozen["auc"]
        beside = e.policies.get("monthly", {})
        monthly = f"; monthly {beside['log_loss']:.4f}" if beside else ""
        checks += [
            Check(
                "log loss at least 2% below the frozen model's",
                gain >= 0.02,
                f"{served['log_loss']:.4f} against {frozen['log_loss']:.4f} ({gain:+.2%}){monthly}",
            ),
            Check(
                "AUC at least 0.015 above the frozen model's",
                better >= 0.015,
                f"{served['auc']:.4f} against {frozen['auc']:.4f} ({better:+.4f})"
                + (f"; monthly {beside['auc']:.4f}" if beside else ""),
            ),
        ]
    else:
        checks.append(Check("served and frozen model compared", False, "no row was served after a promotion"))
    if e.policies and served:
        best = min(e.policies, key=lambda name: e.policies[name]["log_loss_year"])
        fixed, year = e.policies[best], e.scores.metrics("served", np.ones_like(mask))["log_loss"]
        others = ", ".join(f"{n} {p['log_loss_year']:.4f}" for n, p in e.policies.items() if n != best)
        checks += [
            Check(
                "log loss over the year at most 1.01 of the best fixed policy's",
                year <= 1.01 * fixed["log_loss_year"],
                f"{year:.4f} against {fixed['log_loss_year']:.4f} of {best} ({year / fixed['log_loss_year']:.4f}); {others}; "
                f"from the first promotion on {served['log_loss']:.4f} against {fixed['log_loss']:.4f} "
                f"({served['log_loss'] / fixed['log_loss']:.4f})",
                counts=False,  # a goal of one year's figures, not a sign that the loop is broken
            ),
            Check(
                "with fewer trainings",
                e.trainings() < fixed["trainings"],
                f"{e.trainings()} against {fixed['trainings']:.0f}",
            ),
        ]
    return checks


# -- wine-quality ----------------------------------------------------------------------------------------


def _rows(project: Project) -> tuple[Iterator[Batch], int]:
    with importable(project):
        rows = importlib.import_module(f"{project.package}.stream").rows(project.folder)
    each = (
        make_batch([r["event_time"]], [r["features"]], [r["truth"]], [r["label_time"]], r["phase"])
        for r in rows
    )
    return each, len(rows)


def _wine_checks(e: Evidence) -> list[Check]:
    story, scores = e.story, e.scores
    phase_of = np.array([e.sent.phases.get(p, "") for p in story.outcomes.prediction_id], dtype=object)
    drifted = phase_of == "drifted"
    if not drifted.any() or not story.models:
        return [Check("traffic of both worlds was answered", False, "no outcome of the drifted phase")]
    change = int(scores.time[drifted].min())
    first = story.models[0].version
    windows = story.final_drift
    steady = [w for w in windows if w.version == first and w.window_end <= change]
    flagged = [f for w in steady for f, d in w.features.items() if d.drifted]
    raised = [a for a in story.alerts if a.state == "drift" and a.version == first]
    early = [a for a in raised if change < a.window_end <= change + 2 * e.window]
    names = sorted({f for a in early for f, d in a.features.items() if d.drifted})
    later = [m.version for m in story.models if m.action == "promoted"]
    renewed = [w for w in windows if w.version in later]
    tested = [w for w in renewed if w.status != "insufficient data"]
    bad = [f"{f} ({d.effect:.2f})" for w in renewed for f, d in w.features.items() if d.drifted]
    before = scores.metrics("served", drifted & (scores.version == first))
    unseen = drifted & np.isin(scores.version, later)
    after, frozen = scores.metrics("served", unseen), scores.metrics("frozen", unseen)
    low, high = before.get("accuracy", 0.0), after.get("accuracy", 0.0)
    return [
        Check(
            "no window is flagged in the steady phase",
            bool(steady) and not flagged and all(w.status == "ok" for w in steady),
            f"{len(steady)} windows, flagged: {', '.join(flagged) or 'none'}",
        ),
        Check(
            "an alert names alcohol and density within two windows of the change",
            {"alcohol", "density"} <= set(names),
            ", ".join(names) or "no alert",
        ),
        Check("a new version is promoted", bool(later), f"{len(later)} promoted"),
        Check(
            "accuracy on unseen rows of the new regime rises to 0.50 or more",
            high >= 0.5 and high > low,
            f"{low:.3f} on {before.get('rows', 0):.0f} rows before, {high:.3f} on {after.get('rows', 0):.0f} rows "
            f"after (the first model on those: {frozen.get('accuracy', 0.0):.3f})",
        ),
        Check(
            "no feature is flagged after the promotion",
            bool(tested) and not bad,
            f"{len(tested)} windows tested, flagged: {', '.join(bad) or 'none'}",
        ),
        swift(e),
    ]


def swift(e: Evidence) -> Check:
    """How long the first promotion took. It does not count: a busy machine trains slowly."""
    name = "from the alert to the new version in less than 60 s, less than 10 s of them the platform's own"
    seen: Swift | None = swiftness(e.story, e.sent.answered)
    if seen is None:
        return Check(name, False, "no promotion whose times are recorded", counts=False)
    return Check(name, seen.whole < 60 and seen.own < 10, seen.words, counts=False)


# -- loans -----------------------------------------------------------------------------------------------


def _loans_checks(e: Evidence) -> list[Check]:
    story, scores = e.story, e.scores
    phase_of = np.array([e.sent.phases.get(p, "") for p in story.outcomes.prediction_id], dtype=object)
    changed = phase_of == "changed"
    if not changed.any() or not story.models:
        return [Check("traffic of both worlds was answered", False, "no outcome after the change")]
    label_time = np.array(story.outcomes.label_time, dtype=np.int64)
    change = int(scores.time[changed].min())
    first = story.models[0].version
    later = [m.version for m in story.models if m.action == "promoted"]
    windows = [w for w in story.final_drift if w.status != "insufficient data"]
    flagged = [f"{f} ({d.effect:.2f})" for w in windows for f, d in w.features.items() if d.drifted]
    lowest = min((w.p_value for w in windows), default=1.0)
    virtual = [a for a in story.alerts if a.kind == "virtual" and a.state == "drift"]
    real = [a for a in story.alerts if a.kind == "real" and a.state == "drift"]
    found = next((a for a in real if a.version == first and a.window_end > change), None)
    labelled = int((changed & (label_time < found.window_end)).sum()) if found else 0
    off = (found.since - change) / MINUTE if found else 0.0
    before = scores.metrics("served", changed & (scores.version == first))
    steady = scores.metrics("served", phase_of == "steady")
    unseen = changed & np.isin(scores.version, later)
    after, frozen = scores.metrics("served", unseen), scores.metrics("frozen", unseen)
    high = after.get("accuracy", 0.0)
    return [
        Check(
            "no input test sees the change: no virtual alert",
            bool(windows) and not virtual,
            f"{len(windows)} windows tested, the smallest p-value {lowest:.2g}, flagged: {', '.join(flagged) or 'none'}",
        ),
        Check(
            "no real alert before the change",
            not any(a.window_end <= change for a in real),
            f"{int((phase_of == 'steady').sum())} steady rows",
        ),
        Check(
            "a real alert within 500 labelled rows of the change",
            found is not None and labelled <= 500,
            f"after {labelled}, since {off:+.0f} rows from the change: {found.reason}"
            if found
            else "no alert",
        ),
        Check("a new version is promoted", bool(later), f"{len(later)} promoted"),
        Check(
            "accuracy is back: at most 0.05 below that of the first world",
            bool(after) and high >= steady.get("accuracy", 1.0) - 0.05,
            f"{steady.get('accuracy', 0.0):.3f} before the change, {before.get('accuracy', 0.0):.3f} on "
            f"{before.get('rows', 0):.0f} rows after it, {high:.3f} on {after.get('rows', 0):.0f} rows of the new "
            f"version (the first model on those: {frozen.get('accuracy', 0.0):.3f})",
        ),
    ]


WORLDS = {
    "flights": World(_flights, 6 * HOUR, _flights_checks, _flights_policies, _flights_facts),
    "wine-quality": World(_rows, HOUR, _wine_checks),
    "loans": World(_rows, HOUR, _loans_checks),
}
