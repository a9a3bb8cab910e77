"""The judge of ``bench-predictor``: what is as promised, and each way not to be."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import PredictionsMade
from scoring import Scores

PATH = Path(__file__).parents[2] / "bench" / "predictor_topic.py"


@pytest.fixture(scope="module")
def topic() -> ModuleType:
    """The module; ``bench`` is no package."""
    spec = importlib.util.spec_from_file_location("predictor_topic", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


class Times:
    """Scores ``factor`` times the feature, and as probability a hundredth of that."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def score(self, features: dict[str, list[float]], n: int) -> Scores:
        """As an ONNX model."""
        value = self.factor * np.array(features["a"])
        low = (value / 100).astype(np.float32)
        return Scores(value.astype(np.int64), np.stack([low, 1 - low], axis=1))


MODELS: dict[str, Any] = {"1": Times(1), "2": Times(2)}


def made(batch: str, version: str, rows: list[float]) -> PredictionsMade:
    """A record as it should be."""
    scores = MODELS[version].score({"a": rows}, len(rows))
    assert scores.probabilities is not None
    return PredictionsMade(
        batch_id=batch, model="m", version=version, event_time=[0] * len(rows), features={"a": list(rows)},
        predictions=scores.predictions.tolist(),
        probabilities={c: scores.probabilities[:, i].tolist() for i, c in enumerate("xy")},
    )  # fmt: skip


def answers(event: PredictionsMade) -> list[dict[str, Any]]:
    """An answer a row, as the predictor gives them."""
    assert event.probabilities is not None
    return [
        {
            "version": event.version, "prediction_id": f"{event.batch_id}.{i}", "quality": prediction,
            "probabilities": {c: of[i] for c, of in event.probabilities.items()},
        }
        for i, prediction in enumerate(event.predictions)
    ]  # fmt: skip


Sent = list[dict[str, Any]]


def lost(events: list[PredictionsMade], sent: Sent) -> None:
    """A record is not there."""
    events.pop()


def not_answered(events: list[PredictionsMade], sent: Sent) -> None:
    """A record nobody was told of."""
    sent.pop()


def twice(events: list[PredictionsMade], sent: Sent) -> None:
    """A record stands twice."""
    events.append(events[0])


def same_id(events: list[PredictionsMade], sent: Sent) -> None:
    """Two answers give one id."""
    sent.append(sent[0])


def named_wrongly(events: list[PredictionsMade], sent: Sent) -> None:
    """Record and answers name another version than scored."""
    events[0] = msgspec.structs.replace(events[0], version="2")
    for row in sent[:2]:
        row["version"] = "2"


def told_wrongly(events: list[PredictionsMade], sent: Sent) -> None:
    """An answer names another version than its record."""
    sent[0]["version"] = "2"


def crossed(events: list[PredictionsMade], sent: Sent) -> None:
    """Two callers get each other's rows."""
    sent[0]["prediction_id"], sent[1]["prediction_id"] = sent[1]["prediction_id"], sent[0]["prediction_id"]


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        (None, {}),
        (lost, {"unmatched": 2, "recorded": 2}),
        (not_answered, {"unmatched": 1, "answered": 3}),
        (twice, {"repeated_ids": 2, "recorded": 6}),
        (same_id, {"repeated_ids": 1, "answered": 5}),
        (named_wrongly, {"other_score": 2, "versions": ("2",)}),
        (told_wrongly, {"other_version": 1}),
        (crossed, {"other_answer": 2}),
    ],
)
def test_every_defect_is_said(
    topic: ModuleType, tmp_path: Path, defect: Callable[..., None] | None, said: dict[str, Any]
) -> None:
    """Two records of two versions, whole, and with each defect: the verdict counts just that."""
    events = [made("a" * 32, "1", [1.0, 2.0]), made("b" * 32, "2", [3.0, 4.0])]
    sent = [row for event in events for row in answers(event)]
    if defect:
        defect(events, sent)
    lines = [f"200 {json.dumps(row)}\n" for row in sent] + ["503 {}\n"]
    captured = tmp_path / "answers"
    captured.write_text("".join(lines), encoding="utf-8")
    verdict = topic.judge(captured, events, MODELS, ["x", "y"])
    whole = {"answered": 4, "recorded": 4, "not_200": 1, "versions": ("1", "2")}
    assert verdict == topic.Verdict(**(whole | said))


def test_rows_of_a_batch_are_held_against_their_own_rows(topic: ModuleType, tmp_path: Path) -> None:
    """A batch's answer is read row by row."""
    event = made("c" * 32, "2", [3.0, 4.0])
    rows = [{k: v for k, v in row.items() if k != "version"} for row in answers(event)]
    captured = tmp_path / "answers"
    captured.write_text(f"200 {json.dumps({'version': '2', 'predictions': rows})}\n", encoding="utf-8")
    verdict = topic.judge(captured, [event], MODELS, ["x", "y"])
    assert verdict == topic.Verdict(answered=2, recorded=2, versions=("2",))
