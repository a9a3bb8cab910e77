"""What is remembered: bounded, once, and whatever the order of topics."""

from __future__ import annotations

import random
from typing import Any

import told
from atalaia.watch.domain.memory import Memories, Memory
from atalaia.watch.domain.view import view
from contracts.events import ReferenceAccepted


def remembered(*events: Any, keep: int = 120) -> Memory:
    memories = Memories(keep)
    for event in events:
        memories.take(event)
    return memories.models["m"]


EVENTS = [
    told.installed(), told.window(1), told.window(2), told.window(3, ("temp",)), told.alert("drift", 3),
    told.decision("started", 4), told.decision("promoted", 4, "better", "2"), told.change("2", 4), told.window(4, ("temp",)),
    told.quality(3, 0.8, 0.85),
]  # fmt: skip


def test_only_the_newest_windows_are_kept() -> None:
    """Of more windows than are to be remembered the oldest go, of quality's too."""
    memory = remembered(
        *(told.window(i) for i in range(1, 11)), *(told.quality(i, 0.8) for i in range(1, 11)), keep=4
    )
    assert [end // told.HOUR for end, _, _ in memory.windows] == [7, 8, 9, 10]
    assert [end // told.HOUR for end, _, _ in memory.quality] == [7, 8, 9, 10]


def test_shapes_are_kept_once_a_feature() -> None:
    """A window's shapes go, which are most of it; of each feature the newest one stays."""
    memory = remembered(told.window(1, ("temp",)), told.window(2, ("temp", "origin")), told.window(3))
    assert all(f.shape is None for w in memory.windows.values() for f in w.features.values())
    assert {name: shown.window.window_end // told.HOUR for name, shown in memory.shapes.items()} == {
        "temp": 2,
        "origin": 2,
    }


def test_topics_may_come_in_any_order_and_twice() -> None:
    """Topics that are read side by side, or again, give the same view."""
    once = view(remembered(*EVENTS))
    by_topic: dict[type, list[Any]] = {}
    for event in EVENTS:
        by_topic.setdefault(type(event), []).append(event)
    for seed in range(5):
        topics = list(by_topic.values())
        random.Random(seed).shuffle(topics)
        assert view(remembered(*(event for events in topics for event in events))) == once
    assert view(remembered(*EVENTS, *EVENTS)) == once


def test_a_final_report_is_not_taken_back() -> None:
    """A provisional report never replaces a final one; a newer revision of quality replaces an older one."""
    memory = remembered(
        told.window(1, ("temp",)), told.window(1, final=False),
        told.quality(1, 0.7, as_of=3 * told.HOUR, revision=2), told.quality(1, 0.9, as_of=2 * told.HOUR, revision=1),
    )  # fmt: skip
    assert next(iter(memory.windows.values())).status == "drift"
    assert next(iter(memory.quality.values())).metrics["accuracy"] == 0.7


def test_the_last_word_of_model_events_serves() -> None:
    """A version that came back serves, though its first word is older."""
    memory = remembered(told.installed(), told.change("2", 4), told.change("1", 6, "rolled_back", "2"))
    assert memory.serving is not None
    assert memory.serving.version == "1"


def test_counts_of_an_accepted_reference_are_not_kept() -> None:
    """An accepted reference brings megabytes of counts, of which nothing is shown."""
    accepted = ReferenceAccepted(
        model="m", version="1", alert_id="a", since=0, until=1, effective_from=2, rows=3,
        counts={"temp": ([1, 2], [3, 4])}, reason="winter", accepted_by="Ana",
    )  # fmt: skip
    assert remembered(accepted).accepted["a"].counts == {}
