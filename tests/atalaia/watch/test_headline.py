"""The first line, for each way a model can be."""

from __future__ import annotations

from typing import Any

import told
from atalaia.watch.domain.headline import Headline, headline
from atalaia.watch.domain.memory import Memories
from atalaia.watch.domain.trail import trail
from contracts.events import ReferenceAccepted


def said(*events: Any, at: int = 0, clock: int = 0) -> Headline:
    memories = Memories()
    for event in events:
        memories.take(event, at)
    memory = memories.models["m"]
    return headline(memory, trail(memory), clock)


DRIFTED = [
    told.installed(),
    told.window(1),
    told.window(2),
    told.window(3, ("temp", "origin")),
    told.alert("drift", 3, ("temp", "origin")),
]


def test_a_steady_model_says_that_nothing_is_wrong() -> None:
    """Quiet windows and no alert: nothing is wrong, and nothing was needed."""
    head = said(told.installed(), told.window(1), told.window(2))
    assert (head.tone, head.state) == ("good", "Steady")
    assert (
        head.now
        == "Nothing is wrong: what m version 1 sees and says looks like the rows that it was trained and tested on."
    )
    assert head.since.startswith("1970-01-01 00:00 UTC")
    assert (head.need, head.done) == ("Nothing.", "Nothing was done: nothing was needed.")


def test_a_model_of_which_nothing_is_heard_is_not_steady() -> None:
    """Three windows' time without a report: nobody knows how it is now, and what was known stands behind it."""
    heard = 1_000 * told.HOUR
    steady = [told.installed(), told.window(1), told.window(2)]
    assert said(*steady, at=heard, clock=heard + 3 * told.HOUR).state == "Steady"
    head = said(*steady, at=heard, clock=heard + 4 * told.HOUR)
    assert (head.tone, head.state) == ("wait", "No reports")
    assert head.now == "No window has been reported for 4 hours; one is due every 60 minutes."
    assert head.more.startswith(
        "How m does now is not known. The last known (window to 1970-01-01 02:00): Nothing is wrong: what m version 1 sees"
    )
    assert head.since == "1970-02-11 16:00 UTC, when the last report came."
    assert head.done == (
        "About this silence nothing is done by itself.\nBefore it: Nothing was done: nothing was needed."
    )
    assert head.need == (
        "Look whether requests come and the drift-monitor runs: docs/runbooks.md, WindowsUndecided."
    )


def test_an_alert_goes_before_the_silence_after_it() -> None:
    """What is wrong stays what is wrong; that nothing was heard since is told beside it."""
    heard = 1_000 * told.HOUR
    head = said(*DRIFTED, at=heard, clock=heard + 48 * told.HOUR)
    assert (head.tone, head.state, head.kind) == ("alarm", "Drift", "virtual")
    assert head.more.endswith(
        "No window has been reported for 2 days; one is due every 60 minutes. What is said here is of before that."
    )


def test_short_windows_are_given_ten_minutes() -> None:
    """A window is reported some time after its end, however short it is."""
    minute = told.window(1, window_start=0, window_end=60_000)
    assert said(told.installed(), minute, at=1, clock=600_001).state != "No reports"
    assert said(told.installed(), minute, at=1, clock=600_002).state == "No reports"


def test_an_open_alert_names_what_drifted_since_when_and_that_nothing_was_done() -> None:
    """An alert without a decision answers all three questions."""
    head = said(*DRIFTED)
    assert (head.tone, head.state) == ("alarm", "Drift")
    assert (
        head.now
        == "The inputs origin and temp have changed: they no longer look like the rows that version 1 of m was trained and tested on."
    )
    assert head.since == "1970-01-01 02:00 UTC, for 60 minutes up to the newest window."
    assert head.done == "Nothing was done about it yet."
    assert head.need.startswith("Nothing yet: the trainer decides by itself")
    assert head.more == "2 of 3 inputs and outputs have drifted in the newest window."


