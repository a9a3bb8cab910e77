"""A partition is not taken over on panes that lack what was counted."""

from __future__ import annotations

import pytest
from contracts.events import QualityPaneCounted
from feedback.domain.cells import Cell
from feedback.domain.panes import Position
from feedback.domain.progress import Standing
from feedback.taking_over import check_panes
from servicekit.errors import UserError


def standing(panes: int) -> Standing:
    """Of a partition whose panes end at an offset."""
    return Standing(1, Position(5, 5), 0, Position(), {}, {}, {}, panes, None)


def pane(data: bytes) -> QualityPaneCounted:
    """A published pane of one cell."""
    return QualityPaneCounted(
        model="m", version="1", partition=0, epoch=1, by="prediction", pane_start=0, feature="", positions={},
        cells={"": data},
    )  # fmt: skip


def counted() -> bytes:
    """A cell with a labelled row."""
    cell = Cell()
    cell.tally(0).delays.update([5])
    return cell.to_bytes()


def test_panes_that_fit_are_taken() -> None:
    """Whoever is new has none; panes may have been struck out; there may be more than was told."""
    check_panes(0, None, [], 0)
    check_panes(0, standing(7), [], 7)
    check_panes(0, standing(7), [pane(counted())], 9)


def test_a_topic_that_was_made_anew_is_said() -> None:
    """Its end lies before what the partition's last holder wrote: what is missing would never be counted again."""
    with pytest.raises(UserError, match=r"ends at 3 in partition 2.* delete the topics quality-panes"):
        check_panes(2, standing(7), [], 3)


def test_panes_of_another_version_are_said() -> None:
    """Bytes of an older form are not misread, and not a stack trace either."""
    old = counted().replace(b"\x42", b"\x41")
    with pytest.raises(UserError, match="panes of another version of Atalaia"):
        check_panes(2, standing(7), [pane(old)], 7)
