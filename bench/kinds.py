"""``make bench-kinds``: the kinds of change of Gama and others, and what is no change, in streams of three sources.

Inputs (virtual drift): windows of 500 rows against a reference of 2,000, judged by the monitor's own domain at its
defaults. Labelling (real drift): the same inputs, other labels; a tree's errors go through the monitor's own
:class:`Concept` at its defaults, with a window of as many rows and, to see the delay, a boundary every 25; a deployment
says it at the end of the window. Where it alerts, the next rows are served by another version, as if it had been answered
at once. See ``kinds_sources`` for the streams.

Gama, J. and others (2014). A survey on concept drift adaptation. ACM Computing Surveys 46(4), 44.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import kinds_sources as sources
import numpy as np
import pandas as pd
from contracts.events import OutcomesJoined
from drift_monitor.domain.alerts import AlertState
from drift_monitor.domain.concept import Concept, Served
from drift_monitor.domain.decision import Rule, judge
from drift_monitor.domain.detectors import make_detectors
from drift_monitor.rules import rule_of
from numpy.typing import NDArray
from results import Figure, at_least, at_most, seen, write
from servicekit.config import Settings
from sklearn.tree import DecisionTreeClassifier
from summaries.profile import FieldSpec, Profile

SETTINGS = Settings.model_construct()  # the defaults, whatever the environment says
RULE: Rule = rule_of(SETTINGS, SETTINGS.window_ms)
REFERENCE, ROWS = 2_000, 500
BEFORE = 4  # quiet windows before a change
AFTER = 10  # windows from the change's beginning on
SPOILT = 20  # windows with outliers or noise
ON, OFF = 4, 8  # windows of the new world, and of the old one before it comes again
BOUNDARY = 25  # labelled rows
LABELLED = 2_000  # before a change
CHANGED = 5_000  # from the change's beginning on
OVER = 2_000  # that a change takes which is not abrupt
TURN = 3_000  # of each world where they come again
QUIET_LABELLED = 10_000
MODELS = (
    "old model by the old labels", "old model by the new labels", "new model by the new labels",
    "new model by the old labels",
)  # fmt: skip
Cells = Mapping[str, NDArray[np.int64]]
Counted = dict[str, NDArray[np.int64]]
Texts = NDArray[Any]
Generator = np.random.Generator


# --- a model, and what it makes of rows ------------------------------------------------------------------------


class Tree:
    """A decision tree over numbers and numbered categories."""

    def __init__(self, fields: Iterable[FieldSpec], rows: pd.DataFrame, labels: Texts) -> None:
        self.fields = list(fields)
        self._codes = {
            f.name: {text: i for i, text in enumerate(sorted(rows[f.name].unique()))}
            for f in self.fields
            if f.dtype == "string"
        }
        self._tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=20, random_state=0)
        self._tree.fit(self._matrix(rows), labels)

    def _matrix(self, rows: pd.DataFrame) -> NDArray[np.float32]:
        columns = [
            rows[f.name].map(self._codes[f.name]).fillna(-1) if f.name in self._codes else rows[f.name]
            for f in self.fields
        ]
        return np.column_stack([column.to_numpy(np.float32) for column in columns])

    def predict(self, rows: pd.DataFrame) -> tuple[Texts, NDArray[np.float32]]:
        """The class, and the probability of "yes"."""
        yes = self._tree.predict_proba(self._matrix(rows))[:, list(self._tree.classes_).index("yes")]
        return np.where(yes >= 0.5, "yes", "no").astype(object), yes.astype(np.float32)


def columns_of(rows: pd.DataFrame, fields: Iterable[FieldSpec]) -> dict[str, Any]:
    """The fields' columns."""
    return {f.name: rows[f.name].to_numpy() for f in fields}


