"""The view in a terminal: the same answers, whatever its size, and nothing that would command it."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import told
from atalaia.watch.command import run
from atalaia.watch.terminal import frame
from rich.console import Console
from servicekit.errors import UserError


def printed(reading: Any, model: str = "", width: int = 120, lines: int | None = None) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    console.print(frame(reading, model, console, lines=lines))
    return out.getvalue()


def test_the_answers_come_first(drifting: Any) -> None:
    """What is wrong, since when and what was done, then features, quality and the train of events."""
    text = printed(drifting)
    places = [text.index(each) for each in (
        "DRIFT", "The inputs origin and temp have changed", "1970-01-01 06:00 UTC", "Version 2 was refused",
        "temp", "accuracy", "refused", "Following kafka.example:9092",
    )]  # fmt: skip
    assert places[:4] == sorted(places[:4])
    assert places[-1] == max(places)


@pytest.mark.parametrize(("width", "lines"), [(80, 24), (60, 30), (200, 60)])
def test_a_frame_fits_its_terminal(drifting: Any, width: int, lines: int) -> None:
    """No line is wider than the terminal; where it is low there are fewer features, and that is said."""
    text = printed(drifting, width=width, lines=lines)
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) <= lines
    assert re.search(r"^ origin +drifted +V 0.500", text, re.M)
    assert "Following" in " ".join(text.splitlines()[-2:])
    assert "The inputs origin and temp" in " ".join(text.split())
    if lines < 60:
        assert "more, which differ less" in text


def test_a_persons_turn_and_the_rows_that_trained_are_said(drifting: Any) -> None:
    """The first line names the wait, the command stands below it on the smallest terminal too; selections are a line."""
    drifting.tell(
        told.won("waiting", 9, waits_for="approval", reason="waiting for approval: better: 0.92 against 0.52")
    )
    for lines in (None, 24):
        text = printed(drifting, lines=lines)
        assert text.startswith(" DRIFT: a winner waits for approval")
        assert 'atalaia approve m --reason "..."' in text
        assert lines is None or len(text.splitlines()) <= lines
    text = " ".join(printed(drifting).split())
    assert (
        "Which rows trained it (rows, accuracy, held out, which): all: 5,618, 0.56, from the beginning; weighted"
        in text
    )
    assert "✓ since the change: 515, 0.92, since 1970-01-01 02:00" in text
    assert "make worse" not in text, "what is held needs no line"


def test_figures_of_a_replaced_version_bear_its_number(drifting: Any) -> None:
    """After a promotion, tiles and quality are the old version's until the new one has its own, and say so."""
    assert "replaced" not in printed(drifting)
    drifting.tell(told.change("2", 10))
    text = printed(drifting)
    assert "of version 1, replaced; version 2 has none yet" in text
    assert "window to 1970-01-01 10:00, version 1, replaced" in " ".join(text.split())


def test_what_there_is_to_do_stands_below_the_first_line(drifting: Any) -> None:
    """Before since and done, be it nothing, as on the page."""
    text = printed(drifting)
    assert text.index(" now ") < text.index(" to do ") < text.index(" since ") < text.index(" done ")
    assert "Nothing: the trainer tries again by itself once more rows are labelled." in text


def test_no_name_commands_the_terminal(made: Any) -> None:
    """Escape sequences and markup in what others wrote are shown as signs."""
    evil = "\x1b[2J[bold]temp"
    made.tell(
        told.installed(), told.window(1, features={evil: told.feature(0.5, drifted=True)}, status="drift")
    )
    text = printed(made)
    assert "\x1b" not in text
    assert "�[2J[bold]temp" in text


def test_nothing_and_nobody_are_said(made: Any) -> None:
    """Before there are models, and where the one that is asked for is none."""
    assert "No model has reported yet." in printed(made)
    made.tell(told.installed())
    assert "The topics name no model x; they name m." in printed(made, "x")


def test_other_models_are_named(drifting: Any) -> None:
    """The one in trouble is shown; the others stand below, with how they do."""
    drifting.tell(told.window(1, model="other"))
    assert "Other models, with --model: other (steady)" in printed(drifting)


def test_a_page_is_not_printed_once() -> None:
    """--web and --once exclude each other."""
    with pytest.raises(UserError, match="either --web"):
        run("", 120, web=True, once=True, host="", port=0)
