"""What is read from topics, and the digest of it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
from atalaia.demo.digest import digest
from atalaia.demo.figures import Scores
from atalaia.demo.topics import Checker, published_schema
from contracts.codec import encode
from contracts.events import OutcomesJoined, SegmentQuality, WindowTested
from contracts.flow import load_topics


def test_digest_does_not_depend_on_registry_numbers_or_ids(made: ModuleType) -> None:
    """The same run under other version numbers and alert ids has the same digest."""
    one, other = made.make_story(("1", "7")), made.make_story(("12", "13"))
    other.drift[0] = msgspec.structs.replace(other.drift[0], alert_id="another")
    assert digest(one) == digest(other)


def test_digest_changes_with_a_count(made: ModuleType) -> None:
    """One row more in one window is another digest."""
    one, other = made.make_story(), made.make_story()
    other.drift[1] = msgspec.structs.replace(other.drift[1], rows=11)
    assert digest(one) != digest(other)


def test_digest_forgives_the_last_bits_of_sums(made: ModuleType) -> None:
    """Log losses that differ by the order of addition are the same."""
    one, other = made.make_story(), made.make_story()
    q = other.quality[2]
    other.quality[2] = msgspec.structs.replace(
        q, metrics={"log_loss": float(np.nextafter(q.metrics["log_loss"], 1))}
    )
    assert digest(one) == digest(other)


def _with(made: ModuleType, **fields: Any) -> Any:
    """The made-up run whose last quality report says something more."""
    story = made.make_story()
    story.quality[2] = msgspec.structs.replace(story.quality[2], **fields)
    return story


def test_digest_is_of_estimates_and_segments_too(made: ModuleType) -> None:
    """Another estimate, or one row more in a segment, is another digest; the order of segments is none."""

    def segment(rows: int, estimated: float) -> SegmentQuality:
        return SegmentQuality(predicted=rows, labelled=rows, coverage=1.0, estimated={"accuracy": estimated})

    plain = {"JFK": segment(3, 0.5), "EWR": segment(6, 0.5)}
    found = [
        digest(_with(made, estimated={"accuracy": 0.8}, segments={"origin": segments}))
        for segments in (
            plain,
            dict(reversed(plain.items())),
            plain | {"JFK": segment(4, 0.5)},
            plain | {"JFK": segment(3, 0.6)},
        )
    ]
    assert found[0] == found[1]
    assert len({digest(_with(made, estimated={"accuracy": 0.9}, segments={"origin": plain})), *found}) == 4


def test_digest_is_not_of_when_and_how_often(made: ModuleType) -> None:
    """A report that was made again, and what follows from its figures, change nothing."""
    same = {
        "revision": 7,
        "final": True,
        "intervals": {"log_loss": (0.2, 0.4)},
        "status": "insufficient data",
    }
    assert digest(_with(made, **same)) == digest(made.make_story())


def test_last_revision_counts(made: ModuleType) -> None:
    """Of the reports of a window the one with the latest ``as_of`` stands."""
    assert [q.metrics["log_loss"] for q in made.make_story().final_quality] == [0.4, 0.3]


def test_a_correction_replaces_and_a_repetition_does_not_add(made: ModuleType) -> None:
    """Outcomes keep one row a prediction: corrected where revised, counted where repeated."""
    found = made.make_story().outcomes
    n = len(found)
    found.update(made.outcomes("1", 0))
    assert (len(found), found.duplicates) == (n, 4)
    found.update(made.outcomes("1", 0, truth=["yes"] * 4, revision=[1] * 4, corrected_from=["no", "yes"] * 2))
    assert (len(found), found.truth[:4]) == (n, ["yes"] * 4)


def test_scores_compare_both_models_on_the_same_rows(made: ModuleType) -> None:
    """Served and frozen metrics come from the same mask of rows; the better probabilities have the lower loss."""
    outcomes = made.make_story().outcomes
    late = np.array([t == "yes" for t in outcomes.truth])
    frozen = (
        ["yes" if x else "no" for x in late],
        {"no": np.where(late, 0.1, 0.9), "yes": np.where(late, 0.9, 0.1)},
    )
    scores = Scores(outcomes, frozen)
    everything = np.ones(len(outcomes), dtype=bool)
    served, ideal = scores.metrics("served", everything), scores.metrics("frozen", everything)
    assert ideal["accuracy"] == 1.0
    assert served["accuracy"] == 0.5
    assert ideal["log_loss"] < served["log_loss"]
    assert [w["served"]["rows"] for w in scores.by_window(0, made.HOUR)] == [4, 4]


def test_checker_takes_what_is_published_and_names_what_is_not(made: ModuleType) -> None:
    """A valid message passes its schema; a wrong type, a missing header and ragged columns are each invalid."""
    schema = published_schema("drift-reports")
    assert schema is not None
    checker = Checker("drift-reports", WindowTested, schema)
    value, headers = encode(made.window(1, "1", drifted=True), source="test")
    assert checker.update(value, headers, "here") is not None
    assert checker.update(value.replace(b'"rows":10', b'"rows":"10"'), headers, "here") is None
    assert checker.update(value, headers[:-1], "here") is None
    assert len(checker.seen.invalid) == 2

    ragged, headers = encode(made.outcomes("1", 0, truth=["no"]), source="test")
    outcomes_schema = published_schema("outcomes")
    assert outcomes_schema is not None
    checker = Checker("outcomes", OutcomesJoined, outcomes_schema)
    assert checker.update(ragged, headers, "here") is None


def test_every_topic_has_a_published_schema() -> None:
    """A demonstration validates each topic, so each has its schema in the repository."""
    assert all(published_schema(topic) for topic in load_topics())
