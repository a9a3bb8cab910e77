"""The train of events: what hangs together, in order, with reasons."""

from __future__ import annotations

from typing import Any

import told
from atalaia.watch.domain.chain import Chain
from atalaia.watch.domain.memory import Memories
from atalaia.watch.domain.trail import trail
from contracts.events import PromotionReviewed, TrainingRequested


def chains(*events: Any) -> list[Chain]:
    memories = Memories()
    for event in events:
        memories.take(event)
    return trail(memories.models["m"])


def steps(chain: Chain) -> list[tuple[int, str]]:
    return [(step.at // told.HOUR, step.what) for step in chain.steps]


def test_alert_training_refusal_and_promotion_are_one_chain() -> None:
    """From the alert to its end, in order of event time, each step with its reason and version."""
    newest, first = chains(
        told.installed(), told.alert("drift", 3), told.decision("started", 3), told.decision("refused", 3, "not better", "2"),
        told.decision("started", 5), told.decision("promoted", 5, "better", "3"), told.change("3", 5), told.alert("ok", 6),
    )  # fmt: skip
    assert steps(newest) == [
        (3, "alert"), (3, "training"), (3, "refused"), (5, "training"), (5, "promoted"), (6, "closed"),
    ]  # fmt: skip
    assert (newest.title, newest.since, newest.open) == (
        "The input temp looks different",
        2 * told.HOUR,
        False,
    )
    assert [(s.version, s.words) for s in newest.answers] == [("2", "Not better."), ("3", "Better.")]
    assert newest.came == "version 3 promoted"
    assert steps(first) == [(0, "installed")]


def test_what_came_of_an_alert_is_told_in_a_few_words() -> None:
    """An answer, else how it was closed, else that nothing was done."""
    real = told.alert("drift", 3, (), reason="ok -> drift: error 0.4 -> 0.6")
    assert chains(real)[0].came == "nothing was done so far"
    assert chains(real, told.decision("refused", 4, "no", "2"))[0].came == "version 2 refused"
    assert (
        chains(real, told.alert("ok", 5, reason="drift -> ok: version 2 serves"))[0].came
        == "closed: version 2 serves"
    )


def test_waiting_again_and_again_is_told_once() -> None:
    """Of decisions that wait for the same the last one is told; what comes between begins anew."""
    (chain,) = chains(
        told.alert("drift", 3), told.decision("waiting", 3, "waiting: 40 of 200 labelled rows"),
        told.decision("waiting", 4, "waiting: 90 of 200 labelled rows"), told.decision("started", 5),
        told.decision("failed", 5, "no"), told.decision("waiting", 6, "waiting: 90 of 112 labelled rows"),
    )  # fmt: skip
    assert steps(chain) == [(3, "alert"), (4, "waiting"), (5, "training"), (5, "failed"), (6, "waiting")]
    assert chain.steps[1].words == "90 of 200 labelled rows."


def test_an_automatic_rollback_belongs_to_the_promotion_it_undoes() -> None:
    """Review and rollback end the chain that promoted the version."""
    review = PromotionReviewed(
        model="m", version="2", previous_version="1", as_of=6 * told.HOUR, look=2, rows=900, metric="log_loss", metrics={},
        gain=-0.1, low=-0.2, high=-0.05, confidence=0.97, verdict="rolled_back", reason="log_loss 0.6 against 0.5",
    )  # fmt: skip
    (chain,) = chains(
        told.alert("drift", 3), told.decision("promoted", 4, "better", "2"), told.change("2", 4), review,
        told.change("1", 7, "rolled_back", "2", reason="worse in production"),
    )  # fmt: skip
    assert steps(chain) == [(3, "alert"), (4, "promoted"), (6, "does worse"), (7, "rolled back")]
    assert (chain.steps[-1].version, chain.steps[-1].words) == (
        "2",
        "By hand: worse in production; version 1 serves again.",
    )


def test_a_rollback_by_hand_and_a_training_asked_for_are_chains_of_their_own() -> None:
    """What no alert began has a chain too, with who asked and why."""
    request = TrainingRequested(
        request_id="r", model="m", since=None, reason="new labels", requested_by="Ana"
    )
    asked, rollback = chains(
        told.change("1", 2, "rolled_back", "9", reason="complaints"), request,
        told.decision("refused", 5, "not better", "4", alert_id="r", trigger="manual"),
    )  # fmt: skip
    assert asked.title == "A training that was asked for"
    assert [step.words for step in asked.steps] == ["New labels by Ana.", "Not better."]
    assert not asked.open
    assert (rollback.title, steps(rollback)) == ("Back to an earlier version", [(2, "rolled back")])


def test_an_answer_to_several_alerts_stands_in_each() -> None:
    """A promotion that answers two alerts ends both chains."""
    real = told.alert("drift", 4, (), alert_id="b", kind="real", reason="ok -> drift: error 0.4 -> 0.6")
    promoted = told.decision("promoted", 5, "better", "2", answers=["a", "b"])
    for chain in chains(told.alert("drift", 3), real, promoted):
        assert steps(chain)[-1] == (5, "promoted")


def test_a_decision_on_a_forgotten_alert_has_a_chain() -> None:
    """Whose alert is not remembered is shown all the same."""
    (chain,) = chains(told.decision("refused", 4, "not better", "2"))
    assert chain.title == "Alert a, raised before what is remembered"
