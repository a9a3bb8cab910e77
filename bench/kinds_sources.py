"""Three sources with known changes: River's generators, the red wines, the departures from New York.

A source's own rows are its populations. Every stream, quiet ones too, is drawn from them row by row, with replacement:
whatever the real wines or flights did in the course of time is not in it, and so the truth is known. A model is trained
on one half of the old world's rows, and reference and streams are drawn from the other, which it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from flights.fields import FIELDS as FLIGHTS
from flights.source import read as read_flights
from loans.fields import FIELDS as LOANS
from loans.source import applications
from numpy.typing import NDArray
from river.datasets.synth import SEA, Hyperplane
from scipy.spatial import cKDTree
from summaries.profile import FieldSpec
from wine_quality.fields import FIELDS as WINE
from wine_quality.source import read as read_wine

Labels = NDArray[Any]
STEPS = 6  # of a change that goes step by step
SIMILAR = 10  # July's departures that a January's one may get its delay from
POOL = 20_000  # rows out of a generator
_WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]


@dataclass(frozen=True)
class Labelling:
    """``rows`` of one population, labelled in the old way, ``path[0]``, then step by step in the new, ``path[-1]``."""

    name: str
    fields: Sequence[FieldSpec]
    measured: list[str]
    rows: pd.DataFrame
    path: list[Labels]
    alone: bool = True  # whether its quiet rows, outliers and noise are its own, not another labelling's too

    @property
    def stepwise(self) -> bool:
        """Whether there is something between the old and the new."""
        return len(self.path) > 2


@dataclass(frozen=True)
class Source:
    """The old world's labelled rows are ``labellings[0]``'s; ``new`` is another population, ``path`` leads to it.

    ``path`` is given the old world's rows that the model has not seen. ``measured`` are the numbers that outliers and
    noise befall: what an instrument or a form says, not the calendar.
    """

    name: str
    fields: Sequence[FieldSpec]
    measured: list[str]
    new: pd.DataFrame
    path: Callable[[pd.DataFrame], list[pd.DataFrame]]
    labellings: list[Labelling] = field(default_factory=list)


def _sliding(order: str, old: pd.DataFrame, new: pd.DataFrame) -> list[pd.DataFrame]:
    """From the old rows to the new in steps, the rows with the lowest ``order`` giving way to those with a higher one."""
    rows = pd.concat([old, new], ignore_index=True).sort_values(order, kind="stable", ignore_index=True)
    first = np.linspace(0, len(rows) - len(new), STEPS + 1)[1:].round().astype(int)
    last = np.linspace(len(old), len(rows), STEPS + 1)[1:].round().astype(int)
    return [rows.iloc[a:b].reset_index(drop=True) for a, b in zip(first, last, strict=True)]


@cache
def agrawal() -> Source:
    """Applicants for loans; the new ones are 32 or older, and another function decides."""
    rows, other = applications(6, POOL, 1, 0.05), applications(2, POOL, 1, 0.05)
    numbers = [f.name for f in LOANS if f.dtype == "float32"]
    labels = [rows["approved"].to_numpy(), other["approved"].to_numpy()]
    oldest = [*range(22, 32, 2), 32]

    def path(old: pd.DataFrame) -> list[pd.DataFrame]:
        return [old[old["age"] >= age].reset_index(drop=True) for age in oldest]

    labelling = Labelling("River: Agrawal, function 6 to 2", LOANS, numbers, rows, labels)
    new = rows[rows["age"] >= 32].reset_index(drop=True)
    return Source("River: Agrawal", LOANS, numbers, new, path, [labelling])


@cache
def sea() -> Labelling:
    """SEA: the sum that makes a row positive goes from 7 over 8 and 9 to 9.5, which are all that River has."""
    drawn = [list(SEA(variant=v, seed=1, noise=0.1).take(POOL)) for v in (2, 0, 1, 3)]
    fields = [FieldSpec(f"x{i}", "float32") for i in range(3)]
    rows = pd.DataFrame([[x[i] for i in range(3)] for x, _ in drawn[0]], columns=[f.name for f in fields])
    path = [np.array(["yes" if y else "no" for _, y in each], dtype=object) for each in drawn]
    return Labelling("River: SEA, sum of 7 to 9.5", fields, list(rows.columns), rows.astype("float32"), path)


@cache
def wine() -> Source:
    """Wines of at most 11 % vol, then the stronger ones; good is a quality of 6, then of 5, or of 7.

    In between, of the wines of one quality those with more alcohol are good already, or still.
    """
    frame = read_wine()
    frame = frame.astype({f.name: "float32" for f in WINE})
    old = frame[frame["alcohol"] <= 11].reset_index(drop=True)
    new = frame[frame["alcohol"] > 11].reset_index(drop=True)
    score = old["quality"] + (old["alcohol"].rank(method="first") - 1) / len(old)

    def path(limit: int) -> list[Labels]:
        limits = np.linspace(6, limit, STEPS).round(9)
        return [np.where(score >= each, "yes", "no").astype(object) for each in limits]

    names = [f.name for f in WINE]
    labellings = [
        Labelling("wine: good from 6, then from 5 on", WINE, names, old, path(5)),
        Labelling("wine: good from 6, then from 7 on", WINE, names, old, path(7), alone=False),
    ]
    return Source("wine", WINE, names, new, lambda seen: _sliding("alcohol", seen, new), labellings)


@cache
def flights() -> Source:
    """January's departures that arrived, then July's; on the way there, month by month.

    Late is more than 15 minutes, then (12, 9, …) more than none; or a January's departure has the delay of one of July's
    ten that are most like it: from the same airport, near in hour, weekday, distance and airline.
    """
    by_limit = [read_flights(minutes) for minutes in (15, 12, 9, 6, 3, 0)]
    frame = by_limit[0]
    arrived = frame["late"].notna().to_numpy()
    day = pd.to_datetime(frame["event_time"], unit="ms", utc=True).dt.tz_convert("America/New_York")
    months = [
        frame[arrived & (day.dt.month == month).to_numpy()].reset_index(drop=True) for month in range(1, 8)
    ]
    january, july = months[0], months[-1]
    of_january = arrived & (day.dt.month == 1).to_numpy()
    path = [each.loc[of_january, "late"].to_numpy() for each in by_limit]

    def schedule(rows: pd.DataFrame) -> NDArray[np.float64]:
        known = {name: i for i, name in enumerate(sorted(frame["carrier"].unique()))}
        airline = np.eye(len(known))[rows["carrier"].map(known)]
        airport = np.eye(3)[rows["origin"].map({"EWR": 0, "JFK": 1, "LGA": 2})]
        near = rows[["hour", "weekday", "distance"]].to_numpy(float) / [1.0, 1.0, 100.0]
        return np.hstack([near, 3 * airline, 100 * airport])

    nearest = cKDTree(schedule(july)).query(schedule(january), k=SIMILAR)[1]
    one = np.random.default_rng(0).integers(0, SIMILAR, len(january))
    julys = july["late"].to_numpy()[nearest[np.arange(len(january)), one]]
    labellings = [
        Labelling("flights: late from 16, then from 1 minute on", FLIGHTS, _WEATHER, january, path),
        Labelling("flights: July's delays", FLIGHTS, _WEATHER, january, [path[0], julys], alone=False),
    ]
    return Source("flights", FLIGHTS, _WEATHER, july, lambda _: months[1:], labellings)


SOURCES = {"river": agrawal, "wine": wine, "flights": flights}


def hyperplane(
    seed: int, trained: int, before: int, over: int, after: int
) -> tuple[pd.DataFrame, Labels]:  # rows in order
    """River's rotating hyperplane: still, then four of ten weights grow by 0.002 a row, then still again."""
    generator = Hyperplane(seed=seed, n_drift_features=4, mag_change=0.0, sigma=0.0)
    rows, labels = [], []
    stream = iter(generator)
    for i in range(trained + before + over + after):
        generator.mag_change = 0.002 if trained + before <= i < trained + before + over else 0.0
        x, y = next(stream)
        rows.append(list(x.values()))
        labels.append("yes" if y else "no")
    names = [f"x{i}" for i in range(10)]
    return pd.DataFrame(rows, columns=names, dtype="float32"), np.array(labels, dtype=object)


