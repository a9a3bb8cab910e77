"""What there is for a person to do: in each state a sentence that begins with the answer."""

from __future__ import annotations

from typing import Any

import pytest
import told
from atalaia.watch.domain.headline import headline
from atalaia.watch.domain.memory import Memories
from atalaia.watch.domain.trail import trail

QUIET = [told.installed(), told.window(1), told.window(2)]
DRIFTED = [*QUIET, told.window(3, ("temp",)), told.alert("drift", 3)]
PROMOTED = [
    *DRIFTED,
    told.won("promoted", 4),
    told.change("2", 4),
    told.alert("ok", 5),
    told.window(5, version="2"),
]
ROWS = {"labelled": 140, "needed": 1_200}
SHADOW = told.won(
    "waiting",
    4,
    waits_for="shadow",
    reason="waiting: 0 of 200 labelled rows of live traffic in shadow; better",
)
ASKS = told.won("waiting", 4, waits_for="approval", reason="waiting for approval: better")


def need(*events: Any) -> str:
    memories = Memories()
    for event in events:
        memories.take(event)
    memory = memories.models["m"]
    return headline(memory, trail(memory)).need


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([told.installed()], "Nothing: it is judged by itself"),
        ([told.decision("refused", 4)], "Nothing."),
        (QUIET, "Nothing."),
        ([*QUIET, told.window(3, ("temp",), state="warning", alert_id=None)], "Nothing: if it goes on, there is an alert"),
        (DRIFTED, "Nothing yet: the trainer decides by itself"),
        (
            [*DRIFTED, told.decision("waiting", 4, waits_for="rows", rows=ROWS)],
            "Nothing: a training starts by itself at 1,200 labelled rows (140 now).",
        ),
        ([*DRIFTED, told.decision("waiting", 4)], "Nothing: the trainer goes on by itself."),
        ([*DRIFTED, told.decision("started", 4)], "Nothing: a training runs by itself"),
        ([*DRIFTED, told.decision("refused", 4)], "Nothing: the trainer tries again by itself once more rows"),
        ([*DRIFTED, told.decision("failed", 4)], "Nothing yet: the trainer tries again by itself, a few times"),
        ([*DRIFTED, SHADOW], "Nothing: the trial on live traffic ends by itself"),
        ([*DRIFTED, ASKS], "Version 2 waits for your approval"),
        ([*DRIFTED, ASKS, told.word()], "Nothing: the trainer acts on the word that was given"),
        (PROMOTED, "Nothing: the review ends by itself. By default it keeps version 2 at 2,000 labelled rows, or"),
        ([*PROMOTED, told.look(6)], "Nothing: the review ends by itself. By default it keeps version 2 at 2,000 labelled rows (400 so far)"),
        ([*PROMOTED, told.look(7, "kept", 2)], "Nothing."),
        ([*PROMOTED, told.look(7, "rolled_back", 2)], "Version 2 does worse than version 1 and serves on."),
        ([*PROMOTED, told.change("1", 7, "rolled_back", "2")], "Nothing: if version 1 raises an alert again"),
    ],
)  # fmt: skip
def test_every_state_says_what_there_is_to_do(events: list[Any], words: str) -> None:
    """Nothing, and how it goes on by itself; or what waits for a person's word."""
    assert need(*events).startswith(words)
