"""What waits costs nothing while nothing about it is new, and what is heavy does not hold the loop."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest
from trainer.domain.ledger import Ledger
from trainer_fakes import STEP, World, begun, bundle, outcomes, threshold


@pytest.fixture
async def world() -> Any:
    """A world that has begun and needs a thousand rows."""
    made = World(min_train_rows=1_000)
    made.registry.bundles["2"] = bundle("2", threshold(0))
    await made.begin()
    yield made
    await made.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which the ledger was asked for rows, or for their truth."""
    threads: list[threading.Thread] = []
    for name in ("get", "truth"):
        method = getattr(Ledger, name)

        def of(self: Ledger, *about: Any, method: Any = method, **more: Any) -> Any:
            threads.append(threading.current_thread())
            return method(self, *about, **more)

        monkeypatch.setattr(Ledger, name, of)
    return threads


async def news(world: World) -> None:
    """Something that decides nothing, twenty times, each taken in and thought about."""
    for i in range(20):
        await world.asks("H")  # a copy
        await world.until(lambda: not world.loop.reader.news.is_set())
        assert i < 20


@pytest.mark.parametrize("pending", [False, True])
async def test_a_request_that_waits_is_not_counted_anew_at_every_news(
    world: World, asked: list[threading.Thread], pending: bool
) -> None:
    """For rows, or while a run is pending: once a boundary, and not on the loop's thread."""
    if pending:
        run = msgspec.structs.replace(begun(), decision="waiting", waits_for="approval", run_id="another")
        await world.take("training-runs", run)
    await world.window(0, alert=None)
    await world.considered(0)
    await world.asks("H")
    await world.until(lambda: len(world.producer.on("training-runs")) == 1)
    await news(world)
    await world.window(1, alert=None)
    await world.considered(1)
    await news(world)
    assert len(asked) <= 2
    assert threading.main_thread() not in asked


async def test_what_a_hold_holds_back_is_counted_once(world: World, asked: list[threading.Thread]) -> None:
    """In a pause an alert stays open at each boundary: only its first record names rows."""
    world.loop.settings.min_train_rows, world.loop.settings.training_pause_ms = 100, 9 * STEP
    await world.window(0)
    await world.considered(0)
    asked.clear()
    for k in range(1, 6):
        await world.window(k)
        await world.considered(k)
    assert world.producer.on("training-runs")[-1]["rows"]["labelled"] == 240
    assert len(asked) == 1


async def test_many_rows_are_enough_without_a_look_at_their_features(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past ten times the least rows the classes are counted, and nothing else."""
    world.loop.settings.min_train_rows = 12
    got: list[int] = []
    get = Ledger.get

    def of(self: Ledger, *about: Any, **more: Any) -> Any:
        got.append(len(world.pipeline.selections))
        return get(self, *about, **more)

    monkeypatch.setattr(Ledger, "get", of)
    await world.window(0)
    await world.considered(0)
    started, _ = world.producer.on("training-runs")
    assert sum(started["classes"].values()) == started["rows"]["labelled"] == 120
    assert len(got) == 1  # the training's own


def test_a_snapshot_stays_as_it_is() -> None:
    """Whatever comes into the ledger meanwhile: more rows, a new text, a new field."""
    ledger, more = Ledger(), outcomes(1)
    ledger.update(outcomes(0))
    before = ledger.get(as_of=9_000, until=9_000)
    taken = ledger.snapshot()
    text: Any = ["late"] * len(more.truth)
    ledger.update(msgspec.structs.replace(more, features=more.features | {"z": text}, truth=text))
    after = taken.get(as_of=9_000, until=9_000)
    assert len(ledger.get(as_of=9_000, until=9_000)) == 240
    assert after.features.keys() == {"x"}
    assert after.features["x"].tolist() == before.features["x"].tolist()
    assert after.truth.tolist() == before.truth.tolist()
    assert sorted(taken.truth(9_000, 9_000).tolist()) == sorted(before.truth.tolist())


async def test_no_rows_are_gathered_on_the_loop(world: World, asked: list[threading.Thread]) -> None:
    """A need's, a training's and a review's are beside it: the status answers meanwhile, and the reader reads on."""
    world.loop.settings.min_train_rows = 100
    world.registry.bundles["2"] = bundle("2", threshold(2))
    await world.window(0)
    await world.considered(0)
    before = len(asked)
    assert before >= 2
    await world.window(1, alert=None, version="2")
    await world.considered(1)
    assert len(asked) > before
    assert threading.main_thread() not in asked
