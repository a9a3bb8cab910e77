"""The fast way from records to cells: it is the general one, sooner."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.codec import Unreadable, decode, encode
from contracts.events import PredictionsMade
from drift_monitor.domain import columns
from drift_monitor.domain.columns import Batch, Reader, Record, Rows, concatenate
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from summaries.profile import FieldSpec, Profile

FIELDS = [
    FieldSpec("x", "float32", optional=True),
    FieldSpec("n", "int64"),
    FieldSpec("c", "string"),
    FieldSpec("k", "int64", kind="categorical"),
]
SAMPLE: dict[str, list[Any]] = {
    "x": [0.5, 1.0, 2.5, 3.0],
    "n": [1, 2, 3, 2**53 + 1],
    "c": ["a", "b", "a", "true"],
    "k": [1, 2, 5, 2**53 + 1],
}
CLASSES = Profile.build(
    SAMPLE, FIELDS, [0, 1, 0, 1], {"0": [0.1, 0.9, 0.5, 0.2], "1": [0.9, 0.1, 0.5, 0.8]}, "y", [0, 1],
    "classification",
)  # fmt: skip
NUMBER = Profile.build(SAMPLE, FIELDS, [0.5, 1.5, 0.5, 2.5], None, "y", None, "regression")

floats = st.floats(allow_nan=False, allow_infinity=False)
small = st.sampled_from([0, 1, 2, 3, 5, 0.5, 1.0, 2.5, -0.0, 4.25])
whole = st.one_of(
    st.integers(-3, 6), st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 10**30])
)
text = st.sampled_from(["a", "b", "new", "true", "1", "", "é", "[", "{", '"', "\\", "a,b", "\u2028", "\x00"])
anything = st.one_of(small, floats, whole, text, st.booleans(), st.none())
odd = st.one_of(anything, st.just([1.0]), st.just([]), st.just({}), st.just({"a": 1}))


def column(n: int, values: st.SearchStrategy[Any] = odd) -> st.SearchStrategy[list[Any]]:
    """``n`` values, of one kind or of several."""
    kinds = [small, floats, whole, text, st.none() | small, st.booleans(), anything, values]
    return st.one_of([st.lists(kind, min_size=n, max_size=n) for kind in kinds])


def written(n: int, exact: bool) -> st.SearchStrategy[dict[str, Any]]:
    """A record's JSON of ``n`` rows, nearly always of the right shape; ``exact``: with one kind of value a column."""
    usual = {
        "x": st.lists(st.none() | small | floats, min_size=n, max_size=n)
        | st.lists(small, min_size=n, max_size=n),
        "n": st.lists(whole, min_size=n, max_size=n),
        "c": st.lists(text | st.none(), min_size=n, max_size=n),
        "k": st.lists(whole | st.none(), min_size=n, max_size=n),
    }
    strange = {name: column(n) | column(n + 1) | odd for name in usual}
    labels = st.lists(st.integers(0, 2), min_size=n, max_size=n) | st.lists(small, min_size=n, max_size=n)
    chances = st.fixed_dictionaries({}, optional={c: st.lists(floats, min_size=n, max_size=n) for c in "01"})
    return st.fixed_dictionaries(
        {
            "batch_id": st.just("b"),
            "model": st.just("m"),
            "version": st.just("1"),
            "event_time": st.lists(st.integers(0, 99), min_size=n, max_size=n)
            if exact
            else st.lists(whole, min_size=n, max_size=n) | column(n) | odd,
            "features": st.fixed_dictionaries(
                {}, optional=usual if exact else {**strange, "extra": column(n)}
            ),
            "predictions": labels if exact else labels | column(n) | odd,
        },
        optional={
            "probabilities": chances if exact else chances | st.none() | odd,
            "unknown": odd,
            "vectors": st.none() if exact else odd | st.just({"v": [[1.0]] * n}),
        },
    )


def as_it_was(records: list[PredictionsMade], profile: Profile) -> dict[str, NDArray[np.int64]]:
    """Cells from lists of values, the profile's own way."""
    features: dict[str, list[Any]] = {}
    probabilities: dict[str, list[Any]] = {}
    predictions = [value for event in records for value in event.predictions]
    for spec in profile.features:
        found = features.setdefault(spec.name, [])
        for event in records:
            values = event.features.get(spec.name)
            found.extend([None] * len(event.event_time) if values is None else values)
    for output in profile.outputs:
        kind, _, name = output.name.partition(":")
        if kind == "probability":
            found = probabilities.setdefault(name, [])
            for event in records:
                given = (event.probabilities or {}).get(name)
                found.extend([None] * len(event.event_time) if given is None else given)
    return profile.index_batch(features, predictions, probabilities)


