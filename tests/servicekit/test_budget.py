"""The false-alarm budget in words."""

from __future__ import annotations

import pytest
from servicekit.budget import alpha_of
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("words", "step", "alpha"),
    [
        ("1 per 1000 windows", HOUR, 0.001),
        ("1 a month", HOUR, 1 / 720),
        ("2 per 3 months", HOUR, 2 / 2160),
        ("1  per   week", HOUR, 1 / 168),
        ("0.5 a year", 24 * HOUR, 0.5 / 365),
    ],
)
def test_words_become_a_share_of_windows(words: str, step: int, alpha: float) -> None:
    """So many alarms in a span are so many windows in the windows of that span."""
    assert alpha_of(words, step) == pytest.approx(alpha)


@pytest.mark.parametrize("words", ["", "often", "1 per fortnight", "0 a month", "1 per 0 windows", "5 a day"])
def test_what_cannot_be_a_budget_is_refused(words: str) -> None:
    """Not understood, nothing at all, or more than a twentieth of all quiet windows."""
    with pytest.raises(ValueError, match=r"budget|above zero|quiet windows"):
        alpha_of(words, HOUR)


def test_a_wrong_setting_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack trace: the variable, what is wrong, and where to read."""
    monkeypatch.setenv("ATALAIA_WINDOW_MS", "an hour")
    with pytest.raises(UserError, match="ATALAIA_WINDOW_MS cannot be used") as caught:
        read_settings()
    assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setenv("ATALAIA_WINDOW_MS", "1000")
    monkeypatch.setenv("ATALAIA_FALSE_ALARMS", "1 a minute")
    with pytest.raises(UserError, match="is not a budget"):
        read_settings()


def test_the_default_budget_is_one_window_in_a_thousand() -> None:
    """Whatever the window's size."""
    assert Settings().alpha == 0.001
    assert Settings().window_scales == (1, 2)
