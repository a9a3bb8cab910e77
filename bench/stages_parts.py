"""Stages measured in this process, by the services' own domain code on encoded records: what a value, a pane, a window, a
label cost beside what is paid a record or a request. Processor time, the least of some repeats; no broker, no waiting.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import lz4.frame
import numpy as np
from contracts.codec import decode, encode
from contracts.events import ModelChanged, OutcomesJoined, PaneCounted, PredictionsMade
from drift_monitor.domain.columns import Reader, Record
from drift_monitor.domain.concept import Concept, Served
from drift_monitor.domain.detectors import make_detectors
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.panes import Counter, Position
from drift_monitor.domain.windows import Grid, Window
from drift_monitor.rules import rule_of
from results import Figure, seen
from servicekit.config import Settings
from summaries.profile import FieldSpec, Profile
from trainer.domain.ledger import Ledger

WINDOW = 3_600_000
GRID = Grid(0, WINDOW, WINDOW, 0)
VERSION = ("m", "1")
FEATURES = (11, 44)
PARTITIONS = (12, 96)
PANE_ROWS = 20_000  # a pane is measured as full as this
LABELS = 200_000
A_RECORD = 100  # rows of a record where nothing else is said


def least(work: Callable[[], Any], repeats: int = 5) -> float:
    """Microseconds of processor time, the least of ``repeats``: what others do to the machine only ever adds."""
    took = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return 1e6 * min(took)


def world(features: int, rows: int = 2_000) -> tuple[Profile, Callable[[int], dict[str, list[float]]]]:
    """A profile of so many normal features with four decimals, and columns like them."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(features)]

    def columns(n: int) -> dict[str, list[float]]:
        return {name: rng.normal(size=n).round(4).tolist() for name in names}

    reference, scores = columns(rows), rng.random(rows).round(4)
    profile = Profile.build(
        reference, [FieldSpec(name, "float32") for name in names],
        predictions=["yes" if s > 0.5 else "no" for s in scores],
        probabilities={"no": (1 - scores).round(4).tolist(), "yes": scores.tolist()},
        target="y", classes=["no", "yes"], task="classification",
    )  # fmt: skip
    return profile, columns


def prediction(columns: dict[str, list[float]], number: int, at: int = 0) -> tuple[bytes, Any]:
    """A record of ``predictions`` as it is on the topic: value and headers."""
    n = len(next(iter(columns.values())))
    score = np.random.default_rng(number).random(n).round(4)
    event = PredictionsMade(
        batch_id=f"{number:032x}", model="m", version="1", event_time=[1_700_000_000_000 + at] * n, features=columns,
        predictions=["yes" if s > 0.5 else "no" for s in score],
        probabilities={"no": (1 - score).round(4).tolist(), "yes": score.tolist()},
    )  # fmt: skip
    return encode(event, source="bench", ce_id=event.batch_id)


def _records(values: Sequence[tuple[bytes, Any]], first: int = 0, partition: int = 0) -> list[Record]:
    reader = Reader()
    return [
        Record(partition, first + i, reader.read(value, headers)) for i, (value, headers) in enumerate(values)
    ]


def _counter(partition: int = 0) -> Counter:
    counter = Counter(GRID)
    counter.take(partition, 0, Position(), ())
    return counter


def counting() -> list[Figure]:
    """What one value more in a record costs the monitor: decoding it and counting it into its cell."""
    a_row, read = {}, 0.0
    for features in FEATURES:
        profile, columns = world(features)
        values = [prediction(columns(1_000), n) for n in range(30)]

        def work(values: Any = values, profile: Profile = profile) -> None:
            _counter().absorb(_records(values), {VERSION: profile})

        a_row[features] = least(work) / (30 * 1_000)
        if features == FEATURES[0]:
            read = least(lambda values=values: _records(values)) / (30 * 1_000)
            written, packed = len(values[0][0]) / 1_000, len(lz4.frame.compress(values[0][0])) / 1_000
    few, many = FEATURES
    return [
        seen("monitor: a value of a row", (a_row[many] - a_row[few]) / (many - few), "us"),
        seen(f"monitor: a row of {few} features, in its process alone", a_row[few], "us"),
        seen(f"monitor: a row of {few} features, read from JSON, in its process alone", read, "us"),
        seen("predictions: of a row what lz4 leaves", packed / written, "share"),
    ]


