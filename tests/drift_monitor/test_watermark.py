"""The laws of the watermark."""

from drift_monitor.domain.watermark import NEVER, EndOffsets, Watermark
from hypothesis import given
from hypothesis import strategies as st

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.integers(0, 2), st.integers(0, 100)),
        st.tuples(st.just("read_to"), st.integers(0, 2), st.integers(0, 20)),
        st.tuples(st.just("ends"), st.integers(0, 20), st.integers(0, 20)),
        st.tuples(st.just("flush"), st.integers(0, 100), st.just(0)),
    )
)


@given(STEPS)
def test_watermark_never_goes_back(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is seen, read or asked, the watermark does not fall."""
    watermark, before = Watermark([0, 1, 2]), NEVER
    for what, a, b in steps:
        if what == "see":
            watermark.see(a, b)
        elif what == "read_to":
            watermark.read_to(a, b)
        elif what == "flush":
            watermark.flush(a)
        else:
            watermark.end_offsets(EndOffsets(watermark.newest, {0: a, 1: b, 2: 0}))
        assert watermark.get() >= before
        before = watermark.get()


def test_a_lagging_partition_always_holds() -> None:
    """A partition that is not read to its end holds the watermark, however far the others are."""
    watermark = Watermark([0, 1])
    watermark.see(0, 1000)
    watermark.read_to(0, 10)
    watermark.see(1, 5)
    watermark.read_to(1, 3)
    watermark.end_offsets(EndOffsets(1000, {0: 10, 1: 4}))
    assert watermark.get() == 5
    watermark.read_to(1, 4)
    assert watermark.get() == 1000


def test_an_idle_partition_holds_nothing_back() -> None:
    """An empty partition goes by the others' clock once the broker has named its end."""
    watermark = Watermark([0, 1])
    watermark.read_to(1, 0)
    watermark.see(0, 70)
    assert watermark.get() == NEVER
    assert watermark.wants(60)
    watermark.end_offsets(EndOffsets(70, {0: 5, 1: 0}))
    assert watermark.get() == 70


def test_ends_asked_for_too_early_do_not_count() -> None:
    """Ends that were named before any partition showed a time say nothing about that time."""
    watermark = Watermark([0, 1])
    watermark.see(0, 50)
    watermark.read_to(1, 0)
    watermark.end_offsets(EndOffsets(50, {0: 1, 1: 0}))
    watermark.see(0, 100)
    assert watermark.get() == 50
    assert watermark.wants(100)
