"""Labels in every form they are sent in: what is taken, what is refused and how it is named."""

from __future__ import annotations

import asyncio
import doctest
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import pairwise
from types import ModuleType
from typing import Any

import msgspec
import pytest
from contracts.codec import partition_of, prediction_id
from feedback.consumes.http import media
from feedback.consumes.http.blocks import blocks
from feedback.domain import csv_upload, ids, json_upload, lines, misplaced, partitions, truth
from feedback.domain.csv_upload import Csv
from feedback.domain.ids import are_prediction_ids, is_prediction_id
from feedback.domain.json_upload import parse_many, parse_one
from feedback.domain.lines import MAX_LINE, Lines
from feedback.domain.ndjson import Ndjson
from feedback.domain.parsed import Parsed, Parser
from feedback.domain.splitting import split
from feedback.domain.truth import same
from feedback.domain.uploads import FUTURE_MS, Labels, Refused
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_000_000
ID, OTHER = prediction_id(f"{7:032x}", 0), prediction_id(f"{8:032x}", 999_999)


@pytest.mark.parametrize("module", [csv_upload, ids, lines, media, misplaced, partitions, truth])
def test_the_examples_in_the_documentation_are_true(module: ModuleType) -> None:
    """The doctests of the modules that take labels in."""
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


good_ids = st.sampled_from([ID, OTHER])
any_ids = st.one_of(good_ids, st.sampled_from(["", "x", ID + " " + ID, ID + "\n", ID.upper(), None, 5]))
truths: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=5),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.just("x" * 1001),
    st.just([1]),
)
times: st.SearchStrategy[Any] = st.one_of(
    st.integers(NOW - 10, NOW + FUTURE_MS + 10),
    st.sampled_from(["2020-01-01T00:00:00Z", "2020-01-01", "yesterday", None, 5.0, 5.5, True, -(10**18)]),
)


@given(st.lists(any_ids, max_size=5))
def test_many_ids_are_checked_as_each_is(texts: list[Any]) -> None:
    """One pass over all says no exactly where one of them is none."""
    each = all(isinstance(text, str) and is_prediction_id(text) for text in texts)
    assert are_prediction_ids(texts) is each


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns or how it refuses."""
    try:
        return call()
    except Refused as error:
        return error.detail, error.field, error.row


def columns(n: int) -> st.SearchStrategy[dict[str, Any]]:
    """Columns of n labels, mostly good ones."""
    good = st.one_of(
        st.lists(st.booleans(), min_size=n, max_size=n), st.lists(st.text(), min_size=n, max_size=n)
    )
    return st.fixed_dictionaries(
        {
            "prediction_id": st.lists(good_ids, min_size=n, max_size=n) | st.lists(any_ids, max_size=3),
            "truth": good | st.lists(truths, min_size=n, max_size=n),
        },
        optional={
            "label_time": st.lists(times, min_size=n, max_size=n) | times,
            "labels": st.just([]),
            "colour": st.just(1),
        },
    )


row = st.fixed_dictionaries(
    {}, optional={"prediction_id": any_ids, "truth": truths, "label_time": times, "colour": st.just("red")}
)
good_row = st.fixed_dictionaries(
    {"prediction_id": good_ids, "truth": st.text(max_size=3) | st.integers(-5, 5)},
    optional={"label_time": st.integers(0, NOW)},
)
rows = st.lists(good_row | row | st.just(5), max_size=4) | st.lists(good_row, max_size=4)


@given(
    st.integers(0, 4).flatmap(columns)
    | st.fixed_dictionaries({"labels": rows}, optional={"truth": st.just([])})
)
def test_the_quick_way_takes_exactly_what_the_slow_way_takes(content: dict[str, Any]) -> None:
    """Typed decoding gives the labels that the untyped reading gives, or its refusal."""
    body = json.dumps(content).encode()
    slowly = outcome(lambda: json_upload._closely(msgspec.json.decode(body), NOW))
    assert outcome(lambda: parse_many(body, NOW)) == slowly


@given(row)
def test_one_label_is_taken_as_a_batch_of_one(content: dict[str, Any]) -> None:
    """The same labels, or the same field is wrong."""
    body, many = json.dumps(content).encode(), json.dumps({"labels": [content]}).encode()
    one, batch = outcome(lambda: parse_one(body, NOW)), outcome(lambda: parse_many(many, NOW))
    assert one == batch or one[:2] == batch[:2]


def test_one_time_may_stand_for_all_labels() -> None:
    """A label_time that is no list is each label's."""
    body = {"prediction_id": [ID, OTHER], "truth": [1, 2], "label_time": "1970-01-01T00:00:01Z"}
    assert parse_many(json.dumps(body).encode(), NOW).label_time == [1000, 1000]


