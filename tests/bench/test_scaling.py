"""How workers are limited, and what is said of one against two."""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from contracts.events import PaneCounted

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # its modules know each other by their names

from predictor_processes import processor  # noqa: E402
from scaling_bench import Run  # noqa: E402
from scaling_found import Found, compared  # noqa: E402
from scaling_monitors import rows_of  # noqa: E402
from scaling_shares import Meter, limited  # noqa: E402
from scaling_waits import Missing, until, within  # noqa: E402


def test_a_limited_process_has_its_share_and_all_of_it_after() -> None:
    """A process that always wants to run has no more than its share of the time, and is not left stopped."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with limited([busy.pid], 0.2):
            meter = Meter([[busy.pid]], [])
            time.sleep(2)
            wall, (used,), _, _ = meter.read()
            assert 0 < used / wall < 0.4
        before, deadline = processor([busy.pid]), time.monotonic() + 30
        while processor([busy.pid]) < before + 0.1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        busy.kill()
        busy.wait()


def test_two_are_held_against_one_of_the_same_round() -> None:
    """Ratios are medians of the rounds' ratios; the rate has a goal only where each worker has a share of a core."""
    one = [Found(rate, [100], [1e-4], 1e-4, 1.0, 0.0) for rate in (10.0, 100.0, 40.0)]
    two = [Found(rate, [60, 40], [6e-5, 6e-5], 1e-4, 1.0, 0.0) for rate in (19.0, 100.0, 80.0)]
    figures = {f.figure: f for f in compared("w", one, two, limited=True)}
    assert figures["w: two to one"].value == 1.9
    assert figures["w: two to one"].met
    assert figures["w: a row's cost, two to one"].value == pytest.approx(1.2)
    assert figures["w: rows that the lesser of two had"].value == 0.4
    free = {f.figure: f for f in compared("w", one, two, limited=False)}
    assert free["w: two to one"].met is None


def test_what_was_lost_twice_or_refused_misses_a_goal() -> None:
    """Each is a figure over all rounds with the goal 0; refused is none where nothing is requested."""
    one = [Found(10.0, [100], [1e-4], 1e-4, 1.0, 0.0, lost=2) for _ in range(2)]
    two = [Found(10.0, [60, 40], [6e-5, 6e-5], 1e-4, 1.0, 0.0) for _ in range(2)]
    figures = {f.figure: f for f in compared("w", one, two, limited=False)}
    assert (figures["w: lost"].value, figures["w: lost"].met) == (4, False)
    assert (figures["w: twice"].value, figures["w: twice"].met) == (0, True)
    assert "w: refused" not in figures
    two[0].refused = 1
    assert {f.figure: f.value for f in compared("w", one, two, limited=False)}["w: refused"] == 1


async def test_a_wait_ends_and_names_what_did_not_come() -> None:
    """Neither a fact that never holds nor work that never ends is waited for without an end."""
    with pytest.raises(Missing, match=r"^the moon: not so after 0 s$"):
        await until("the moon", lambda: False, 0.1)
    with pytest.raises(Missing, match=r"^tides: not done after 0 s$"):
        await within("tides", asyncio.Event().wait(), 0.1)


async def test_one_comparison_that_does_not_end_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing is said in one line and counted; the other way's figures are there."""

    async def drive(workers: int, share: float | None) -> Found:
        if share is None:
            raise Missing("they do not\nanswer")
        return Found(10.0 * workers, [100] * workers, [1e-4] * workers, 1e-4, 1.0, 0.0)

    run = Run(tmp_path, argparse.Namespace(rounds=1))
    await run.rounds("w", drive)
    assert run.failed == ["w, all cores"]
    assert re.search(r"^w, all cores: NOT ENDED: they do not answer$", capsys.readouterr().out, re.MULTILINE)
    figures = {f.figure: f.value for f in run.figures}
    assert figures["w, a fifth of a core each: two to one"] == 2.0


def test_of_a_panes_records_the_newest_counts() -> None:
    """Panes are cumulative: a later epoch, then a later offset, replaces; late rows are beside their pane's."""

    def pane(epoch: int, offset: int, rows: int, late: int = 0) -> PaneCounted:
        return PaneCounted("m", "1", 0, epoch, 0, 60_000, rows, {}, {}, offset, late)

    assert rows_of([pane(1, 9, 100), pane(2, 4, 50), pane(2, 3, 40), pane(2, 9, 0, late=7)]) == 57