def test_what_has_drifted_since_is_told_beside_what_began_it() -> None:
    """The sentence names what raised the alert; how many there are by now stands behind it, and half hours are told."""
    three = told.window(
        5, ("temp", "origin", "prediction:late"), window_start=4 * told.HOUR, window_end=9 * told.HOUR // 2
    )
    head = said(*DRIFTED, three)
    assert head.now.startswith("The inputs origin and temp changed first: they no longer look like")
    assert head.more == "By now 3 of 3 inputs and outputs have drifted in the newest window."
    assert head.since == "1970-01-01 02:00 UTC, for 2.5 hours up to the newest window."


def test_what_was_done_follows_the_decisions() -> None:
    """Waiting, running, refused: each is told with its reason, and that a refusal is not the end."""
    assert (
        "No training yet: the trainer waits for labels, 40 of 200 labelled rows."
        in said(
            *DRIFTED, told.decision("waiting", 3, "waiting: 40 of 200 labelled rows (x)", waits_for="rows")
        ).done
    )
    assert (
        "A training runs since 1970-01-01 04:00 (240 labelled rows)."
        in said(*DRIFTED, told.decision("started", 4, "training: 240 labelled rows")).done
    )
    refused = said(
        *DRIFTED,
        told.decision("started", 4),
        told.decision("refused", 4, "not better: 0.5 against 0.6 (p = 1)", "2"),
    )
    assert refused.done == (
        "Version 2 was refused on 1970-01-01 04:00 (not better: 0.5 against 0.6)."
    )  # fmt: skip
    assert refused.need == "Nothing: the trainer tries again by itself once more rows are labelled."


def test_many_refusals_are_counted() -> None:
    """Of many trainings that came to nothing the last is told, the others are counted."""
    refusals = [told.decision("refused", at, f"not better {at}", str(at)) for at in range(4, 9)]
    done = said(*DRIFTED, *refusals).done
    assert done.startswith(
        "4 trainings came to nothing.\nVersion 8 was refused on 1970-01-01 08:00 (not better 8)."
    )
    assert "Version 5" not in done


def test_a_version_that_has_just_taken_over_is_not_called_well() -> None:
    """After a promotion and before its first judged window the drift it answers is told, and that it is not judged yet."""
    head = said(
        *DRIFTED,
        told.decision("promoted", 4, "better: 0.7 against 0.5", "2"),
        told.change("2", 4),
        told.empty(5, "2"),
    )
    assert (head.tone, head.state) == ("wait", "Replaced, not judged yet")
    assert head.now.startswith("The inputs origin and temp drifted; version 2 of m has taken over")
    assert "1970-01-01 02:00 UTC" in head.since
    assert head.done == (
        "Promoted 1970-01-01 04:00 UTC: 0.7 against 0.5.\n"
        "Review so far: too few rows of version 2 are labelled for a look at it."
    )
    assert head.phase == "under review"


def test_a_steady_version_says_how_it_came_to_serve() -> None:
    """When the new version is steady, its promotion and its review are a line each, and nothing else is told."""
    promoted = [
        told.decision("promoted", 4, "better", "2"),
        told.change("2", 4),
        told.alert("ok", 5),
        told.window(5, version="2"),
    ]
    head = said(*DRIFTED, *promoted)
    assert head.state == "Steady"
    assert head.since == "1970-01-01 04:00 UTC, when version 2 took over."
    assert head.done.splitlines() == [
        "Promoted 1970-01-01 04:00 UTC: better.",
        "Review so far: too few rows of version 2 are labelled for a look at it.",
    ]
    refused = [*DRIFTED, told.decision("refused", 4, "not better", "2"), told.alert("ok", 5), told.window(5)]
    assert said(*refused).done.splitlines() == [
        "Nothing since. The last time (the inputs origin and temp look different, since 1970-01-01 02:00 UTC):",
        "Version 2 was refused on 1970-01-01 04:00 (not better).",
    ]


