"""What a window says: at several scales, over too few rows, of values that went missing, and jointly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from contracts.events import ModelChanged, PredictionsMade, WindowTested
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.panes import Counter, Position, Record
from drift_monitor.domain.windows import Grid
from summaries.profile import FieldSpec, Profile

NAMES = ["a", "b", "c", "d"]
GRID = Grid(origin=0, size=100, step=100, grace=0)
RULE = Rule(alpha=1e-3, correction="bh", min_effect=0.02, min_rows=50, alert_windows=1)
GENERATOR = np.random.default_rng(3)
REFERENCE = GENERATOR.normal(size=(1000, 4)).astype(np.float32)
PROFILE = Profile.build(
    {name: REFERENCE[:, i] for i, name in enumerate(NAMES)},
    [FieldSpec(name, "float32", optional=True) for name in NAMES],
    REFERENCE[:, 0], None, "y", None, "regression",
)  # fmt: skip


class World:
    """One partition, one version, and an owner that decides."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.counter, self.owner = Counter(GRID), Owner("m", GRID, rule, [0])
        self.counter.take(0, 0, Position(), [])
        self.owner.changed(
            ModelChanged(
                model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="",
                effective_from=0, reason="",
            )
        )  # fmt: skip
        self.generator = np.random.default_rng(11)
        self.offset = 0

    def window(self, number: int, rows: int, shift: float = 0.0, moved: int = 4, gone: str = "") -> None:
        """Rows of the ``number``-th window, from 0; the first ``moved`` features are shifted."""
        x = self.generator.normal(size=(rows, 4))
        x[:, :moved] += shift
        features = {name: x[:, i].tolist() for i, name in enumerate(NAMES)}
        predictions = features["a"]
        if gone:
            features[gone] = [None] * rows
        event = PredictionsMade(
            batch_id=str(number), model="m", version="1", event_time=[100 * number + 1] * rows,
            features=features, predictions=predictions,
        )  # fmt: skip
        panes, refused = self.counter.absorb([Record(0, self.offset, event)], {("m", "1"): PROFILE})
        assert not refused
        self.offset += 1
        for pane in panes:
            self.owner.replace(pane)

    def decide(self) -> list[WindowTested]:
        """Reports of all windows with rows."""
        self.owner.watermark.flush(100 * self.offset)
        reports = []
        while (window := self.owner.due()) is not None:
            decided = self.owner.decide(window, dict.fromkeys(self.owner.testable(window), PROFILE))
            self.owner.commit(decided)
            reports += decided.reports
        return reports


def test_a_small_change_shows_over_two_windows() -> None:
    """One window alone is not enough, with the one before it is, and the report says so."""
    world = World(replace(RULE, scales=(1, 2)))
    for n, shift in enumerate((0.0, 0.11, 0.11)):
        world.window(n, 500, shift)
    quiet, first, second = world.decide()
    assert (quiet.status, first.status, second.status) == ("ok", "ok", "drift")
    assert second.scale == 2
    assert second.p_value <= 1e-3 < first.p_value
    # The same second window without the one before it says nothing.
    alone = World(replace(RULE, scales=(1,)))
    for n, shift in enumerate((0.0, 0.11, 0.11)):
        alone.window(n, 500, shift)
    assert [report.status for report in alone.decide()] == ["ok", "ok", "ok"]


def test_a_window_with_too_few_rows_widens_up_to_its_limit() -> None:
    """Twenty rows are too few; over three windows there are enough; over an empty past there are not."""
    world = World(replace(RULE, max_widening=3))
    for n in range(4):
        world.window(n, 20, shift=2.0)
    reports = world.decide()
    assert [r.status for r in reports] == ["insufficient data", "insufficient data", "drift", "drift"]
    assert [r.rows for r in reports] == [20] * 4
    assert reports[2].scale == 3
    assert all(feature.scale % 3 == 0 for feature in reports[2].features.values())
    narrow = World()
    narrow.window(0, 20, shift=2.0)
    assert narrow.decide()[0].status == "insufficient data"


def test_windows_of_rows_are_judged_once_they_hold_so_many() -> None:
    """Little traffic: each row is judged once, with those that came since the last judgement."""
    world = World(replace(RULE, window_rows=100, max_widening=10, scales=(1,)))
    for n, rows in enumerate((30, 40, 50, 100, 10, 0, 10, 90)):
        if rows:
            world.window(n, rows, shift=2.0 if n > 4 else 0.0)
        else:
            world.offset += 1
    reports = world.decide()
    said = [(r.rows, r.status, r.scale) for r in reports if r.rows]
    gathering = "insufficient data"
    assert [(n, status) for n, status, _ in said] == [
        (30, gathering), (40, gathering), (50, "ok"), (100, "ok"), (10, gathering), (10, gathering), (90, "drift"),
    ]  # fmt: skip
    assert [scale for _, status, scale in said if status != gathering] == [3, 1, 4]
    assert [r.state for r in reports][-2:] == ["ok", "drift"]


def test_windows_of_rows_look_back_no_further_than_their_limit() -> None:
    """What is older than so many windows is not waited with for ever: it drops out, and nothing is said."""
    world = World(replace(RULE, window_rows=100, max_widening=3, scales=(1,)))
    for n in range(8):
        world.window(n, 30)
    assert {r.status for r in world.decide()} == {"insufficient data"}


def test_windows_of_rows_are_also_judged_with_those_before() -> None:
    """Scale 2 is the last two windows of rows: a small change that one is too few for."""
    for scales, statuses in (((1, 2), ["ok", "ok", "drift"]), ((1,), ["ok", "ok", "ok"])):
        world = World(replace(RULE, window_rows=500, max_widening=5, scales=scales))
        for n in range(6):
            world.window(n, 250, 0.11 if n > 1 else 0.0)
        reports = [r for r in world.decide() if r.status != "insufficient data"]
        assert [r.status for r in reports] == statuses
    assert reports[-1].scale == 2


def test_a_feature_that_is_missing_has_drifted() -> None:
    """A feed that died is named, with the share of rows it is missing from as its effect."""
    world = World()
    world.window(0, 200, gone="c")
    (report,) = world.decide()
    assert report.status == "drift"
    assert report.features["c"].drifted
    assert (report.features["c"].by, report.features["c"].effect) == ("missing", 1.0)
    assert not report.features["b"].drifted


def test_a_joint_change_names_its_suspects() -> None:
    """0.15 sd in all features: the question that found it is joint, and features are named."""
    world = World(replace(RULE, scales=(1,)))
    world.window(0, 800, shift=0.15)
    (report,) = world.decide()
    assert report.status == "drift"
    assert report.question == "joint"
    assert [name for name, feature in report.features.items() if feature.drifted]


def test_an_effect_too_small_is_no_drift_whatever_its_p_value() -> None:
    """With rows enough every change is significant; the smallest that counts is a setting."""
    world = World(replace(RULE, min_effect=0.3))
    world.window(0, 3000, shift=0.3)
    (report,) = world.decide()
    assert report.p_value < 1e-3
    assert report.status == "ok"


def test_panes_are_kept_for_the_larger_scale_and_no_longer() -> None:
    """Two windows at scale 2: what lies further back is forgotten, so memory is bounded."""
    world = World(replace(RULE, scales=(1, 2)))
    for n in range(6):
        world.window(n, 60)
    world.decide()
    assert {key.start for key in world.owner._panes} == {500}
