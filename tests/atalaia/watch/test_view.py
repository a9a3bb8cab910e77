"""What a page shows: tiles by state, series by window, figures of quality, shapes of what drifted."""

from __future__ import annotations

from typing import Any

import msgspec
import told
from atalaia.watch.domain.choosing import choices, chosen
from atalaia.watch.domain.memory import Memories
from atalaia.watch.domain.view import MOST_FEATURES, MOST_STEPS, View, view


def seen(*events: Any) -> View:
    memories = Memories()
    for event in events:
        memories.take(event)
    return view(memories.models["m"])


def test_tiles_are_in_order_of_their_state() -> None:
    """What drifts now, then what drifted earlier in the open alert, then the rest; each since when."""
    shown = seen(
        told.installed(), told.window(1), told.window(2, ("origin",)), told.window(3, ("temp", "origin")),
        told.window(4, ("temp",)), told.alert("drift", 2, ("origin",)),
    )  # fmt: skip
    assert [(t.name, t.state) for t in shown.tiles] == [
        ("temp", "drifted"),
        ("origin", "was"),
        ("prediction:late", "steady"),
    ]
    assert (shown.tiles[0].since, shown.tiles[1].since) == (2 * told.HOUR, None)
    assert (shown.tiles[1].drifted_in, shown.tiles[1].windows) == (2, 4)


def test_what_drifted_earlier_is_told_while_any_alert_is_open() -> None:
    """A second alert of another kind does not hide what the first one saw."""
    events = [told.installed(), told.window(1, ("temp",)), told.window(2), told.alert("drift", 1)]
    real = told.alert("drift", 2, (), alert_id="b", kind="real", reason="ok -> drift: error 0.4 -> 0.6")
    assert seen(*events).tiles[0].state == seen(*events, real).tiles[0].state == "was"


def test_a_large_effect_that_may_be_chance_is_told() -> None:
    """What is over the least effect that counts without having drifted says so; what is below it, or has drifted, does not."""
    features = {
        "large": told.feature(0.2, drifted=False), "small": told.feature(0.05, drifted=False), "drifts": told.feature(0.5, drifted=True),
    }  # fmt: skip
    shown = seen(told.installed(), told.window(1, features=features))
    assert {t.name: (t.state, t.over) for t in shown.tiles} == {
        "large": ("steady", True), "small": ("steady", False), "drifts": ("drifted", False),
    }  # fmt: skip


def test_a_new_version_shows_the_tiles_of_the_one_before() -> None:
    """Until the version that serves has a judged window, the tiles are its predecessor's, and say so."""
    shown = seen(
        told.installed(), told.window(1), told.window(2, ("temp",)), told.change("2", 2), told.empty(3, "2")
    )
    assert shown.version == "2"
    assert shown.tiles_of is not None
    assert (shown.tiles_of.version, shown.tiles_of.end) == ("1", 2 * told.HOUR)


