"""What is not over yet: a winner in shadow or before a person, a promotion under review, a rollback; and whose turn it is."""

from __future__ import annotations

from typing import Any

import pytest
import told
from atalaia.watch.domain.answers import Headline
from atalaia.watch.domain.chain import Chain
from atalaia.watch.domain.choosing import choices
from atalaia.watch.domain.duty import REVIEW_ROWS
from atalaia.watch.domain.headline import headline
from atalaia.watch.domain.memory import Memories
from atalaia.watch.domain.trail import trail
from contracts.events import TrainingRequested
from servicekit.config import Settings

ASKS = "waiting for approval: better: accuracy 0.92 against the champion's 0.52 on 172 unseen rows (McNemar p = 0.0001)"
SHADOWS = (
    "waiting: no answers yet, 0 of 200 labelled rows of live traffic in shadow; "
    "better: accuracy 0.92 against the champion's 0.52 on 172 unseen rows (McNemar p = 0.0001)"
)
DRIFTED = [
    told.installed(),
    told.window(1),
    told.window(3, ("temp",)),
    told.alert("drift", 3),
    told.decision("started", 4),
]
PROMOTED = [
    *DRIFTED, told.won("promoted", 4), told.change("2", 4), told.alert("ok", 5, reason="drift -> ok: version 2 serves"),
    told.window(5, version="2"),
]  # fmt: skip
WORSE = told.look(7, "rolled_back", 2)
BACK = told.change("1", 7, "rolled_back", "2", reason=WORSE.reason)


def shown(*events: Any) -> tuple[Headline, list[Chain]]:
    memories = Memories()
    for event in events:
        memories.take(event)
    memory = memories.models["m"]
    found = trail(memory)
    return headline(memory, found), found


