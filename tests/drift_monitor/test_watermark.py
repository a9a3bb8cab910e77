"""The laws of the watermark, and of the progress it goes by."""

from contracts.events import ProgressMade
from drift_monitor.domain.panes import Counter, Position
from drift_monitor.domain.progress import Progress
from drift_monitor.domain.watermark import NEVER, Watermark
from drift_monitor.domain.windows import Grid
from hypothesis import given
from hypothesis import strategies as st

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.integers(0, 2), st.integers(0, 100)),
        st.tuples(st.just("asked"), st.integers(0, 100), st.just(0)),
        st.tuples(st.just("flush"), st.integers(0, 100), st.just(0)),
    )
)


@given(STEPS)
def test_watermark_never_goes_back(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is seen or asked, the watermark does not fall, and nothing is asked for twice."""
    watermark, before, asked = Watermark([0, 1, 2]), NEVER, NEVER
    for what, a, b in steps:
        if what == "see":
            watermark.see(a, b)
        elif what == "flush":
            watermark.flush(a)
        else:
            watermark.asked(a)
            asked = max(asked, a)
        assert watermark.get() >= before
        assert not watermark.wants(asked)
        before = watermark.get()


class Reader:
    """A counter of two partitions and the watermark that goes by it; model m."""

    def __init__(self, *offsets: int) -> None:
        self.counter, self.watermark = Counter(Grid(0, 10, 10, 0)), Watermark([0, 1])
        for partition, offset in enumerate(offsets):
            self.counter.take(partition, 0, Position(offset), [])

    def at(self, partition: int, clock: int) -> None:
        """A partition shows an event time."""
        self.counter.advance("m", clock, {p: 0 if p == partition else 2**60 for p in (0, 1)})
        self.hear()

    def hear(self) -> int:
        """What the watermark says now."""
        for partition in (0, 1):
            if (clock := self.counter.position(partition).clocks.get("m")) is not None:
                self.watermark.see(partition, clock)
        return self.watermark.get()


def test_a_lagging_partition_always_holds() -> None:
    """A partition that is not counted to its end holds the watermark, however far the others are."""
    reader = Reader(10, 3)
    reader.at(0, 1000)
    reader.at(1, 5)
    assert reader.counter.advance("m", 1000, {0: 10, 1: 4}) == set()
    assert reader.hear() == 5
    reader.counter.absorb([], {}, {1: 4})
    assert reader.counter.advance("m", 1000, {0: 10, 1: 4}) == {1}
    assert reader.hear() == 1000


def test_an_idle_partition_holds_nothing_back() -> None:
    """An empty partition goes by the others' clock once the broker has named its end."""
    reader = Reader(5, 0)
    reader.at(0, 70)
    assert reader.hear() == NEVER
    assert reader.watermark.wants(60)
    reader.counter.advance("m", 70, {0: 5, 1: 0})
    assert reader.hear() == 70


def test_ends_asked_for_too_early_do_not_count() -> None:
    """Ends that were named before any partition showed a time say nothing about that time."""
    reader = Reader(5, 5)
    reader.at(0, 100)
    reader.watermark.asked(100)
    assert not reader.watermark.wants(100)
    reader.at(0, 200)
    assert reader.watermark.wants(150)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("claimed"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("counted"), st.integers(0, 1), st.integers(0, 3)),
        st.tuples(st.just("ended"), st.integers(0, 9), st.just(0)),
    ),
    max_size=30,
)


@given(EVENTS, st.data())
def test_compaction_changes_no_progress(steps: list[tuple[str, int, int]], data: st.DataObject) -> None:
    """Of any beginning of the log the last of each key is left; workers taken for dead go on writing all the while."""
    written: list[tuple[str, ProgressMade]] = []
    claims: dict[int, list[int]] = {0: [], 1: []}

    def counted(partition: int, epoch: int) -> None:
        event = ProgressMade(
            what="counted", worker="", partition=partition, epoch=epoch,
            offsets={str(partition): len(written)}, clocks={"m": len(written)},
        )  # fmt: skip
        written.append((f"counted/{partition}/{epoch}", event))

    for what, a, back in steps:
        if what == "ended":
            # who asks has seen more than who asked before
            event = ProgressMade(what="ended", worker="", offsets={"0": a}, clocks={"m": len(written)})
            written.append((f"ended/m/{a % 2}", event))
        elif what == "claimed":
            claims[a].append(len(written))
            written.append((f"claimed/{a}", ProgressMade(what="claimed", worker="", partition=a)))
            counted(a, claims[a][-1])  # a holder says at once where it begins
        elif claims[a]:
            counted(a, claims[a][-1 - min(back, len(claims[a]) - 1)])
    head = data.draw(st.integers(0, len(written)))
    last = {key: offset for offset, (key, _) in enumerate(written[:head])}
    whole, compacted = Progress(), Progress()
    for offset, (key, event) in enumerate(written):
        whole.take(offset, event)
        if offset >= head or last[key] == offset:
            compacted.take(offset, event)
    assert compacted.epochs == whole.epochs
    assert compacted.counted == whole.counted
    assert {m: e.at for m, e in compacted.ended.items()} == {m: e.at for m, e in whole.ended.items()}