def outcome(call: Any, *arguments: Any) -> Any:
    """What a call returns, or its refusal in words."""
    try:
        return call(*arguments)
    except (ValueError, TypeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


def plain(cells: Any) -> Any:
    """Cells that compare."""
    cells = cells.cells if isinstance(cells, Batch) else cells
    return {name: at.tolist() for name, at in cells.items()} if isinstance(cells, dict) else cells


def same(event: Any) -> Any:
    """An event with all that tells its values apart: 1, 1.0 and True are three."""
    if isinstance(event, Rows):
        assert event.event_time == event.exact.event_time
        assert (event.batch_id, event.model, event.version) == ("b", "m", "1")
        event = event.exact
    return repr(event)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, 3).flatmap(lambda n: written(n, False)), st.sampled_from([CLASSES, NUMBER]), st.booleans()
)
def test_a_record_is_taken_or_refused_as_by_the_general_way(
    body: Any, profile: Profile, spaced: bool
) -> None:
    """Whatever a record holds: the same event or the same refusal, then the same cells or the same refusal."""
    value = json.dumps(body, ensure_ascii=False, separators=(", ", ": ") if spaced else (",", ":")).encode()
    general, fast = outcome(decode, PredictionsMade, value), outcome(Reader().read, value)
    if isinstance(general, str):
        assert fast == general
        return
    assert same(fast) == same(general)
    wanted = outcome(as_it_was, [general], profile)
    for event in (fast, general):
        assert plain(outcome(concatenate, [Record(0, 0, event)], profile)) == plain(wanted)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 3).flatmap(lambda n: written(n, True)), min_size=1, max_size=5))
def test_neighbours_change_no_cell(bodies: list[Any]) -> None:
    """Records together have the cells that each has alone, read fast or not, in any mixture."""
    for profile in (CLASSES, NUMBER):
        values = [json.dumps(body).encode() for body in bodies]
        records, alone = [], []
        for i, value in enumerate(values):
            event = outcome(Reader(fast=i % 3 != 2).read, value)
            if isinstance(event, str):
                continue
            cells = outcome(as_it_was, [decode(PredictionsMade, value)], profile)
            if not isinstance(cells, str):
                records.append(Record(0, i, event))
                alone.append(cells)
        if records:
            together = concatenate(records, profile).cells
            assert plain(together) == {
                name: [cell for cells in alone for cell in cells[name].tolist()] for name in together
            }


BODY: dict[str, Any] = {
    "batch_id": "b", "model": "m", "version": "1", "event_time": [1, 2], "features": {"x": [1.5, 2.5]},
    "predictions": [0, 1],
}  # fmt: skip


def test_numbers_and_text_go_the_fast_way() -> None:
    """What a predictor writes is not read twice: numbers are buffers, a column with text or null is a list."""
    features = {"x": [1, 2.5], "c": ["a", None], "o": [None, 1.0]}
    value, headers = encode(
        PredictionsMade(**{**BODY, "features": features}, probabilities={"0": [0.5, 0.25]}), source="test"
    )
    rows = Reader().read(value, headers)
    assert isinstance(rows, Rows)
    assert np.frombuffer(rows.features["x"]).tolist() == [1.0, 2.5]  # type: ignore[arg-type]
    assert rows.features["c"] == ["a", None]
    assert rows.features["o"] == [None, 1.0]
    assert np.frombuffer(rows.probabilities["0"]).tolist() == [0.5, 0.25]  # type: ignore[arg-type]
    assert "exact" not in vars(rows)
    concatenate([Record(0, 0, rows)], NUMBER)
    assert "exact" not in vars(rows)


REFUSED = [
    b'\xef\xbb\xbf{"batch_id": "b"}',
    b"",
    b"null",
    b"[]",
    b'{"batch_id": "b"',
    json.dumps(BODY).encode() + b"x",
    json.dumps({**BODY, "features": {"x": [1.5]}}).encode(),
    json.dumps({**BODY, "features": {"x": [[1.5], [2.5]]}}).encode(),
    json.dumps({**BODY, "event_time": [1.5, 2]}).encode(),
    json.dumps({**BODY, "predictions": [None, 1]}).encode(),
    json.dumps({**BODY, "probabilities": {"0": ["a", 1]}}).encode(),
    json.dumps({**BODY, "version": 1}).encode(),
    json.dumps({**BODY, "vectors": 5}).encode(),
    json.dumps({k: v for k, v in BODY.items() if k != "model"}).encode(),
    json.dumps(BODY).replace("1.5", "1e999").encode(),
    json.dumps(BODY).replace("1.5", "NaN").encode(),
    json.dumps(BODY).replace('"m"', '"\xff"').encode("latin-1"),
    json.dumps({**BODY, "unknown": "x"}).replace('"x"}', "[" * 3000 + "]" * 3000 + "}").encode(),
]