def read(parser: Parser, content: bytes, *, first: int = 1, now: int = NOW) -> Parsed:
    """What a parser makes of one block."""
    return parser.parse(content, first, now)


@given(rows, st.booleans())
def test_each_line_of_ndjson_is_judged_alone(content: list[Any], crlf: bool) -> None:
    """Good lines are labels and bad ones are named, as if each were a body of its own."""
    ends = b"\r\n" if crlf else b"\n"
    parsed = read(Ndjson(), ends.join(json.dumps(line).encode() for line in content) + ends)
    labels, rejected = Labels([], [], []), []
    for number, line in enumerate(content, 1):
        alone = outcome(lambda line=line: parse_one(json.dumps(line).encode(), NOW))  # type: ignore[misc]
        if isinstance(alone, Labels):
            labels.prediction_id += alone.prediction_id
            labels.truth += alone.truth
            labels.label_time += alone.label_time
        else:
            rejected.append(number)
    assert parsed.labels == labels
    assert [rejection.line for rejection in parsed.rejected] == rejected
    assert parsed.lines == max(1, len(content))


def line(text: str = ID, truth: Any = 1) -> bytes:
    """A label's line."""
    return json.dumps({"prediction_id": text, "truth": truth}).encode()


def test_lines_of_ndjson_that_are_none() -> None:
    """Blank lines are passed over, a byte order mark too; long lines, lists and objects over several lines are named."""
    content = b"\xef\xbb\xbf" + line() + b"\n\n \r\n" + line()[:-1] + b" " * MAX_LINE + b"}\n"
    content += (
        b'{"prediction_id":\n"x"}\n[1]\n\xff\n' + b"[" * 10_000 + b"\n" + line() + line() + b"\n" + line()
    )
    parsed = read(Ndjson(), content)
    assert [rejection.line for rejection in parsed.rejected] == [4, 5, 6, 7, 8, 9, 10]
    assert parsed.labels.truth == [1, 1]
    assert parsed.of_label == [1, 11]
    spread = read(Ndjson(), b'{"prediction_id": "%b",\n"truth": 5}' % ID.encode())
    assert (spread.labels.truth, len(spread.rejected)) == ([], 2)
    assert read(Ndjson(), b"\xef\xbb\xbf" + line(), first=2).rejected[0].line == 2


def csv(text: str, **kwargs: Any) -> Parsed:
    """What is read of CSV."""
    return read(Csv(), text.encode(), **kwargs)


