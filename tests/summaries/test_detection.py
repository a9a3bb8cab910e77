"""The decision on a window: its budget, its scales, its two questions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from summaries.anderson_darling import null_law
from summaries.autocorrelation import alarm_share, variance_inflation
from summaries.categories import Categories
from summaries.cells import Cells
from summaries.detection import Detector, dependence
from summaries.joint import JointLaw
from summaries.profile import FieldSpec, Profile

NAMES = [f"x{i}" for i in range(6)]


def rows(
    n: int, generator: np.random.Generator, rho: float = 0.0, shift: float = 0.0, moved: int = 3
) -> np.ndarray:
    """[n, 6] normals with pairwise correlation ``rho``; the first ``moved`` are shifted."""
    x = np.sqrt(rho) * generator.normal(size=(n, 1)) + np.sqrt(1 - rho) * generator.normal(size=(n, 6))
    x[:, :moved] += shift
    return x


class World:
    """A reference, its detector, and windows counted over its cells."""

    def __init__(self, seed: int, rho: float = 0.0, **given: object) -> None:
        self.generator = np.random.default_rng(seed)
        self.rho = rho
        x = rows(2000, self.generator, rho)
        self.cells = {name: Cells.from_reference(x[:, i], "float64") for i, name in enumerate(NAMES)}
        self.law = dependence(self.cells, {n: self.cells[n].index(x[:, i]) for i, n in enumerate(NAMES)})
        self.detector = Detector(self.cells, joint=self.law, joint_names=NAMES, **given)  # type: ignore[arg-type]

    def window(self, shift: float = 0.0, moved: int = 3) -> dict[str, np.ndarray]:
        """Counts of 500 rows."""
        x = rows(500, self.generator, self.rho, shift, moved)
        return {
            n: np.bincount(c.index(x[:, i]), minlength=c.size) for i, (n, c) in enumerate(self.cells.items())
        }


def added(*windows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Counts add."""
    return {name: np.sum([w[name] for w in windows], axis=0) for name in windows[0]}


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_quiet_windows_stay_within_the_budget(rho: float) -> None:
    """At alpha 2% at most 2% of quiet windows alarm, up to chance, however the features depend."""
    alarms = 0
    for seed in range(15):
        world = World(seed, rho)
        windows = [world.window() for _ in range(41)]
        for before, now in pairwise(windows):
            alarms += world.detector.judge({1: now, 2: added(before, now)}).p_value <= 0.02
    assert alarms <= 24  # 12 expected of 600 at most; P(more than 24) < 0.1% even for independent windows


def test_a_small_change_of_many_features_is_found_jointly() -> None:
    """0.12 sd in all six features: no feature alone needs be significant, and the suspects are named."""
    found = questions = 0
    for seed in range(10):
        world = World(seed)
        judged = world.detector.judge({1: added(world.window(0.12, 6), world.window(0.12, 6))})
        found += judged.p_value <= 1e-3
        questions += judged.question == "joint"
        if judged.question == "joint":
            assert judged.suspects
            assert set(judged.suspects) <= set(NAMES)
    assert found >= 8
    assert questions >= 8


def test_a_larger_scale_finds_what_one_window_cannot() -> None:
    """0.15 sd in one feature is found more often over four windows than in one."""
    once = fourfold = 0
    for seed in range(12):
        world = World(seed, scales=(1, 4))
        windows = [world.window(0.15, 1) for _ in range(4)]
        once += world.detector.judge({1: windows[-1]}).p_value <= 1e-3
        judged = world.detector.judge({1: windows[-1], 4: added(*windows)})
        fourfold += judged.p_value <= 1e-3
    assert fourfold > once
    assert judged.scale in (1, 4)


def test_the_shares_of_the_budget_add_up_to_one() -> None:
    """Whatever scales there are, and with or without a joint law."""
    world = World(0, scales=(1, 2, 4))
    assert sum(world.detector.shares.values()) * 3 == pytest.approx(1)
    assert Detector(world.cells).shares == {"single": 0.5}


def test_values_that_go_missing_are_found() -> None:
    """A feature that is never there any more is a change, though no value moved."""
    world = World(0)
    gone = world.window()
    gone["x2"] = np.zeros_like(gone["x2"])
    gone["x2"][-1] = 500
    judged = world.detector.judge({1: gone})
    assert judged.p_value < 1e-9
    assert judged.features["x2"].by == "missing"
    few = world.window()
    few["x2"][-1] += 8
    assert world.detector.log_p("x2", few["x2"])[1] == "missing"