@pytest.mark.parametrize("value", REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_is_refused_in_the_same_words(value: bytes) -> None:
    """A reader goes on after it, too."""
    reader = Reader()
    with pytest.raises(Unreadable) as general:
        decode(PredictionsMade, value)
    with pytest.raises(Unreadable) as fast:
        reader.read(value)
    assert str(fast.value) == str(general.value)
    assert isinstance(reader.read(json.dumps(BODY).encode()), Rows)


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(BODY)[:-1].encode() + b', "model": "other"}',
        json.dumps(BODY).replace('"x"', '"x": [3, 4], "x"').encode(),
        json.dumps(BODY).replace("1.5", "1e-400").encode(),
        json.dumps(BODY).replace("1.5", "-0").encode(),
        json.dumps(BODY).replace("1.5", "123456789012345678901234567890").encode(),
        json.dumps({**BODY, "event_time": [2**64, 1]}).encode(),
        json.dumps({**BODY, "features": {}, "unknown": [{"a": [1]}]}).encode(),
        b" \n" + json.dumps(BODY).encode() + b"\n",
        json.dumps(BODY).replace('"features"', '"\\u0066eatures"').replace('"x"', '"\\u0078"').encode(),
    ],
)
def test_unusual_json_means_the_same(value: bytes) -> None:
    """Names twice, escaped names, the ends of the numbers: as the general reader takes them."""
    event, general = Reader().read(value), decode(PredictionsMade, value)
    assert repr(event.exact if isinstance(event, Rows) else event) == repr(general)
    assert plain(concatenate([Record(0, 0, event)], NUMBER)) == plain(as_it_was([general], NUMBER))


def test_the_headers_are_looked_at() -> None:
    """Another type of event is not guessed at, and a record without a value is none."""
    value, headers = encode(PredictionsMade(**BODY), source="test")
    other = [(k, b"io.atalaia.predictions-made.v2" if k == "ce_type" else v) for k, v in headers]
    for fast in (True, False):
        with pytest.raises(Unreadable, match=r"ce_type is io.atalaia.predictions-made.v2"):
            Reader(fast).read(value, other)
        with pytest.raises(Unreadable, match="no value"):
            Reader(fast).read(None, headers)


def test_without_simdjson_all_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no wheel the general way is the only one."""
    monkeypatch.setattr(columns, "simdjson", None)
    event = Reader().read(json.dumps(BODY).encode())
    assert event == msgspec.json.decode(json.dumps(BODY), type=PredictionsMade)


def test_values_on_demand_are_what_was_written() -> None:
    """Unseen categories are named as before, whether they came as numbers, as text or not at all."""
    bodies = [
        {**BODY, "features": {"c": ["new", "a"], "k": [7, 1]}},
        {**BODY, "features": {"c": ["b", None], "k": [2**60 + 1, 9]}},
        BODY,
    ]
    for fast in (True, False):
        reader = Reader(fast)
        batch = concatenate(
            [Record(0, i, reader.read(json.dumps(body).encode())) for i, body in enumerate(bodies)], CLASSES
        )
        assert batch.values("c", np.array([0, 2, 3, 4])) == ["new", "b", None, None]
        assert batch.values("k", np.array([0, 2, 3, 5])) == [7, 2**60 + 1, 9, None]
        assert batch.values("prediction:y", np.array([0, 1, 5])) == [0, 1, 1]


@example([float("inf"), 1.0])
@example([float("nan"), 1.0])
@example([True, 1.0])
@example([10**400, 1.0])
@given(st.lists(st.one_of(anything, st.floats()), min_size=2, max_size=2))
def test_events_made_in_python_have_their_cells(values: list[Any]) -> None:
    """NaN and infinities, which JSON cannot write, are counted or refused as the profile says."""
    event = PredictionsMade(**{**BODY, "features": {"x": values, "n": [1, 2], "c": values, "k": [1, 2]}})
    for profile in (CLASSES, NUMBER):
        wanted = outcome(as_it_was, [event], profile)
        assert plain(outcome(concatenate, [Record(0, 0, event)], profile)) == plain(wanted)