def test_concept_drift_comes_before_drift_of_inputs() -> None:
    """Of two open alerts the graver is the first sentence, the other is told too."""
    real = told.alert(
        "drift",
        4,
        (),
        alert_id="b",
        kind="real",
        reason="ok -> drift: error 0.4 -> 0.6 over 193 labelled rows; virtual too (x)",
    )
    head = said(*DRIFTED, real)
    assert head.state == "Concept drift"
    assert (
        head.now
        == "Version 1 of m makes more errors than it did: the same inputs mean something else now (error 0.4 -> 0.6 over 193 labelled rows)."
    )
    assert head.more == (
        "Its inputs or outputs no longer look as they did either. "
        "2 of 3 inputs and outputs have drifted in the newest window: the inputs origin and temp."
    )


def test_quiet_again_is_not_over() -> None:
    """An alert that has recovered is still open, and said to be so."""
    head = said(*DRIFTED, told.alert("recovered", 4), told.window(4, state="recovered", alert_id="a"))
    assert (head.tone, head.state) == ("wait", "Quiet again")
    assert "the alert is closed" in head.more


def test_a_warning_is_no_alert() -> None:
    """A drifted window that has not raised an alert yet is a warning."""
    head = said(told.installed(), told.window(1), told.window(2, ("temp",), state="warning", alert_id=None))
    assert (head.tone, head.state) == ("wait", "Warning")
    assert head.now == "The input temp of m version 1 drifted in the newest window."


def test_a_rollback_is_told_with_its_reason() -> None:
    """The version that was rolled back is named, and why; what comes next comes by itself."""
    head = said(
        told.installed(),
        told.change("2", 4),
        told.window(5, version="2"),
        told.change("1", 6, "rolled_back", "2", reason="complaints"),
    )
    assert head.state == "Rolled back"
    assert head.now == "Version 2 was rolled back by hand; version 1 of m serves again, not yet judged."
    assert head.need.startswith(
        "Nothing: if version 1 raises an alert again, a new training starts by itself"
    )
    assert head.since == "1970-01-01 06:00 UTC, when version 1 came back."
    assert head.done.endswith(
        "Version 2 was rolled back by hand on 1970-01-01 06:00 (complaints; version 1 serves again)."
    )


def test_an_accepted_reference_is_an_answer() -> None:
    """A person's acceptance is what was done, with who said so."""
    accepted = ReferenceAccepted(
        model="m", version="1", alert_id="a", since=2, until=3, effective_from=4 * told.HOUR, rows=3, counts={},
        reason="winter has come", accepted_by="Ana",
    )  # fmt: skip
    assert "accepted by Ana: winter has come." in said(*DRIFTED, accepted).done


def test_too_few_rows_are_told_and_not_taken_for_quiet() -> None:
    """A newest window of too few rows is said; what was judged before still holds."""
    head = said(told.installed(), told.window(1), told.empty(2, rows=8))
    assert head.state == "Steady"
    assert head.more == "The newest window has 8 rows, too few to be judged."


def test_labels_that_are_worse_than_estimated_are_said_before_there_is_an_alert() -> None:
    """Two windows whose intervals lie on the wrong side of their estimates stand beside quiet inputs, whichever way is worse."""
    quiet = [told.installed(), told.window(1), told.window(2), told.quality(1, 0.7, 0.9)]
    assert said(*quiet, told.quality(2, 0.6, 0.9)).more == (
        "The two newest windows with labels did worse than estimated, the last with accuracy 0.6 against 0.9; "
        "there is no alert of it."
    )
    for calm in (told.quality(2, 0.9, 0.7), told.quality(2, 0.7, 0.71), told.quality(2, 0.7)):
        assert said(*quiet, calm).more == "", "one window is chance"
    loss = {
        "metrics": {"log_loss": 0.7},
        "intervals": {"log_loss": (0.6, 0.8)},
        "estimated": {"log_loss": 0.3},
    }
    assert "log loss 0.7 against 0.3" in said(*quiet, *(told.quality(at, 0, **loss) for at in (1, 2))).more


def test_a_model_without_a_judged_window_is_not_judged_yet() -> None:
    """An installed version alone is neither well nor ill."""
    assert said(told.installed()).state == "Not judged yet"
    assert said(told.decision("refused", 4)).state == "Nothing yet"
