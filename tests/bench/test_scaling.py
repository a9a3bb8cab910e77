"""How workers are limited, and what is said of one against two."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # its modules know each other by their names

from predictor_processes import processor  # noqa: E402
from scaling_found import Found, compared  # noqa: E402
from scaling_shares import Meter, limited  # noqa: E402


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
