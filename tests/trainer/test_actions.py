"""What was done about a model is one list, newest first, from four topics in whatever order they are read."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from contracts.codec import encode
from contracts.events import ChallengerReviewed, Event, ModelChanged, PromotionReviewed, TrainingDecided
from trainer.consumes import approvals, model_events, promotion_reviews, training_runs
from trainer.domain.actions import KEPT, Action, Actions
from trainer.domain.knowledge import Knowledge


def decided(decision: str, run: str = "r", **given: Any) -> TrainingDecided:
    """A decision about model ``m``."""
    return TrainingDecided(
        **{
            "run_id": run, "model": "m", "alert_id": "a", "as_of": 1, "decision": decision, "reason": "so", "since": 0,
            "until": None, "rows": {}, "champion_version": "1", "challenger_version": None, "metrics": {}, "gain": None,
            "p_value": None, "mlflow_run_id": None, "dvc_revision": None, "data_sha256": None, "trigger": "real", **given,
        }
    )  # fmt: skip


def came(version: str, before: str | None, action: str) -> ModelChanged:
    """A version that comes to serve."""
    return ModelChanged(
        model="m", version=version, previous_version=before, action=action, artifact_uri="", sha256="", effective_from=0,
        reason="",
    )  # fmt: skip


def looked(version: str, verdict: str) -> PromotionReviewed:
    """A look at a promoted version."""
    return PromotionReviewed(
        model="m", version=version, previous_version="1", as_of=1, look=1, rows=9, metric="accuracy", metrics={}, gain=0.0,
        low=-0.1, high=0.1, confidence=0.95, verdict=verdict, reason="",
    )  # fmt: skip


STORY = (
    (training_runs, decided("waiting", run="w1", waits_for="rows"), "trainer"),
    (training_runs, decided("waiting", run="w2", waits_for="rows"), "trainer"),
    (training_runs, decided("started"), "trainer"),
    (training_runs, decided("waiting", waits_for="approval", challenger_version="2"), "trainer"),
    (approvals, ChallengerReviewed("r", "m", "2", approved=True, reason="read it"), "trainer"),
    (model_events, came("2", "1", "promoted"), "trainer"),
    (training_runs, decided("promoted", challenger_version="2"), "trainer"),
    (model_events, came("1", "2", "rolled_back"), "trainer"),
)


def take(knowledge: Knowledge, module: Any, event: Event, source: str, second: int) -> None:
    """A record as it comes from its topic."""
    value, headers = encode(event, source=source)
    at = f"1970-01-01T00:00:{second:02}Z".encode()
    module.take(value, [(name, at if name == "ce_time" else said) for name, said in headers], knowledge)


def test_the_story_is_told_newest_first_whichever_topic_is_read_first() -> None:
    """Waiting for rows is there once, with its last time; a promotion by the trainer is its decision's, told once."""
    for order in permutations(("training-runs", "approvals", "model-events")):
        knowledge = Knowledge("m")
        for topic in order:
            for second, (module, event, source) in enumerate(STORY):
                if topic == module.TOPIC:
                    take(knowledge, module, event, source, second)
        assert knowledge.actions.newest == [
            Action(7_000, "rolled_back", "2", "review", ""),
            Action(6_000, "promoted", "2", "real", "r"),
            Action(4_000, "approved", "2", "person", "r"),
            Action(3_000, "waits for approval", "2", "real", "r"),
            Action(2_000, "started", "", "real", "r"),
            Action(1_000, "waits for rows", "", "", ""),
        ]


def test_what_people_do_themselves_is_theirs() -> None:
    """Versions that the trainer has not announced: installed, promoted and rolled back by hand."""
    knowledge = Knowledge("m")
    for second, event in enumerate(
        [came("1", None, "installed"), came("2", "1", "promoted"), came("1", "2", "rolled_back")]
    ):
        take(knowledge, model_events, event, "atalaia", second)
    assert knowledge.actions.newest == [
        Action(2_000, "rolled_back", "2", "person", ""),
        Action(1_000, "promoted", "2", "person", ""),
        Action(0, "installed", "1", "", ""),
    ]
    take(knowledge, model_events, came("3", "1", "installed"), "atalaia", 3)
    assert knowledge.actions.newest[0] == Action(3_000, "installed", "3", "person", "")


def test_a_review_that_ends_well_is_told_and_no_look_before_it() -> None:
    """Undecided looks come at many boundaries; of one that ends badly the version that comes back tells."""
    knowledge = Knowledge("m")
    for second, verdict in enumerate(("undecided", "kept")):
        take(knowledge, promotion_reviews, looked("2", verdict), "trainer", second)
    take(knowledge, promotion_reviews, looked("3", "rolled_back"), "trainer", 2)
    assert knowledge.actions.newest == [Action(1_000, "kept", "2", "", "")]


def test_what_is_held_back_is_no_action() -> None:
    """While a run or a pause goes on each boundary says so; the run's own wait stays the newest."""
    actions = Actions("m")
    actions.decided(decided("waiting", waits_for="shadow", challenger_version="2"), 1)
    actions.decided(decided("waiting", run="held", answers=["a"], waits_for=None), 2)
    assert [each.action for each in actions.newest] == ["waits for shadow"]
    assert [(alert, each.action) for alert, each in actions.on_alerts] == [("a", "waits for shadow")]


def test_of_each_alert_the_newest_action_is_known() -> None:
    """All that a run answers, by whichever order its decisions are read in."""
    for order in ((0, 1), (1, 0)):
        actions = Actions("m")
        said = [
            (decided("started", answers=["a", "b"]), 1),
            (decided("promoted", answers=["a", "b"], challenger_version="2"), 2),
        ]
        for n in order:
            actions.decided(*said[n])
        actions.decided(decided("started", run="s", answers=["c"]), 3)
        assert {alert: each.action for alert, each in actions.on_alerts} == {
            "a": "promoted",
            "b": "promoted",
            "c": "started",
        }


def test_whose_event_it_is_may_be_unsaid() -> None:
    """A producer that is not ours may leave the header out, or empty, or name itself: then a person did it."""
    value, headers = encode(came("2", "1", "promoted"), source="trainer")
    without = [(name, content) for name, content in headers if name != "ce_source"]
    for source in ([], [("ce_source", None)], [("ce_source", b"urn:ours")]):
        knowledge = Knowledge("m")
        model_events.take(value, [*without, *source], knowledge)  # type: ignore[list-item]
        assert [(each.action, each.reason) for each in knowledge.actions.newest] == [("promoted", "person")]


def test_only_the_newest_are_kept_and_what_nobody_dates_is_left_out() -> None:
    """A record without a time of publication is not told; of many the newest ten are."""
    actions = Actions("m")
    actions.decided(decided("failed", run="undated"), None)
    for n in range(KEPT + 5):
        actions.decided(decided("failed", run=f"r{n}"), n)
    assert [each.run for each in actions.newest] == [f"r{n}" for n in range(KEPT + 4, 4, -1)]


def test_another_models_actions_are_not_this_ones() -> None:
    """The topics have all models."""
    knowledge = Knowledge("other")
    for second, (module, event, source) in enumerate(STORY):
        take(knowledge, module, event, source, second)
    assert knowledge.actions.newest == []