def test_one_report_speaks_for_a_window() -> None:
    """Of two versions' reports of a window the judged one counts, the serving version's before another's."""
    shown = seen(
        told.installed(), told.change("2", 1), told.window(2, serving=False), told.empty(2, "2"),
        told.window(3, ("temp",), "1", serving=False), told.window(3, version="2"),
    )  # fmt: skip
    assert [(w.end // told.HOUR, w.version) for w in shown.windows] == [(2, "1"), (3, "2")]
    assert shown.series["temp"].drifted == [False, False]


def test_quality_has_interval_and_estimate() -> None:
    """The metric with an estimate comes first; each window has what is realised, its interval, and the estimate."""
    both = {"accuracy": 0.8, "log_loss": 0.4}
    shown = seen(
        told.installed(), told.quality(1, 0.8, None, metrics=both), told.quality(2, 0.8, 0.85, metrics=both)
    )
    assert shown.metrics == ["accuracy", "log_loss"]
    figure = shown.quality[1].figures["accuracy"]
    assert (figure.realised, figure.estimated, figure.low) == (0.8, 0.85, 0.77)


def test_windows_that_an_alert_of_quality_is_about_are_marked() -> None:
    """From where the concept reports say that windows are worse up to their last word of it; another version's are not."""
    worse = {"quality_alert_id": "q", "quality_state": "drift", "quality_since": 2 * told.HOUR}
    shown = seen(
        told.installed(), *(told.quality(i, 0.8) for i in range(1, 7)), told.quality(7, 0.8, version="2"), told.concept(2),
        told.concept(4, **worse), told.concept(5, **worse), told.concept(6, **worse | {"quality_state": "recovered"}),
    )  # fmt: skip
    assert [q.worse for q in shown.quality] == [False, False, True, True, True, False, False]


def test_shapes_are_of_what_drifted() -> None:
    """Only a drifted feature has a shape, with where its values went in words."""
    shown = seen(told.installed(), told.window(1), told.window(2, ("temp", "origin")))
    assert [(s.name, s.words) for s in shown.shapes] == [
        ("origin", "JFK: 50% → 80%"),
        ("temp", "median 1 → 2"),
    ]


def test_marks_say_what_was_done_when() -> None:
    """Alerts, refusals, promotions and rollbacks are marked at their event time, and since when it is as it is now."""
    shown = seen(
        told.installed(), told.alert("drift", 3), told.decision("refused", 3, "no", "2"), told.decision("promoted", 4, "yes", "3"),
        told.change("3", 4), told.change("1", 6, "rolled_back", "3"),
    )  # fmt: skip
    assert [(m.at // told.HOUR, m.what) for m in shown.marks] == [
        (3, "alert"), (3, "refused"), (4, "promoted"), (6, "since"), (6, "rolled_back"),
    ]  # fmt: skip


def test_the_moment_since_when_it_is_so_is_marked() -> None:
    """What the first line says began then stands in the charts, before the alert that it raised; the beginning of all does not."""
    shown = seen(told.installed(), told.window(3, ("temp",)), told.alert("drift", 3, since=2))
    assert [(m.at // told.HOUR, m.what, m.words) for m in shown.marks] == [
        (2, "since", "since 1970-01-01 02:00 UTC"), (3, "alert", "virtual alert"),
    ]  # fmt: skip
    assert seen(told.installed(), told.window(1)).marks == []


def test_very_many_features_are_cut_and_counted() -> None:
    """Beyond the most that are shown those that differ least are left out, and counted."""
    features = {f"f{i}": told.feature(i / 1000, drifted=False) for i in range(MOST_FEATURES + 50)}
    shown = seen(told.installed(), told.window(1, features=features))
    assert (len(shown.tiles), shown.left_out, len(shown.series)) == (MOST_FEATURES, 50, MOST_FEATURES)
    assert "f0" not in shown.series


def test_of_very_many_steps_the_first_and_the_newest_are_shown() -> None:
    """An alert that is refused for weeks keeps its beginning and its end, and says how much is left out."""
    refused = [told.decision("refused", at, f"not better {at}", str(at)) for at in range(4, 304)]
    (chain,) = seen(told.alert("drift", 3), *refused).trail
    assert len(chain.steps) == MOST_STEPS + 1
    assert [step.what for step in chain.steps[:2]] == ["alert", "and more"]
    assert chain.steps[1].words == "277 steps in between are left out."
    assert chain.steps[-1].version == "303"


def test_a_view_of_hardly_anything_can_be_encoded() -> None:
    """Each kind of event alone gives a view that is valid JSON."""
    for event in (
        told.installed(),
        told.window(1),
        told.empty(1),
        told.alert("drift", 3),
        told.decision("refused", 3),
        told.quality(1, 0.5),
    ):
        assert msgspec.json.decode(msgspec.json.encode(seen(event)))["model"] == "m"


def test_the_model_in_most_trouble_is_chosen() -> None:
    """Of several models the one with an open alert comes first, unless another is asked for."""
    memories = Memories()
    for event in (
        told.installed(), told.window(1), msgspec.structs.replace(told.installed(), model="z"),
        told.window(2, ("temp",), model="z"), told.alert("drift", 2, model="z"),
    ):  # fmt: skip
        memories.take(event)
    assert [(c.model, c.tone) for c in choices(memories)] == [("z", "alarm"), ("m", "good")]
    assert chosen(memories, "").model == "z"  # type: ignore[union-attr]
    assert chosen(memories, "m").model == "m"  # type: ignore[union-attr]
    assert chosen(memories, "x") is None
    assert chosen(Memories(), "") is None