def halves(n: int, generator: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of ``n`` rows a model is trained on, and which are the world's."""
    order = generator.permutation(n)
    return order[: n // 2], order[n // 2 :]


# --- inputs ----------------------------------------------------------------------------------------------------


class World:
    """One seed of a source: its model, its reference, and windows drawn from its populations."""

    def __init__(self, source: sources.Source, seed: int) -> None:
        self.source, self._generator = source, np.random.default_rng([seed, 1])
        first = source.labellings[0]
        trained, world = halves(len(first.rows), self._generator)
        self._model = Tree(source.fields, first.rows.iloc[trained], first.path[0][trained])
        self._rows = first.rows.iloc[world].reset_index(drop=True)
        reference = self._drawn(self._rows, REFERENCE)
        predicted, yes = self._model.predict(reference)
        self._profile = Profile.build(
            columns_of(reference, source.fields), list(source.fields), predicted.tolist(),
            {"no": 1 - yes, "yes": yes}, "target", ["no", "yes"], "classification",
        )  # fmt: skip
        self._sizes = {name: known.size for name, known in self._profile.monitored().items()}
        self.detector = self._profile.detector(RULE.scales, RULE.correction)
        self._old, self._new = self._place(self._rows), self._place(source.new)
        self._path = [self._place(rows) for rows in source.path(self._rows)]

    def _drawn(self, rows: pd.DataFrame, n: int) -> pd.DataFrame:
        at = self._generator.integers(0, len(rows), n)
        return rows.iloc[at].reset_index(drop=True)

    def _place(self, rows: pd.DataFrame) -> Cells:
        predicted, yes = self._model.predict(rows)
        columns = columns_of(rows, self.source.fields)
        return self._profile.index_batch(columns, predicted.tolist(), {"no": 1 - yes, "yes": yes})

    def _count(self, cells: Cells, n: int = ROWS) -> Counted:
        """``n`` rows out of a population, counted."""
        at = self._generator.integers(0, len(next(iter(cells.values()))), n)
        return {name: np.bincount(cells[name][at], minlength=size) for name, size in self._sizes.items()}

    def _mixed(self, share: float) -> Counted:
        some = int(self._generator.binomial(ROWS, share))
        old, new = self._count(self._old, ROWS - some), self._count(self._new, some)
        return {name: old[name] + new[name] for name in old}

    def spoilt(self, kind: str) -> tuple[Counted, Counted]:
        """A window of the old world with outliers or noise, and the same rows without."""
        at = self._generator.integers(0, len(self._rows), ROWS)
        rows, source = self._rows.iloc[at].reset_index(drop=True), self.source
        spoil = sources.NO_DRIFT[kind]
        cells = self._place(spoil(rows, source.fields, source.measured, self._rows, self._generator))
        each = self._sizes.items()
        return (
            {name: np.bincount(cells[name], minlength=size) for name, size in each},
            {name: np.bincount(self._old[name][at], minlength=size) for name, size in each},
        )

    def quiet(self, n: int) -> Iterator[Counted]:
        """Windows of the old world."""
        return (self._count(self._old) for _ in range(n))

    def changed(self, kind: str) -> Iterator[Counted]:
        """Windows from a change on."""
        if kind == "abrupt":
            yield from (self._count(self._new) for _ in range(AFTER))
        elif kind == "gradual":  # a fifth more of the rows are new in each window
            yield from (self._mixed(min(1.0, 0.2 * (w + 1))) for w in range(AFTER))
        elif kind == "incremental":  # one step a window, and then it stays
            yield from (self._count(self._path[min(w, len(self._path) - 1)]) for w in range(AFTER))
        else:  # recurring
            worlds = [self._new] * ON + [self._old] * OFF + [self._new] * ON
            yield from map(self._count, worlds)


CHANGES = ("abrupt", "gradual", "incremental", "recurring")
WITHOUT = "without {}"  # the same rows as they were


def drifted(world: World, windows: Iterable[Counted]) -> list[bool]:
    """What the monitor says of each window after the first, which has none before it."""
    found, last = [], None
    for now in windows:
        if last is not None:
            both = {name: now[name] + last[name] for name in now}
            found.append(judge(world.detector, {1: now, 2: both}, RULE).drifted)
        last = now
    return found


def inputs_of(source: sources.Source, seed: int, quiet: int) -> dict[str, list[bool]]:
    """Of one seed: the quiet windows, and of each kind those from the change on."""
    world = World(source, seed)
    found = {"quiet": drifted(world, world.quiet(quiet + 1))}
    for kind in CHANGES:
        windows = [*world.quiet(BEFORE), *world.changed(kind)]
        found[kind] = drifted(world, windows)[BEFORE - 1 :]
    for kind in sources.NO_DRIFT:
        before = list(world.quiet(BEFORE))
        pairs = [world.spoilt(kind) for _ in range(SPOILT)]
        for name, which in ((kind, 0), (WITHOUT.format(kind), 1)):
            windows = [*before, *(pair[which] for pair in pairs)]
            found[name] = drifted(world, windows)[BEFORE - 1 :]
    return found


def openings(windows: list[bool]) -> tuple[list[int], list[int]]:
    """The windows, from 1 on, at which an alert opens and at which it is closed."""
    state, opened, closed = AlertState(), [], []
    for w, is_drifted in enumerate(windows, 1):
        before = state.opened
        state = state.after(
            drifted=is_drifted, start=w, alert_windows=RULE.alert_windows,
            recovered_windows=RULE.recovered_windows,
        )  # fmt: skip
        if state.opened and not before:
            opened.append(w)
        if before and not state.opened:
            closed.append(w)
    return opened, closed


# --- labelling -------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """Labelled rows in order; ``predicted[m]`` is what model ``m`` says, ``best[i]`` the model made for row i's world."""

    truth: Texts
    predicted: list[Texts]
    best: NDArray[np.int64]


def alerts(stream: Stream, until_after: int | None = None) -> list[int]:
    """After how many rows the monitor alerted. An alert is answered at once by the model made for the rows of then.

    With ``until_after`` it ends with the first alert beyond so many rows.
    """
    concept = Concept(
        "bench",
        SETTINGS.concept_detector,
        make_detectors(SETTINGS.concept_detector, SETTINGS.concept_delta),
    )
    found: list[int] = []
    model, version = 0, 1
    for n, start in enumerate(range(0, len(stream.truth), BOUNDARY)):
        end = min(start + BOUNDARY, len(stream.truth))
        times = list(range(start, end))
        record = OutcomesJoined(
            model="bench", version=str(version), prediction_id=[str(i) for i in times], event_time=times,
            label_time=times, features={}, predictions=stream.predicted[model][start:end].tolist(),
            probabilities=None, truth=stream.truth[start:end].tolist(), corrected_from=[None] * len(times),
            revision=[0] * len(times),
        )  # fmt: skip
        concept.take(0, n, record)
        concept.word(end)
        concluded = concept.decide(end, ROWS, Served(str(version), "classification"))
        concept.commit(concluded)
        if any(alert.state == "drift" for alert in concluded.alerts):
            found.append(end)
            version, model = version + 1, int(stream.best[end - 1])
            if until_after is not None and end > until_after:
                break
    return found


class Labelled:
    """One seed of a labelling: a model of the old labels, one of the new, and streams."""

    def __init__(self, labelling: sources.Labelling, seed: int) -> None:
        self.labelling, self._generator = labelling, np.random.default_rng([seed, 2])
        rows, path = labelling.rows, labelling.path
        trained, world = halves(len(rows), self._generator)
        self._models = [
            Tree(labelling.fields, rows.iloc[trained], labels[trained]) for labels in (path[0], path[-1])
        ]
        self._rows = rows.iloc[world].reset_index(drop=True)
        self._path = np.array([labels[world] for labels in path])
        self._predicted = [model.predict(self._rows)[0] for model in self._models]

    @property
    def errors(self) -> list[float]:
        """How often the first model is wrong by the old and by the new labels, the second by the new and the old."""
        asked = ((0, 0), (0, -1), (1, -1), (1, 0))
        return [float((self._predicted[model] != self._path[step]).mean()) for model, step in asked]

    def _stream(self, step: NDArray[np.int64]) -> Stream:
        """Rows drawn anew, each labelled by its step on the path."""
        at = self._generator.integers(0, len(self._rows), len(step))
        best = (step == len(self._path) - 1).astype(np.int64)
        return Stream(self._path[step, at], [predicted[at] for predicted in self._predicted], best)

    def stream(self, kind: str) -> Stream:
        """``LABELLED`` rows of the old labels, and then those of the change."""
        old, last = np.zeros(LABELLED, dtype=np.int64), len(self._path) - 1
        since = np.arange(CHANGED)
        if kind == "abrupt":
            step = np.full(CHANGED, last)
        elif kind == "gradual":
            step = last * (self._generator.random(CHANGED) < since / OVER)
        elif kind == "incremental":
            step = np.minimum(1 + since * last // OVER, last)
        else:  # recurring
            step = np.repeat([last, 0, last], TURN)
        return self._stream(np.concatenate([old, step]).astype(np.int64))

    def spoilt(self, kind: str) -> tuple[Stream, Stream]:
        """``LABELLED`` rows and then ``CHANGED`` with outliers or noise in their inputs; and the same rows without."""
        at = self._generator.integers(0, len(self._rows), LABELLED + CHANGED)
        rows, of = self._rows.iloc[at[LABELLED:]].reset_index(drop=True), self.labelling
        spoilt = sources.NO_DRIFT[kind](rows, of.fields, of.measured, self._rows, self._generator)
        clean = self._predicted[0][at]
        said = np.concatenate([clean[:LABELLED], self._models[0].predict(spoilt)[0]])
        truth, best = self._path[0][at], np.zeros(len(at), dtype=np.int64)
        return Stream(truth, [said], best), Stream(truth, [clean], best)

    def quiet(self) -> Stream:
        """The old labels, and nothing else."""
        return self._stream(np.zeros(QUIET_LABELLED, dtype=np.int64))


@dataclass
class Found:
    """Of one labelling: by kind and seed, after how many rows the monitor alerted; and its errors by seed."""

    runs: dict[str, list[list[int]]] = field(default_factory=dict)
    errors: list[list[float]] = field(default_factory=list)
    spoilt: dict[str, list[float]] = field(default_factory=dict)  # errors with outliers or noise

    def add(self, kind: str, found: list[int]) -> None:
        """One seed's."""
        self.runs.setdefault(kind, []).append(found)


def labels_of(labelling: sources.Labelling, seed: int, found: Found) -> None:
    """One seed's runs of all kinds that this labelling has."""
    world = Labelled(labelling, seed)
    found.errors.append(world.errors)
    if labelling.alone:
        found.add("quiet", alerts(world.quiet()))
    for kind in ("abrupt", "gradual", *(["incremental"] if labelling.stepwise else [])):
        found.add(kind, alerts(world.stream(kind), LABELLED))
    found.add("recurring", alerts(world.stream("recurring")))
    for kind in sources.NO_DRIFT if labelling.alone else ():
        spoilt, clean = world.spoilt(kind)
        found.add(kind, alerts(spoilt))
        found.add(WITHOUT.format(kind), alerts(clean))
        found.spoilt.setdefault(kind, []).append(
            float((spoilt.predicted[0] != spoilt.truth)[LABELLED:].mean())
        )


def hyperplane_of(seed: int, found: Found) -> None:
    """River's hyperplane knows one kind of change: incremental."""
    rows, labels = sources.hyperplane(seed, LABELLED, LABELLED, OVER, CHANGED - OVER)
    fields = [FieldSpec(name, "float32") for name in rows.columns]
    model = Tree(fields, rows.iloc[:LABELLED], labels[:LABELLED])
    said = model.predict(rows)[0][LABELLED:]
    truth = labels[LABELLED:]
    wrong = said != truth
    found.errors.append([float(wrong[:LABELLED].mean()), float(wrong[LABELLED + OVER :].mean())])
    stream = Stream(truth, [said], np.zeros(len(truth), dtype=np.int64))
    found.add("incremental", alerts(stream, LABELLED))


# --- putting it together ---------------------------------------------------------------------------------------


def median(values: Iterable[float | None]) -> float:
    """Of delays, infinite where half of the runs never found it."""
    return float(np.median([np.inf if value is None else value for value in values]))


def first(positions: Iterable[int], after: int = 0, until: float = np.inf) -> int | None:
    """How long after ``after`` the first of ``positions`` up to ``until`` is."""
    return next((p - after for p in positions if after < p <= until), None)


def _share(found: Iterable[object]) -> float:
    return float(np.mean([one is not None and one is not False for one in found]))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _cell(delays: list[int | None]) -> str:
    middle = median(delays)
    return f"{_share(delays):.2f}, {middle:g}" if np.isfinite(middle) else f"{_share(delays):.2f}, –"


def report_inputs(name: str, runs: list[dict[str, list[bool]]]) -> tuple[str, list[Figure]]:
    """A row of the table, and the figures, of one source."""
    figures, cells = [], [name]
    quiet = [alarm for run in runs for alarm in run["quiet"]]
    rate = 1000 * float(np.mean(quiet))
    cells.append(f"{rate:.2f}")
    budget = 1000 * (RULE.alpha + 2 * np.sqrt(RULE.alpha / len(quiet)))  # two standard errors aside
    figures.append(
        at_most(f"{name}, inputs: false alarms", rate, "per 1,000 quiet windows", round(budget, 2))
    )
    for kind in ("abrupt", "gradual", "incremental"):
        delays = [first(openings(run[kind])[0]) for run in runs]
        within = _share(first(openings(run[kind])[0], until=2) for run in runs)
        cells.append(_cell(delays))
        if kind == "abrupt":
            figures.append(at_least(f"{name}, inputs: abrupt found within 2", within, "share of runs", 0.95))
        figures.append(seen(f"{name}, inputs: {kind} found", _share(delays), "share of runs"))
        figures.append(seen(f"{name}, inputs: {kind}, median delay", _finite(median(delays)), "windows"))
    away, back = [], []
    for run in runs:
        opened, closed = openings(run["recurring"])
        away.append(first(closed, ON, ON + OFF))
        back.append(first(opened, ON + OFF))
    cells.append(f"{_cell(away)}; {_cell(back)}")
    figures.append(
        at_least(f"{name}, inputs: recurring, alert closed in between", _share(away), "share of runs", 0.95)
    )
    figures.append(seen(f"{name}, inputs: recurring, closed after", _finite(median(away)), "windows"))
    figures.append(seen(f"{name}, inputs: recurring, found again", _share(back), "share of runs"))
    figures.append(seen(f"{name}, inputs: recurring, found again after", _finite(median(back)), "windows"))
    for kind in sources.NO_DRIFT:
        alarms = sum(sum(run[kind]) for run in runs)
        clean = sum(sum(run[WITHOUT.format(kind)]) for run in runs)
        windows = SPOILT * len(runs)
        cells.append(f"{alarms} ({clean}) of {windows}")
        figures.append(at_most(f"{name}, inputs: {kind}, alarms", alarms, f"in {windows} windows", 0, clean))
    return "| " + " | ".join(cells) + " |", figures


def report_labels(name: str, found: Found) -> tuple[str, list[Figure]]:
    """A row of the table, and the figures, of one labelling."""
    errors = np.mean(found.errors, axis=0).tolist()
    figures = [
        seen(f"{name}: error of the {whose}", error, "share of rows")
        for whose, error in zip(MODELS, errors, strict=False)
    ]
    told = [f"{before:.2f} → {after:.2f}" for before, after in zip(errors[::2], errors[1::2], strict=True)]
    cells = [name, "; ".join(told)]
    quiet = found.runs.get("quiet")
    if quiet:
        alarms, rows = sum(map(len, quiet)), QUIET_LABELLED * len(quiet)
        cells.append(f"{10_000 * alarms / rows:.2f}")
        figures.append(
            seen(f"{name}: false alarms", 10_000 * alarms / rows, "per 10,000 quiet labelled rows")
        )
    else:
        cells.append("")
    for kind in ("abrupt", "gradual", "incremental"):
        if kind not in found.runs:
            cells.append("")
            continue
        delays = [first(run, LABELLED) for run in found.runs[kind]]
        middle = median(delays)
        cells.append(_cell(delays))
        figures.append(seen(f"{name}: {kind} found", _share(delays), "share of runs"))
        unit = "labelled rows"
        if kind == "abrupt":
            value = min(middle, float(CHANGED))  # half of the runs never: at least so long
            figures.append(at_most(f"{name}: abrupt, median delay", value, unit, 500))
        else:
            figures.append(seen(f"{name}: {kind}, median delay", _finite(middle), unit))
    if "recurring" in found.runs:
        turns = []
        for turn in range(3):
            start = LABELLED + turn * TURN
            turns.append([first(run, start, start + TURN) for run in found.runs["recurring"]])
            word = ("new labels", "the old again", "the new again")[turn]
            figures.append(seen(f"{name}: recurring, {word}: found", _share(turns[-1]), "share of runs"))
            figures.append(
                seen(
                    f"{name}: recurring, {word}: median delay",
                    _finite(median(turns[-1])),
                    "labelled rows",
                )
            )
        cells.append("; ".join(map(_cell, turns)))
    else:
        cells.append("")
    for kind in sources.NO_DRIFT:
        if kind not in found.runs:
            cells.append("")
            continue
        alarms, clean = (
            sum(at > LABELLED for run in found.runs[each] for at in run)
            for each in (kind, WITHOUT.format(kind))
        )
        rows, error = CHANGED * len(found.runs[kind]), float(np.mean(found.spoilt[kind]))
        cells.append(f"{alarms} ({clean}), {error:.2f}")
        figures.append(at_most(f"{name}: {kind}, alarms", alarms, f"in {rows:,} labelled rows", 0, clean))
        figures.append(seen(f"{name}: error with {kind}", error, "share of rows"))
    return "| " + " | ".join(cells) + " |", figures


def main() -> int:
    """Run; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--quiet", type=int, default=400, help="quiet windows a seed")
    parser.add_argument("--sources", nargs="+", choices=sources.SOURCES, default=list(sources.SOURCES))
    a = parser.parse_args()
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {line}", file=sys.stderr, flush=True)

    tables: tuple[list[str], list[str]] = ([], [])
    figures: list[Figure] = []

    def note(table: int, reported: tuple[str, list[Figure]]) -> None:
        tables[table].append(reported[0])
        figures.extend(reported[1])
        say(reported[0])

    for key in a.sources:
        source = sources.SOURCES[key]()
        say(f"{source.name}: inputs")
        note(0, report_inputs(source.name, [inputs_of(source, seed, a.quiet) for seed in range(a.seeds)]))
        labellings = [*source.labellings, *([sources.sea()] if key == "river" else [])]
        for labelling in labellings:
            found = Found()
            for seed in range(a.seeds):
                labels_of(labelling, seed, found)
            note(1, report_labels(labelling.name, found))
        if key == "river":
            found = Found()
            for seed in range(a.seeds):
                hyperplane_of(seed, found)
            note(1, report_labels("River: Hyperplane", found))
    print(f"\nInputs, {a.seeds} runs each: share found, windows until then at the median\n")
    print(
        "| source | alarms in 1,000 quiet windows | abrupt | gradual | incremental "
        "| recurring: closed in between; found again | alarms of outliers (of the same rows without) | of noise |"
    )
    print("|" + "---|" * 8)
    print("\n".join(tables[0]))
    print(f"\nLabelling, {a.seeds} runs each: share found, labelled rows until then at the median\n")
    print(
        "| labels | error of the old model, old → new labels; of the new model, new → old | alarms in 10,000 quiet rows | abrupt | gradual | incremental "
        "| recurring: new; old again; new again | alarms of outliers (of the same rows without), error with them | of noise |"
    )
    print("|" + "---|" * 9)
    print("\n".join(tables[1]))
    write("kinds", figures)
    say("done")
    return 0 if all(f.met is not False for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