def test_categories_and_constants_are_judged() -> None:
    """A feature of one value says nothing, a category that moved does."""
    constant = Cells.from_reference([3] * 100, "int64")
    letters = Categories.from_reference(["a"] * 50 + ["b"] * 50)
    detector = Detector({"constant": constant, "letters": letters}, scales=(1,))
    judged = detector.judge({1: {"constant": np.array([0, 90, 0, 0]), "letters": np.array([90, 0, 0, 0])}})
    assert judged.features["constant"].p_value == 1
    assert judged.features["letters"].by == "chi2"
    assert judged.p_value < 1e-9


def test_counts_over_other_cells_are_refused() -> None:
    """The name of the feature is said."""
    world = World(0)
    wrong = world.window() | {"x1": np.zeros(3, dtype=np.int64)}
    with pytest.raises(ValueError, match="x1"):
        world.detector.judge({1: wrong})


@pytest.mark.parametrize("scales", [(), (2, 1), (0, 1), (1, 1)])
def test_scales_are_rising_whole_numbers(scales: tuple[int, ...]) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="scales"):
        Detector({}, scales=scales)


def test_independent_tests_have_fishers_law_and_equal_ones_count_once() -> None:
    """For m copies of one test S is m times one -2 ln p: exponential, with skewness 2."""
    generator = np.random.default_rng(0)
    log_p = np.log(generator.uniform(size=(20_000, 1)))
    copies = JointLaw.of(np.repeat(log_p, 5, axis=1))
    assert copies.deviation == pytest.approx(10, rel=1e-6)
    assert copies.skewness == pytest.approx(2.2, rel=0.1)  # with the margin of a tenth
    apart = JointLaw.of(np.log(generator.uniform(size=(20_000, 5))))
    fisher = JointLaw.independent(5)
    assert apart.deviation == pytest.approx(fisher.deviation, rel=0.05)
    assert fisher.log_sf([np.log(0.01)] * 5) == pytest.approx(
        np.log(
            0.01**5 * sum((-np.log(0.01**5)) ** k / np.prod(np.arange(1, k + 1), initial=1) for k in range(5))
        ),
        rel=1e-6,
    )


def test_a_profile_carries_its_law() -> None:
    """It is read back as it was written, and a profile of before has none."""
    generator = np.random.default_rng(1)
    x = rows(300, generator, 0.5)
    profile = Profile.build(
        {name: x[:, i] for i, name in enumerate(NAMES)}, [FieldSpec(name, "float32") for name in NAMES],
        predictions=x[:, 0], probabilities=None, target="y", classes=None, task="regression",
    )  # fmt: skip
    assert profile.joint is not None
    assert profile.joint.skewness > JointLaw.independent(6).skewness
    assert Profile.from_dict(profile.to_dict()) == profile
    older = {k: v for k, v in profile.to_dict().items() if k != "joint"}
    assert Profile.from_dict(older).detector().shares == {"single": 0.5}


@pytest.mark.parametrize(("stretch", "warned"), [(1, False), (40, True)])
def test_rows_that_go_together_are_warned_of(stretch: int, warned: bool) -> None:
    """A reference whose values stay for forty rows is told apart from one of independent rows."""
    generator = np.random.default_rng(2)
    x = np.repeat(generator.normal(size=4000 // stretch), stretch)
    y = generator.normal(size=4000)
    profile = Profile.build(
        {"x": x, "y": y}, [FieldSpec("x", "float32"), FieldSpec("y", "float32")],
        predictions=y, probabilities=None, target="t", classes=None, task="regression",
    )  # fmt: skip
    assert [warning.partition(":")[0] for warning in profile.warnings] == (["x"] if warned else [])
    assert Profile.from_dict(profile.to_dict()).warnings == profile.warnings


def test_the_warning_says_what_it_does_to_the_budget() -> None:
    """Measured: the share of quiet windows that alarm is of the order that the variance inflation foretells."""
    generator = np.random.default_rng(4)
    stretch, rows_a_window = 5, 500

    def draw(n: int) -> np.ndarray:
        return np.repeat(generator.normal(size=n // stretch), stretch)

    alarms, windows, foretold = 0, 0, []
    for _ in range(10):
        x = draw(20_000)
        cells = Cells.from_reference(x, "float64")
        detector = Detector({"x": cells}, scales=(1,))
        inflation = variance_inflation(cells.index(x), cells.counts)
        foretold.append(alarm_share(null_law(cells.counts[:-1]), 0.01, inflation))
        for _ in range(40):
            live = np.bincount(cells.index(draw(rows_a_window)), minlength=cells.size)
            alarms += detector.judge({1: {"x": live}}).p_value <= 0.01
            windows += 1
    assert 0.5 < (alarms / windows) / np.mean(foretold) < 2
    assert alarms / windows > 0.1  # instead of 0.01