def pane_of(features: int, partition: int = 0) -> tuple[Counter, Profile, PaneCounted]:
    """A pane of ``PANE_ROWS`` rows, and who counted it."""
    profile, columns = world(features)
    counter = _counter(partition)
    values = [prediction(columns(PANE_ROWS // 20), n) for n in range(20)]
    panes, _ = counter.absorb(_records(values, 0, partition), {VERSION: profile})
    return counter, profile, panes[-1]


def panes() -> list[Figure]:
    """What a touched pane costs who writes it and who decides, and its bytes."""
    figures = []
    for features in FEATURES:
        counter, profile, pane = pane_of(features)
        _, columns = world(features)
        singles = [_records([prediction(columns(1), 1_000 + n)], 1_000 + n) for n in range(100)]

        def written(counter: Counter = counter, profile: Profile = profile, singles: Any = singles) -> None:
            # Each repeat counts new records: these ones came before.
            for records in singles:
                for each in records:
                    counter._held[0].batches.pop(each.event.batch_id, None)
                counter._held[0].next_offset = 0
                for made in counter.absorb(records, {VERSION: profile})[0]:
                    encode(made, source="bench")

        value, headers = encode(pane, source="bench")
        owner = Owner("m", GRID, rule_of(Settings(), WINDOW), range(12))

        def read(owner: Owner = owner, value: bytes = value, headers: Any = headers) -> None:
            for _ in range(100):
                owner.replace(decode(PaneCounted, value, headers))

        figures += [
            seen(f"monitor: a pane written, {features} features", least(written) / len(singles), "us"),
            seen(f"owner: a pane read, {features} features", least(read) / 100, "us"),
            seen(
                f"panes: a record, {features} features", len(value) + sum(len(v) for _, v in headers), "bytes"
            ),
        ]
    return figures


def windows() -> list[Figure]:
    """What the owner does when a window is over: sums the panes of all partitions, tests, decides."""
    figures = []
    for features in FEATURES:
        _, profile, pane = pane_of(features)
        for partitions in PARTITIONS:
            owner = Owner("m", GRID, rule_of(Settings(), WINDOW), range(partitions))
            owner.changed(ModelChanged("m", "1", None, "installed", "", "", 0, ""))
            for partition in range(partitions):
                made = PaneCounted(
                    **{f: getattr(pane, f) for f in pane.__struct_fields__} | {"partition": partition}
                )
                owner.replace(made)
            window = Window(pane.pane_start, pane.pane_end)
            took = least(lambda o=owner, w=window, p=profile: o.decide(w, {"1": p}))
            figures.append(
                seen(f"owner: a window decided, {features} features, {partitions} partitions", took, "us")
            )
    return figures


def outcome(columns: dict[str, list[float]], number: int, until: int) -> tuple[bytes, Any]:
    """A record of ``outcomes``: labels of ``A_RECORD`` rows of different batches, known in [0, until)."""
    rng = np.random.default_rng(number)
    n = len(next(iter(columns.values())))
    score, times = rng.random(n).round(4), np.sort(rng.integers(0, until, n))
    event = OutcomesJoined(
        model="m", version="1",
        prediction_id=[f"{rng.integers(2**62):032x}.{row}" for row in range(n)],
        event_time=times.tolist(), label_time=times.tolist(), features=columns,
        predictions=["yes" if s > 0.5 else "no" for s in score],
        probabilities={"no": (1 - score).round(4).tolist(), "yes": score.tolist()},
        truth=["yes" if t else "no" for t in rng.random(n) < score],
        corrected_from=[None] * n, revision=[0] * n,
    )  # fmt: skip
    return encode(event, source="bench")


def labels() -> list[Figure]:
    """What a labelled row costs the two that are one process a model: the monitor's owner and the trainer."""
    _, columns = world(FEATURES[0])
    values = [outcome(columns(A_RECORD), n, WINDOW) for n in range(LABELS // A_RECORD)]
    made: list[Any] = []

    def concept() -> None:
        one = Concept("m", "adwin", make_detectors("adwin", 0.002))
        for offset, (value, headers) in enumerate(values):
            one.take(0, offset, decode(OutcomesJoined, value, headers))
        one.word(WINDOW)
        one.commit(one.decide(WINDOW, WINDOW, Served("1", "classification")))
        made[:] = [one]

    def ledger() -> None:
        one = Ledger()
        for value, headers in values:
            one.update(decode(OutcomesJoined, value, headers))
        made[:] = [one]

    figures = []
    for name, work in (("owner", concept), ("trainer", ledger)):
        took = least(work, 3)
        made.clear()
        gc.collect()
        tracemalloc.start()
        work()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        made.clear()
        figures += [
            seen(f"{name}: a labelled row", took / LABELS, "us"),
            seen(f"{name}: kept of a labelled row", kept / LABELS, "bytes"),
        ]
    return figures


def parts() -> list[Figure]:
    """All of them."""
    return [*counting(), *panes(), *windows(), *labels()]
