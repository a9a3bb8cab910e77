"""A challenger that is better on the whole may still not serve: it loses a class, is slow or is large."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contracts.events import GuardrailSeen
from hypothesis import given
from hypothesis import strategies as st
from trainer.domain.challenge import Scored, Verdict
from trainer.domain.guardrails import Limits, costs, guarded, recalls

BETTER = Verdict(True, 0.1, 0.01, {"champion": {}, "challenger": {}}, "better: accuracy")


def said(*parts: tuple[str, int]) -> Any:
    """Labels in runs."""
    return np.array([name for name, n in parts for _ in range(n)])


def test_a_class_that_is_never_said_any_more_is_lost() -> None:
    """Twenty rows of a class found before and none now: the promotion is refused, and the reason names it."""
    truth = said(("a", 100), ("b", 20))
    champion, challenger = Scored(said(("b", 40), ("a", 60), ("b", 20))), Scored(said(("a", 120)))
    found = recalls(truth, champion, challenger, 0.9)
    assert found["recall of b"] == GuardrailSeen(seen=1.0, limit=0.9, held=False)
    assert found["recall of a"].held
    verdict = guarded(BETTER, found)
    assert not verdict.promoted
    assert verdict.reason == (
        "guardrail: recall of b falls by 100%, at most 90% may be lost; otherwise better: accuracy"
    )
    assert verdict.guardrails == found


def test_a_champion_of_one_class_can_be_replaced() -> None:
    """Who says one class only has all of it: a model that tells two apart loses a part, and is promoted."""
    truth = said(("a", 60), ("b", 60))
    found = recalls(truth, Scored(said(("a", 120))), Scored(said(("a", 45), ("b", 60), ("a", 15))), 0.9)
    assert guarded(BETTER, found).promoted
    assert set(found) == {"recall of a"}  # b had nothing to lose


def test_a_few_rows_prove_no_loss() -> None:
    """Two rows that were right by chance are not held against a challenger."""
    truth = said(("a", 100), ("b", 2))
    found = recalls(truth, Scored(truth), Scored(said(("a", 102))), 0.9)
    assert (found["recall of b"].seen, found["recall of b"].held) == (1.0, True)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=80))
def test_a_model_against_itself_breaks_nothing(rows: list[tuple[int, int]]) -> None:
    """No loss in any class, however bad the model."""
    truth, predictions = (np.array(column) for column in zip(*rows, strict=True))
    same = Scored(predictions)
    found = recalls(truth, same, same, 0.0)
    assert all(seen.held and seen.seen == 0 for seen in found.values())


@pytest.mark.parametrize(("slower", "larger", "named"), [(6.0, 1.0, "latency"), (1.0, 11.0, "size")])
def test_costs_have_bounds(slower: float, larger: float, named: str) -> None:
    """A challenger that is too slow or too large is refused; at the limit it is not."""
    limits = Limits(0.9, 5.0, 10.0)
    verdict = guarded(BETTER, costs(slower, larger, limits))
    assert verdict.reason.startswith(f"guardrail: {named} is {max(slower, larger):.1f} times the champion's")
    assert guarded(BETTER, costs(5.0, 10.0, limits)).promoted


def test_a_refusal_keeps_its_own_reason() -> None:
    """What is not better anyway is refused for that; what the guardrails saw goes along."""
    refused = Verdict(False, -0.1, 1.0, {}, "not better: accuracy")
    found = costs(9.0, 1.0, Limits(0.9, 5.0, 10.0))
    assert guarded(refused, found) == Verdict(False, -0.1, 1.0, {}, "not better: accuracy", found)
