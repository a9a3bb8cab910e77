"""One ``predict`` for all: who shares a batch shares nothing else, and a request is recorded whole or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from contracts.events import PredictionsMade
from hypothesis import given, settings
from hypothesis import strategies as st
from predictor.domain.model import Model
from predictor.domain.record import MAX_RECORD_ROWS
from predictor.domain.request import Columns, TooLarge
from predictor.domain.service import Predictor
from predictor.produces.shadow_predictions import ShadowScorer
from predictor_models import Kafka, people
from scoring import Unscorable

PEOPLE = people()


def columns(ages: list[float], town: str = "A") -> Columns:
    """Rows of people."""
    n = len(ages)
    return Columns(
        {"age": list(ages), "children": [1] * n, "income": [None] * n, "town": [town] * n, "member": [True] * n},
        [1] * n,
    )  # fmt: skip


class Picky(Model):
    """A version that cannot score rows with an age of 13, and says nothing sensible of 14."""

    def score(self, features: Any, n: int) -> Any:
        """As the model does, but for those."""
        if 13 in features["age"]:
            raise Unscorable("13")
        return super().score(features, n)


@pytest.fixture
def model() -> Model:
    """People, picky."""
    found = people()
    found.__class__ = Picky
    return found


async def test_a_row_that_cannot_be_scored_costs_its_neighbours_nothing(model: Model) -> None:
    """The request at fault hears of it; all others are one record, each with its own answer."""
    kafka = Kafka()
    predictor = Predictor(kafka)
    ages = [float(a) for a in range(10, 20)]
    found = await asyncio.gather(
        *[predictor.predict(columns([age]), model) for age in ages], return_exceptions=True
    )
    assert [isinstance(f, Unscorable) for f in found] == [age == 13 for age in ages]
    (event,) = kafka.published
    assert event.features["age"] == [age for age in ages if age != 13]
    for age, answer in zip(ages, found, strict=True):
        if age != 13:
            alone = model.score(columns([age]).features, 1)
            assert not isinstance(answer, BaseException)
            assert (answer.predictions, answer.probabilities) == alone


async def test_a_large_request_is_recorded_whole_or_not_at_all(model: Model) -> None:
    """A row that cannot be scored, far behind the first record's rows, leaves nothing in the log."""
    kafka = Kafka()
    predictor = Predictor(kafka)
    ages = [1.0] * (MAX_RECORD_ROWS + 500)
    answer = await predictor.predict(columns(ages), model)
    assert len(answer.ids) == len(set(answer.ids)) == len(ages)
    assert [len(event.predictions) for event in kafka.published] == [MAX_RECORD_ROWS, 500]
    kafka.published.clear()
    ages[-1] = 13.0
    with pytest.raises(Unscorable):
        await predictor.predict(columns(ages), model)
    assert kafka.published == []


async def test_a_row_that_fits_into_no_record_is_refused_before_it_is_scored(model: Model) -> None:
    """The message names the row and the bound."""
    kafka = Kafka()
    with pytest.raises(TooLarge, match=r"Row 0 takes .* holds 900000"):
        await Predictor(kafka).predict(columns([1.0], "x" * 900_000), model)
    assert kafka.published == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(0, 150, width=32), min_size=1, max_size=5), min_size=1, max_size=12))
def test_each_request_gets_what_it_would_get_alone(requests: list[list[float]]) -> None:
    """Gathered with others or not: the same predictions and probabilities, and ids that name its own rows."""
    model = PEOPLE

    async def story() -> None:
        kafka = Kafka()
        predictor = Predictor(kafka)
        answers = await asyncio.gather(*[predictor.predict(columns(ages), model) for ages in requests])
        where = {
            f"{event.batch_id}.{i}": age
            for event in kafka.published
            for i, age in enumerate(event.features["age"])
        }
        for ages, answer in zip(requests, answers, strict=True):
            assert [where.pop(name) for name in answer.ids] == ages
            alone = model.score(columns(ages).features, len(ages))
            assert (answer.predictions, answer.probabilities) == alone
        assert where == {}

    asyncio.run(story())


async def test_a_challenger_that_fails_touches_nobody() -> None:
    """Whatever it raises, the champion's answers go out, and the next batch is tried again."""
    sent: list[PredictionsMade] = []

    async def send(event: PredictionsMade) -> None:
        sent.append(event)

    champion, challenger = people(), people()
    tried: list[int] = []

    def score(features: Any, n: int) -> Any:
        tried.append(n)
        if len(tried) == 1:
            raise ValueError("ragged")
        return Model.score(challenger, features, n)

    challenger.score = score  # type: ignore[method-assign]
    challenger.version = "2"
    shadow = ShadowScorer(send)
    kafka = Kafka()
    predictor = Predictor(kafka, shadow)
    predictor.swap(champion)
    predictor.shadow(challenger)
    beside = asyncio.create_task(shadow.run())
    for _ in range(2):
        await predictor.predict(columns([1.0, 2.0]), champion)
    async with asyncio.timeout(10):
        while not sent:  # noqa: ASYNC110  nothing sets an event
            await asyncio.sleep(0.01)
    assert not beside.done()
    assert tried == [2, 2]
    assert (sent[0].batch_id, sent[0].version) == (kafka.published[1].batch_id, "2")
    beside.cancel()
