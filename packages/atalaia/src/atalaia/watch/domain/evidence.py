"""The figures behind a decision: who was compared with whom, which rows trained, and what a challenger must not do."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from contracts.events import CandidateTried, GuardrailSeen, PromotionReviewed, TrainingDecided

from atalaia.drift.explain import chance, when
from atalaia.drift.plots import number, share
from atalaia.watch.domain.quality import METRICS
from atalaia.watch.domain.words import lasting, metric_name

MOST_METRICS = 6
ENOUGH = 12  # of an id or a hash, to find it by
WHICH_ROWS, MUST_NOT = "Which rows trained it", "What it must not make worse"
RATIOS = ("latency", "size")
HELD = {True: "held", False: "✗ not held"}


class Evidence(msgspec.Struct, frozen=True):
    """A small table: ``rows`` [rows] of cells [columns], and a sentence to it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def evidence_of(d: TrainingDecided) -> list[Evidence]:
    """What a decision's record bears; nothing of one that has not trained yet."""
    if not (d.metrics or d.candidates):
        return []
    found = [_compared(d), _candidates(d), _guardrails(d.guardrails), _made(d)]
    return [table for table in found if table is not None]


def looked(review: PromotionReviewed) -> list[Evidence]:
    """The figures of a look at a promoted version."""
    names = _in_order({name for each in review.metrics.values() for name in each})
    if not names:
        return []
    now, was = (review.metrics.get(who, {}) for who in ("promoted", "predecessor"))
    interval = f"{signed(review.low)} to {signed(review.high)} with {share(review.confidence)} confidence"
    return [
        Evidence(
            f"Version {review.version} against version {review.previous_version}",
            ["", f"version {review.version}", f"version {review.previous_version}"],
            [[metric_name(name), _figure(now.get(name)), _figure(was.get(name))] for name in names],
            f"On {review.rows:,} rows that version {review.version} has served. Gain in {metric_name(review.metric)} "
            f"{signed(review.gain)}, {interval}.",
        )
    ]


def signed(value: float) -> str:
    """A figure with its sign.

    >>> signed(0.02), signed(-0.1)
    ('+0.02', '-0.1')
    """
    return f"{'+' if value > 0 else ''}{number(round(value, 4))}"


def _compared(d: TrainingDecided) -> Evidence | None:
    champion, challenger = (d.metrics.get(who, {}) for who in ("champion", "challenger"))
    names = _in_order({*champion, *challenger})
    if not names:
        return None
    if "shadow" in d.rows:
        on = (
            f"On {d.rows['shadow']:,} rows of live traffic that version {d.challenger_version} scored unseen."
        )
    else:
        held_out = f"{d.rows['holdout']:,} " if "holdout" in d.rows else ""
        on = f"On {held_out}held-out rows that neither was trained on."
    gain = "" if d.gain is None else f" Gain {signed(d.gain)}"
    gain += "" if d.p_value is None or not gain else f", p = {chance(d.p_value)}"
    return Evidence(
        f"Version {d.challenger_version} against version {d.champion_version}",
        ["", f"version {d.challenger_version}", f"version {d.champion_version}"],
        [[metric_name(name), _figure(challenger.get(name)), _figure(champion.get(name))] for name in names],
        f"{on}{gain}{'.' if gain else ''}",
    )


def _candidates(d: TrainingDecided) -> Evidence | None:
    if not d.candidates:
        return None
    metrics = _in_order({name for each in d.candidates.values() for name in each.metrics})[:1]
    rows = [
        [
            f"✓ {name}" if name == d.chosen else name,
            f"{each.rows:,}",
            *(_figure(each.metrics.get(m)) for m in metrics),
            _weights(each),
        ]
        for name, each in sorted(d.candidates.items(), key=_most_data_first)
    ]
    note = []
    if len(rows) > 1:
        note.append("In this order the first is taken than which no other is better beyond chance.")
    if d.duplicates:
        note.append(f"{d.duplicates:,} rows that equal held-out ones were left out.")
    if d.unlabelled:
        note.append(f"{d.unlabelled:,} rows of that time have no label.")
    columns = ["selection of rows", "rows", *(f"{metric_name(m)}, held out" for m in metrics), "which"]
    return Evidence(WHICH_ROWS, columns, rows, " ".join(note))


def _most_data_first(candidate: tuple[str, CandidateTried]) -> tuple[int, bool]:
    return -candidate[1].rows, candidate[1].half_life_ms is not None


def _weights(each: CandidateTried) -> str:
    of = f"since {when(each.since)}" if each.since is not None else "from the beginning"
    return f"{of}, weights halved each {lasting(each.half_life_ms)}" if each.half_life_ms else of


def _guardrails(guardrails: dict[str, GuardrailSeen]) -> Evidence | None:
    if not guardrails:
        return None
    rows = [
        [
            name,
            _moved(name, g.seen),
            f"{'up' if name in RATIOS else 'down'} to {_moved(name, g.limit)}",
            HELD[g.held],
        ]
        for name, g in guardrails.items()
    ]
    return Evidence(MUST_NOT, ["", "change", "allowed", ""], rows)


def _moved(name: str, value: float) -> str:
    """Costs by a factor; of recall the share that is won, where the record says what is lost.

    >>> _moved("latency", 1.104), _moved("recall of late", -0.04), _moved("recall of late", 0.9)
    ('×1.1', '+4%', '-90%')
    """
    return f"×{number(round(value, 2))}" if name in RATIOS else f"{round(-100 * value):+d}%"


def _made(d: TrainingDecided) -> Evidence | None:
    counts = ", ".join(f"{name} {n:,}" for name, n in d.classes.items())
    rows = [
        ["labelled since the change", counts],
        ["trained on, held out", _rows(d.rows)],
        ["took", _seconds(d.seconds)],
        ["attempt", str(d.attempt) if d.attempt and d.attempt > 1 else ""],
        ["MLflow run", (d.mlflow_run_id or "")[:ENOUGH]],
        ["DVC revision", (d.dvc_revision or "")[:ENOUGH]],
        ["data, sha256", (d.data_sha256 or "")[:ENOUGH]],
    ]
    rows = [row for row in rows if row[1]]
    return Evidence("How it was made", [], rows) if rows else None


def _rows(rows: dict[str, int]) -> str:
    named = [f"{rows[name]:,}" for name in ("train", "holdout") if name in rows]
    return " and ".join(named) + " rows" if named else ""


def _seconds(seconds: dict[str, float]) -> str:
    """How long it took in all, and each step.

    >>> _seconds({"snapshot": 0.4, "train": 8.1})
    '8.5 s: snapshot 0.4 s, train 8.1 s'
    """
    if not seconds:
        return ""
    steps = ", ".join(f"{name} {number(round(s, 1))} s" for name, s in seconds.items())
    return f"{number(round(sum(seconds.values()), 1))} s: {steps}"


def _in_order(names: Iterable[str]) -> list[str]:
    found = set(names)
    known = [name for name in METRICS if name in found]
    return [*known, *sorted(found.difference(known))][:MOST_METRICS]


def _figure(value: float | None) -> str:
    return "" if value is None else number(round(value, 4))
