"""The wines after their change: the trainer's choice of rows against the thesis's way and against doing nothing."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("ATALAIA_WINE_CSV", "")
ORDERS = 60
pytestmark = pytest.mark.skipif(
    not Path(DATA).is_file(), reason="set ATALAIA_WINE_CSV to winequality-red.csv"
)


@pytest.fixture(scope="module")
def table() -> Iterator[Any]:
    """What each way is worth, in sixty fixed orders of the rows, once 240 rows of the new regime have labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATALAIA_WINE_CSV", DATA)
        patch.syspath_prepend(str(ROOT / "projects" / "wine-quality" / "src"))
        yield importlib.import_module("wine_policies").compare(range(ORDERS))


def paired(table: Any, better: str, worse: str) -> tuple[float, float]:
    """The mean difference over the orders, and its standard error."""
    difference = table[better] - table[worse]
    return float(difference.mean()), float(difference.std() / len(table) ** 0.5)


def test_the_chosen_rows_beat_the_new_regime_alone(table: Any) -> None:
    """On rows that nobody has seen the chosen candidate is more accurate than the thesis's way, by more than two standard errors."""
    mean, error = paired(table, "chosen", "thesis")
    assert mean > 2 * error
    assert mean > 0.01


def test_what_serves_never_falls_below_the_champion(table: Any) -> None:
    """With the challenge in between: better on the mean by more than two standard errors, and hardly ever worse."""
    mean, error = paired(table, "served", "champion")
    assert mean > 2 * error
    assert (table["served"] < table["champion"]).mean() <= 0.05
    assert table["promoted"].mean() > 1 / 4