@pytest.mark.parametrize("d", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_csv_has_three_delimiters(d: str, ends: str) -> None:
    """Found in the first line; columns in any order, names in any case; a byte order mark and sep= are passed over."""
    text = ends.join(
        [
            "\ufeffsep=" + d,
            f"Truth{d} Label_Time{d}PREDICTION_ID",
            f"late{d}5{d}{ID}",
            f" on time {d} {d}{OTHER} ",
        ]
    )
    parsed = csv(text)
    assert parsed == Parsed(Labels([ID, OTHER], ["late", "on time"], [5, NOW]), [], 4)
    assert csv(text.replace("late", '"late"')).labels == parsed.labels


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("5", 5), ("5.0", 5.0), ("-0.5", -0.5), ("1e3", 1000.0), ("TRUE", True), ("False", False), ("true", True),
        ("007", "007"), ("1_000", "1_000"), ("0x10", "0x10"), ("nan", "nan"), ("inf", "inf"), ("+5", "+5"), (".5", ".5"),
        ("late", "late"), ("  late ", "late"), ('"5.0"', "5.0"), ('"true"', "true"), ('" a ""b"", c"', ' a "b", c'),
        ('""', ""), ("１", "１"), ("9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_a_truth_in_csv_has_the_type_that_it_is_written_as(field: str, meant: Any) -> None:
    """Numbers as JSON writes them, booleans in any case; all else is text, and so is what stands in quotes."""
    parsed = csv(f"prediction_id,truth\n{ID},{field}")
    assert parsed.rejected == []
    assert parsed.labels.truth == [meant]
    assert type(parsed.labels.truth[0]) is type(meant)
    assert csv(f'prediction_id,truth\n{ID},{field}\n{ID},"x"').labels.truth == [meant, "x"]


def test_spellings_of_a_number_name_one_class_in_every_form() -> None:
    """5, 5.0 and "5" are the same class, from CSV as from JSON; without quotes 5.00 is too."""
    csvs = csv(
        "prediction_id,truth\n" + "\n".join(f"{ID},{f}" for f in ("5", "5.0", '"5"', "5.00", "5e0"))
    ).labels
    jsons = parse_many(json.dumps({"prediction_id": [ID] * 3, "truth": [5, 5.0, "5"]}).encode(), NOW)
    assert all(same(a, b) for a, b in pairwise(csvs.truth + jsons.truth))


def test_a_decimal_comma_is_one_where_semicolons_separate() -> None:
    """As spreadsheets write numbers in many countries; in quotes it is text."""
    assert csv(f'prediction_id;truth\n{ID};1,5\n{ID};-2\n{ID};"1,5"').labels.truth == [1.5, -2, "1,5"]
    assert csv(f"prediction_id\ttruth\n{ID}\t1,5").labels.truth == ["1,5"]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"id,truth\n", "prediction_id"),
        (b"prediction_id\n", "truth"),
        (b"prediction_id,truth,colour\n", "colour"),
        (b"prediction_id,truth,Truth\n", "truth"),
        (ID.encode() + b",late\n", "prediction_id"),
        (b'prediction_id,"truth\n', "prediction_id"),
        ("prediction_id,truth\n".encode("utf-16"), None),
        (b"prediction_id,truth\xff\n", None),
        (b"x" * 100_000, "prediction_id"),
    ],
)
def test_csv_without_its_columns_is_refused_whole(content: bytes, field: str | None) -> None:
    """Without the names nothing can be read: no line is taken."""
    with pytest.raises(Refused) as refused:
        read(Csv(), content + ID.encode() + b",5\n")
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (f"{ID}", None),
        (f"{ID},a,b,c", None),
        (f"{ID},", "truth"),
        ("x,a", "prediction_id"),
        (f'{ID},"a', None),
        (f'{ID},a"b', None),
        (f'{ID},"a"b', None),
        (f"{ID},1e999", "truth"),
        (f"{ID},9223372036854775808", "truth"),
        (f"{ID},{'9' * 10_000}", "truth"),
        (f"{ID},{'x' * 1001}", "truth"),
        (f"{ID},{'x' * MAX_LINE}", None),
        (f"{ID},\udcff", None),
    ],
)
def test_a_bad_line_of_csv_is_named(bad: str, field: str | None) -> None:
    """With its number, which counts the header and blank lines, and the column where one is wrong."""
    content = f"prediction_id,truth\n\n{ID},a\n{bad}\n{ID},b".encode(errors="surrogateescape")
    parsed = read(Csv(), content)
    assert [(rejection.line, rejection.column) for rejection in parsed.rejected] == [(4, field)]
    assert (parsed.labels.truth, parsed.of_label, parsed.lines) == (["a", "b"], [3, 5], 5)


fields = st.sampled_from([ID, OTHER, "", "5", "1,5", "x", '"q"', "true", "\r", " ", "9" * 20, "é", "٣"])


@given(st.lists(st.lists(fields, max_size=4).map(",".join), min_size=1, max_size=5), st.booleans())
def test_csv_is_read_alike_quickly_and_line_by_line(given_lines: list[str], times: bool) -> None:
    """A block that the quick way takes has the labels that its lines have; one with a bad line it leaves alone."""
    parser = Csv()
    parser.parse(b"prediction_id,truth" + b",label_time" * times, 1, NOW)
    encoded = [line.encode() for line in given_lines]
    quickly, closely = parser._quickly(encoded, NOW), parser._closely(encoded, 2, NOW)
    if quickly is not None:
        assert (quickly.labels, closely.rejected) == (closely.labels, [])
    good = [f"{ID},{word}" + ",5" * times for word in ("late", "1.5", "true")]
    assert parser._quickly([line.encode() for line in good], NOW) is not None