def steps(chain: Chain) -> list[tuple[int, str]]:
    return [(step.at // told.HOUR, step.what) for step in chain.steps]


def test_rows_that_are_waited_for_are_counted() -> None:
    """143 of about 400 is said in the first line, as a share that can be drawn, and in the train of events."""
    waits = told.decision(
        "waiting", 3, "waiting: 143 of about 400 labelled rows since the change point (up to then), real drift",
        waits_for="rows", rows={"labelled": 143, "needed": 400},
    )  # fmt: skip
    head, (chain, _) = shown(*DRIFTED[:-1], waits)
    assert (head.phase, head.progress) == ("waiting for labels", (143, 400))
    assert (
        head.done
        == "No training yet: the trainer waits for labels, 143 of about 400 labelled rows since the change."
    )
    assert head.need == "Nothing: a training starts by itself at 400 labelled rows (143 now)."
    assert chain.steps[-1].progress == (143, 400)
    assert chain.came == "waiting for labels"


def test_a_shadow_period_stands_before_the_wait_for_a_person() -> None:
    """Both are steps of their run; what the record's beginning said of rows is not taken for what they are now."""
    shadow = told.won("waiting", 4, waits_for="shadow", reason=SHADOWS)
    head, (chain, _) = shown(*DRIFTED, shadow)
    assert head.phase == "a winner is tried on live traffic"
    assert head.turn is None
    assert head.done == (
        "Version 2 was trained and did better (accuracy 0.92 against version 1's 0.52 on 172 unseen rows); "
        "since 1970-01-01 04:00 UTC it scores live traffic unseen, until 200 of these rows are labelled."
    )
    asks = told.won("waiting", 6, waits_for="approval", reason=ASKS)
    _, (chain, _) = shown(*DRIFTED, shadow, asks)
    assert steps(chain) == [(3, "alert"), (4, "training"), (4, "in shadow"), (6, "waiting for approval")]


def test_a_winner_that_waits_says_which_command_answers_it() -> None:
    """The first line names the version, since when it waits, and the commands, with a model's name as a shell needs it."""
    asks = told.won("waiting", 4, waits_for="approval", reason=ASKS)
    head, (chain, _) = shown(*DRIFTED, asks)
    assert (head.state, head.phase) == ("Drift", "a winner waits for approval")
    assert head.turn is not None
    assert (
        head.need
        == head.turn.words
        == ("Version 2 waits for your approval since 1970-01-01 04:00 UTC; version 1 serves until then.")
    )
    assert [command.line for command in head.turn.commands] == [
        "atalaia approve m", 'atalaia approve m --reason "..."', 'atalaia refuse m --reason "..."',
    ]  # fmt: skip
    later, _ = shown(*DRIFTED, told.window(9), asks)
    assert "since 1970-01-01 04:00 UTC (5 hours so far);" in later.need
    assert chain.came == "version 2 waiting for approval"
    memories = Memories()
    memories.take(told.won("waiting", 4, waits_for="approval", model="m; rm -rf ~"))
    (memory,) = memories.models.values()
    turn = headline(memory, trail(memory)).turn
    assert turn is not None
    assert turn.commands[1].line == "atalaia approve 'm; rm -rf ~' --reason \"...\""


def test_a_winner_of_a_steady_model_waits_too() -> None:
    """A training by the schedule that has won is a person's turn, though nothing is wrong; the list of models says so."""
    asks = told.won(
        "waiting", 2, waits_for="approval", trigger="schedule", alert_id="m/schedule/2", reason=ASKS
    )
    events = [told.installed(), told.window(1), told.window(2), asks]
    head, _ = shown(*events)
    assert (head.state, head.phase, head.tone) == ("Steady", "a winner waits for approval", "wait")
    assert head.done.startswith(
        "Version 2 was trained and did better (accuracy 0.92 against version 1's 0.52"
    )
    memories = Memories()
    for event in events:
        memories.take(event)
    assert choices(memories)[0].state == "Steady, your turn"


def test_a_word_stands_between_the_wait_and_its_end() -> None:
    """What a person said comes before the promotion that heeds it, though both are of one moment; then it is nobody's turn."""
    asks = told.won("waiting", 4, waits_for="approval", reason=ASKS)
    head, (chain, _) = shown(*DRIFTED, asks, told.word())
    assert (head.turn, head.phase) == (None, "a winner is approved")
    assert head.done == "Version 2 was approved by Ana: read it; the trainer has not acted on it yet."
    end = told.won("promoted", 4, reason="approved by Ana: read it; better")
    for events in ((asks, told.word(), end), (asks, end, told.word())):
        _, (chain, _) = shown(*DRIFTED, *events)
        assert [what for _, what in steps(chain)][-3:] == ["waiting for approval", "approved", "promoted"]
    assert chain.came == "version 2 promoted"


def test_a_refusal_in_shadow_is_told() -> None:
    """A person may end a shadow period: the word is a step, and so is the refusal that heeds it."""
    shadow = told.won("waiting", 4, waits_for="shadow", reason=SHADOWS)
    no = told.word(approved=False, reason="unfair")
    _, (chain, _) = shown(
        *DRIFTED, shadow, no, told.won("refused", 5, reason="refused by Ana: unfair; better")
    )
    assert steps(chain)[-2:] == [(4, "not approved"), (5, "refused")]


def test_a_figure_is_shown_once_where_it_was_said_last() -> None:
    """Which rows trained, the comparison and the guardrails stand at the end of a run; a second challenge has its own."""
    shadow = told.won("waiting", 4, waits_for="shadow", reason=SHADOWS)
    again = {"champion": {"accuracy": 0.5}, "challenger": {"accuracy": 0.9}}
    end = told.won("promoted", 6, metrics=again, rows={"shadow": 390}, reason="in shadow better")
    _, (chain, _) = shown(*DRIFTED, shadow, end)
    first, last = (next(s for s in chain.steps if s.what == what) for what in ("in shadow", "promoted"))
    titles = [
        "Version 2 against version 1",
        "Which rows trained it",
        "What it must not make worse",
        "How it was made",
    ]
    assert [table.title for table in last.evidence] == titles
    assert "Which rows trained it" not in [table.title for table in first.evidence]
    assert (
        first.evidence[0].note == "On 172 held-out rows that neither was trained on. Gain +0.4, p = 0.0001."
    )
    assert last.evidence[0].note.startswith("On 390 rows of live traffic that version 2 scored unseen.")


def test_which_rows_trained_and_why_is_a_table() -> None:
    """Each selection with its rows, its weights and how it did; the chosen one is marked, what was left out is counted."""
    _, (chain, _) = shown(*DRIFTED, told.won("refused", 4))
    rows = chain.steps[-1].evidence[1]
    assert rows.columns == ["selection of rows", "rows", "accuracy, held out", "which"]
    assert rows.rows == [
        ["all", "5,618", "0.56", "from the beginning"],
        ["weighted by recency", "5,618", "0.61", "from the beginning, weights halved each 9 hours"],
        ["✓ since the change", "515", "0.92", "since 1970-01-01 02:00"],
    ]
    assert rows.note == (
        "In this order the first is taken than which no other is better beyond chance. "
        "3 rows that equal held-out ones were left out. 120 rows of that time have no label."
    )
    assert chain.steps[-1].evidence[2].rows[0] == ["recall of late", "+4%", "down to -90%", "held"]


@pytest.mark.parametrize(
    ("looks", "phase", "done"),
    [
        (
            [],
            "under review",
            "Review so far: too few rows of version 2 are labelled for a look at it.",
        ),
        (
            [told.look(6)],
            "under review",
            "Review so far: undecided. Accuracy 0.7000 on the 400 rows that version 2 has served; "
            "on the same rows version 1 would have scored 0.6000.",
        ),
        (
            [told.look(6), told.look(7, "kept", 2)],
            "",
            "Kept 1970-01-01 07:00 UTC: accuracy 0.7000 on the 400 rows that version 2 has served; "
            "on the same rows version 1 would have scored 0.6000.",
        ),
    ],
)
def test_a_promotion_is_under_review_until_it_is_kept(looks: list[Any], phase: str, done: str) -> None:
    """A steady new version is not called settled before its review is over; the newest look is told."""
    head, chains = shown(*PROMOTED, *looks)
    assert (head.tone, head.state, head.phase) == ("good", "Steady", phase)
    promotion, review = head.done.splitlines()
    assert (
        promotion
        == "Promoted 1970-01-01 04:00 UTC: accuracy 0.92 against version 1's 0.52 on 172 unseen rows."
    )
    assert review == done
    if phase:
        assert head.need.startswith("Nothing: the review ends by itself.")
        assert f"at {REVIEW_ROWS:,} labelled rows" in head.need
    else:
        assert head.need == "Nothing."
    if looks:
        assert chains[0].came == f"version 2 promoted, {phase or 'kept'}"


def test_a_review_ends_where_the_settings_say() -> None:
    """The rows at which a review ends unless it is told otherwise are those of the trainer's setting."""
    assert Settings.model_fields["review_rows"].default == REVIEW_ROWS


def test_a_version_that_does_worse_and_serves_on_is_an_alarm() -> None:
    """Where nothing rolls it back by itself, the first line says so, and which command does."""
    head, _ = shown(*PROMOTED, WORSE)
    assert (head.tone, head.state) == ("alarm", "Worse than the one before")
    assert head.now == (
        "Version 2 of m does worse than version 1 would: accuracy 0.5000 on the 400 rows that version 2 has served; "
        "on the same rows version 1 would have scored 0.6000."
    )
    assert head.turn is not None
    assert [c.line for c in head.turn.commands] == ['atalaia model rollback m --reason "..."']


def test_a_rollback_by_itself_is_told_with_what_the_review_saw() -> None:
    """Who was rolled back, since when, why, and that nobody did it; the old windows of the version before say nothing."""
    head, (chain, _) = shown(*PROMOTED, WORSE, BACK)
    assert (head.tone, head.state) == ("wait", "Rolled back by itself")
    assert head.now == "Version 2 was rolled back by itself; version 1 of m serves again, not yet judged."
    assert head.more == (
        "The problem that version 2 was trained for (the input temp looks different, since 1970-01-01 02:00 UTC) may be back."
    )
    assert head.since == "1970-01-01 07:00 UTC, when version 1 came back."
    assert head.done.endswith(
        "Version 2 was rolled back by itself on 1970-01-01 07:00 "
        "(worse: accuracy 0.5000 on the 400 rows it has served; on the same rows version 1 would have scored 0.6000; "
        "version 1 serves again)."
    )
    assert head.turn is None
    assert steps(chain)[-3:] == [(5, "closed"), (7, "does worse"), (7, "rolled back")]
    assert chain.came == "version 2 rolled back"


def test_what_drifts_after_a_rollback_does_not_hide_it() -> None:
    """A new alert of the version that came back is the first line; that it came back is part of what was done."""
    again = [told.window(8, ("temp",)), told.alert("drift", 8, alert_id="b", since=7)]
    head, _ = shown(*PROMOTED, WORSE, BACK, *again)
    assert (head.state, head.phase) == ("Drift", "no training yet")
    assert head.done.startswith("Version 2 was rolled back by itself on 1970-01-01 07:00")
    assert head.done.endswith("Nothing was done about it yet.")


def test_an_alert_from_before_the_rollback_is_over() -> None:
    """What was open about the version before it was replaced is not what is wrong with it now, closed or not."""
    events = [event for event in PROMOTED if event is not PROMOTED[-2]]
    head, chains = shown(*events, WORSE, BACK, told.window(8))
    assert (head.state, [chain.open for chain in chains]) == ("Steady", [False, False])


def test_a_run_that_answers_several_alerts_is_told_in_each() -> None:
    """An alert that a run of another one answers is not said to have been left alone; the figures stand once."""
    real = told.alert("drift", 3, (), alert_id="b", kind="real", reason="ok -> drift: error 0.4 -> 0.6")
    asks = told.won("waiting", 4, alert_id="b", answers=["b", "a"], waits_for="approval", reason=ASKS)
    _, chains = shown(*DRIFTED[:-1], real, asks)
    by = {chain.id: chain for chain in chains}
    assert by["a"].came == by["b"].came == "version 2 waiting for approval"
    assert (bool(by["b"].steps[-1].evidence), by["a"].steps[-1].evidence) == (True, [])


def test_a_request_that_nothing_has_answered_is_open() -> None:
    """A training that somebody asks for stands there before the trainer has said a word."""
    request = TrainingRequested(
        request_id="r", model="m", since=None, reason="new labels", requested_by="Ana"
    )
    _, chains = shown(told.installed(), told.window(1), request)
    chain = next(c for c in chains if c.id == "r")
    assert (chain.open, chain.came) == (True, "nothing was done so far")
    assert chain.steps[0].words == "New labels by Ana."
