"""The figures at a glance: whose they are, how they stand to what is usual, and what came of trainings."""

from __future__ import annotations

from typing import Any

import pytest
import told
from atalaia.watch.domain.facts import Fact
from atalaia.watch.domain.memory import Memories
from atalaia.watch.domain.view import view

PROMOTED = [told.installed(), told.won("promoted", 4), told.change("2", 4)]


def glance(*events: Any) -> list[Fact]:
    memories = Memories()
    for event in events:
        memories.take(event)
    return view(memories.models["m"]).facts


def quality(*events: Any) -> Fact:
    (found,) = (fact for fact in glance(*events) if "accuracy" in fact.value + fact.label)
    return found


def test_what_drifted_says_how_it_stands() -> None:
    """Quiet inputs and outputs look as they should; those that drifted are an alarm, in words as well."""
    quiet = glance(told.installed(), told.window(1))[1]
    assert (quiet.value, quiet.state, quiet.tone) == ("0 of 3 drifted", "they look as they should", "good")
    drifted = glance(told.installed(), told.window(1, ("temp",)))[1]
    assert (drifted.value, drifted.state, drifted.tone) == ("1 of 3 drifted", "they look different", "alarm")
    assert drifted.label == "inputs and outputs, window to 1970-01-01 01:00 (500 rows)"


@pytest.mark.parametrize(
    ("newest", "state", "tone"),
    [
        (0.81, "was 0.8 in the 4 windows before", "good"),
        (0.79, "was 0.8 in the 4 windows before; may be chance", "none"),
        (0.7, "worse: was 0.8 in the 4 windows before", "wait"),
    ],
)
def test_quality_stands_beside_what_is_usual(newest: float, state: str, tone: str) -> None:
    """The median of the windows before is what is usual; worse is what lies below it with its whole interval."""
    fact = quality(
        told.installed(), *(told.quality(at, 0.8) for at in range(1, 5)), told.quality(5, newest, 0.78)
    )
    assert (fact.value, fact.state, fact.tone) == (f"{newest} accuracy", state, tone)
    assert fact.label == "90% of rows labelled, window to 1970-01-01 05:00; guess before the labels 0.78"


def test_what_is_usual_is_from_before_the_alert() -> None:
    """Windows since the change are not what is usual, and with an alert of labels a worse figure is an alarm."""
    falls = [*(told.quality(at, 0.8) for at in range(1, 5)), *(told.quality(at, 0.5) for at in range(5, 10))]
    real = told.alert("drift", 6, (), since=4, kind="real", reason="ok -> drift: error 0.2 -> 0.5")
    fact = quality(told.installed(), *falls, real)
    assert (fact.state, fact.tone) == ("worse: was 0.8 in the 4 windows before", "alarm")


def test_less_is_better_of_a_loss() -> None:
    """A loss that rises beyond its interval is worse, one that falls is not."""
    losses = [
        told.quality(at, 0, metrics={"log_loss": loss}, intervals={"log_loss": (loss - 0.1, loss + 0.1)})
        for at, loss in enumerate((0.4, 0.4, 0.4, 0.9), start=1)
    ]
    assert glance(told.installed(), *losses)[1].state == "worse: was 0.4 in the 3 windows before"


def test_a_new_version_is_held_against_its_challenge() -> None:
    """With too few windows of its own what it did when it was chosen is what is usual."""
    fact = quality(*PROMOTED, told.quality(5, 0.6, version="2"))
    assert (fact.state, fact.tone) == ("worse: was 0.92 before its promotion", "wait")


def test_figures_of_a_replaced_version_say_whose_they_are() -> None:
    """Where the version that serves has none of its own that is the figure, and the last one's stands behind it."""
    old = (told.window(5, ("temp",), "2"), told.quality(5, 0.6, version="2"))
    served, drifted, was, trained = glance(*PROMOTED, *old, told.change("1", 6, "rolled_back", "2"))
    assert served.label == "serves again since 1970-01-01 06:00 UTC"
    assert drifted.value == "version 1: not judged yet"
    assert (
        drifted.label == "version 2, replaced: 1 of 3 inputs and outputs drifted, window to 1970-01-01 05:00"
    )
    assert (was.value, was.tone) == ("version 1: no labels yet", "")
    assert was.label == "version 2, replaced: 0.6 accuracy, window to 1970-01-01 05:00"
    assert (trained.value, trained.label) == ("1 retraining", "promoted, then rolled back")


def test_figures_from_before_it_came_back_are_not_what_it_does_now() -> None:
    """A version that came back and was the last to be judged has not been judged since."""
    back = [told.change("2", 4), told.change("1", 6, "rolled_back", "2")]
    drifted = glance(told.installed(), told.window(3), *back)[1]
    assert drifted.value == "version 1: not judged yet"
    assert drifted.label.startswith("before it was replaced and came back: 0 of 3")


def test_retrainings_are_counted_by_how_they_ended() -> None:
    """A promotion that was undone does not read as success."""
    ended = [
        told.decision("refused", 5, version="3"),
        told.decision("failed", 6),
        told.decision("promoted", 8, version="5"),
    ]
    fact = glance(*PROMOTED, *ended, told.change("1", 7, "rolled_back", "2"))[-1]
    assert (fact.value, fact.label) == (
        "4 retrainings",
        "2 promoted (1 rolled back since); 1 refused; 1 failed",
    )
    assert glance(*PROMOTED)[-1].label == "promoted"