# --- what is no drift -----------------------------------------------------------------------------------------


def outliers(
    rows: pd.DataFrame, fields: Sequence[FieldSpec], measured: list[str], known: pd.DataFrame,
    generator: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """One value in a hundred of each measured number is ten standard deviations off its mean, within what can be."""
    result, limits = rows.copy(), {f.name: (f.min, f.max) for f in fields}
    for name in measured:
        values = rows[name].to_numpy(np.float64)
        sign = np.where(generator.random(len(rows)) < 0.5, -1.0, 1.0)
        wild = known[name].mean() + 10.0 * sign * known[name].std()
        off = generator.random(len(rows)) < 0.01
        result[name] = np.clip(np.where(off, wild, values), *_open(limits[name])).astype("float32")
    return result


def noise(
    rows: pd.DataFrame, fields: Sequence[FieldSpec], measured: list[str], known: pd.DataFrame,
    generator: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """Each measured number is read with an error of a tenth of its standard deviation, to the source's own resolution.

    The reading is the nearest value that the source has: noise that turned the many hours without rain into hours with
    a thousandth of an inch would be another gauge.
    """
    result = rows.copy()
    for name in measured:
        values = rows[name].to_numpy(np.float64)
        scale = np.unique(known[name].dropna().to_numpy(np.float64))
        read = values + 0.1 * known[name].std() * generator.normal(size=len(rows))
        at = np.clip(np.searchsorted((scale[1:] + scale[:-1]) / 2, np.nan_to_num(read)), 0, len(scale) - 1)
        result[name] = np.where(np.isnan(values), np.nan, scale[at]).astype("float32")
    return result


def _open(limits: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = limits
    return (-np.inf if low is None else low, np.inf if high is None else high)


NO_DRIFT = {"outliers": outliers, "noise": noise}
