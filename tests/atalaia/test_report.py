"""The report, from made-up events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
from atalaia.demo.alerts import tell
from atalaia.demo.figures import Scores
from atalaia.demo.replay import Sent
from atalaia.demo.report.page import write_page
from atalaia.demo.run import _summary
from atalaia.demo.worlds import Check, Evidence
from atalaia.demo.worth import Worth


def _write(made: ModuleType, path: Path, worth: Mapping[str, Worth] | None = None) -> str:
    story = made.make_story()
    n = len(story.outcomes)
    p = np.full(n, 0.5)
    scores = Scores(story.outcomes, (["no"] * n, {"no": p, "yes": p}))
    pauses = {
        "count": 2, "seconds": 3.0, "longest": [],
        "for_trainings": {"count": 1, "seconds": 2.0}, "to_catch_up": {"count": 1, "seconds": 1.0},
    }  # fmt: skip
    evidence = Evidence(story, Sent(), scores, made.HOUR)
    summary = _summary("flights", evidence, {}, pauses, {}, [Check("a <thing>", True, "seen & done")])
    summary |= {
        "settings": {"alpha": 0.01, "min_effect": 0.1, "correction": "bh"},
        "windows": scores.by_window(0, made.HOUR),
        "seconds": {"total": 1.0},
        "alerts_judged": tell(story, worth or {}),
    }
    write_page(path, story, summary)
    return path.read_text()


def test_report_needs_nothing_else(made: ModuleType, tmp_path: Path) -> None:
    """The page refers to no other file, script or address, and its figures are inline."""
    text = _write(made, tmp_path / "report.html")
    assert text.count("<svg") == 3
    assert not re.search(r"<script|<link|<img|@import|url\(h", text)
    assert not re.search(r'(src|href)="(?!#)', text)


def test_report_follows_light_and_dark(made: ModuleType, tmp_path: Path) -> None:
    """No role's colour is left as a number in a figure: each is a variable of the page."""
    text = _write(made, tmp_path / "report.html")
    assert "#0102" not in text
    assert {"var(--served)", "var(--alarm)", "var(--band)"} <= set(re.findall(r"var\(--\w+\)", text))


def test_report_says_what_an_alert_led_to(made: ModuleType, tmp_path: Path) -> None:
    """Beside the alert stands whether the version it led to was better, where that is known."""
    assert "better, within chance" not in _write(made, tmp_path / "report.html")
    worth = {"7": Worth("7", "1", "log loss", 100, 0.5, 0.49, -0.01, 0.03)}
    text = _write(made, tmp_path / "report.html", worth)
    assert "0.5000 → 0.4900, +0.0100 (-0.0100 to +0.0300) on 100 rows: better, within chance" in text


def test_report_shows_decisions_with_reasons_escaped(made: ModuleType, tmp_path: Path) -> None:
    """A reason is shown as text, whatever is in it."""
    text = _write(made, tmp_path / "report.html")
    assert "&lt;worse&gt;" in text
    assert "a &lt;thing&gt;" in text
    HTMLParser().feed(text)


def test_ids_of_figures_do_not_collide(made: ModuleType, tmp_path: Path) -> None:
    """An id occurs once in the page, else a clip path of one figure would cut another."""
    ids = re.findall(r'\bid="([^"]+)"', _write(made, tmp_path / "report.html"))
    assert len(ids) == len(set(ids))