@pytest.mark.parametrize("time", ["yesterday", "2020-01-01", str(NOW + FUTURE_MS + 1), "9" * 10_000, "5.5"])
def test_a_bad_time_of_csv_is_named(time: str) -> None:
    """As in JSON: ISO 8601 with its offset, or milliseconds."""
    rejected = csv(f"prediction_id,truth,label_time\n{ID},a,{time}\n").rejected
    assert [(rejection.line, rejection.column) for rejection in rejected] == [(2, "label_time")]
    good = csv(f"prediction_id,truth,label_time\n{ID},a,1970-01-01 00:00:01+00:00\n{ID},b,5\n{ID},c,6.0")
    assert good.labels.label_time == [1000, 5, 6]


texts = st.binary(max_size=20) | st.just(b"\n") | st.just(b"x" * (MAX_LINE + 5)) | st.just(b"y" * MAX_LINE)


@given(st.lists(texts, max_size=8))
def test_lines_are_the_same_however_they_arrive(pieces: list[bytes]) -> None:
    """Cut anywhere, taken at any time; a line that is too long arrives too long, but bounded."""
    cut = Lines()
    found = b""
    for i, piece in enumerate(pieces):
        cut.feed(piece)
        if i % 2:
            found += cut.take()
    found += cut.take() + cut.rest()
    whole = b"".join(pieces)
    for got, given_line in zip(found.split(b"\n"), whole.split(b"\n"), strict=True):
        assert got == given_line or (len(got) > MAX_LINE and given_line.startswith(got))


def test_a_line_without_end_takes_no_memory() -> None:
    """Megabytes without a newline are held as one line that is too long."""
    cut = Lines()
    for _ in range(1_000):
        cut.feed(b"x" * 65_536)
    assert cut.size == 0
    assert cut.rest() == b"x" * (MAX_LINE + 1)
    cut.feed(b"\n" + line())
    assert [r.line for r in read(Ndjson(), cut.take()).rejected] == [1]
    assert cut.rest() == line()


async def gathered(*pieces: bytes | None, fails: bool = False, block_bytes: int = 100) -> list[bytes]:
    """The blocks of a body; None is a wait that is longer than blocks wait."""
    waiting, found = asyncio.Event(), []

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            if piece is None:
                waiting.clear()
                await waiting.wait()
            else:
                yield piece
        if fails:
            raise ConnectionError

    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            async for block in blocks(body(), block_bytes, 0.01):
                found.append(block)
                waiting.set()
    return found


async def test_blocks_are_whole_lines_of_some_size() -> None:
    """They grow until they are large enough, or have waited long enough; only the last may lack its newline."""
    assert await gathered(b"a\nb", b"c\nd") == [b"a\nbc\nd"]
    large = b"x" * 99 + b"\n"
    assert await gathered(large, large, b"y") == [large, large, b"y"]
    assert await gathered(b"a\nb", None, b"c\n") == [b"a\n", b"bc\n"]
    assert await gathered() == []
    short = b"?\n" * 15_000
    assert [len(block) for block in await gathered(short, short, short, block_bytes=10**6)] == [
        60_000,
        30_000,
    ]


async def test_a_line_that_broke_off_is_no_line() -> None:
    """Where the body fails, neither its last line nor an unfinished block is given: nobody was promised it."""
    assert await gathered(b"a\n5", fails=True) == []
    assert await gathered(b"a\n5", None, b"5\n", fails=True) == [b"a\n"]


@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=60), st.integers(1, 20))
def test_an_upload_is_split_by_the_partition_of_each_label(batches: list[int], count: int) -> None:
    """Each record holds one partition's labels in the order of the upload, and together they hold all."""
    names = [prediction_id(f"{n:032x}", i) for i, n in enumerate(batches)]
    labels = Labels(names, list(range(len(names))), list(range(len(names))))
    events = split(labels, "u", count)
    assert [partition for partition, _ in events] == sorted(
        {partition_of(name[:32], count) for name in names}
    )
    found = []
    for partition, event in events:
        assert {partition_of(name[:32], count) for name in event.prediction_id} == {partition}
        assert event.truth == sorted(event.truth)  # type: ignore[type-var]
        found += list(zip(event.prediction_id, event.truth, event.label_time, strict=True))
    assert sorted(found) == sorted(zip(names, labels.truth, labels.label_time, strict=True))
