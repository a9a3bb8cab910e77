"""What the first row of the dashboards says in given worlds, by promtool: what is wrong, since when, what was done; and where marks stand."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from dashboards.answers import began, done_last, firing, serves_now, since_when, wrong_in_short, wrong_now
from dashboards.board import CHANGED, TRAINING
from dashboards.promql import filled
from real_prometheus import CONFIG, tool

pytestmark = [pytest.mark.tools, pytest.mark.timeout(300)]

World = Mapping[str, str | float]
SILENT = "not known: the trainer says nothing"
HEARTBEAT = 'alertname="Heartbeat", severity="notice", about="Prometheus"'
KNOWN: World = {
    f'ALERTS{{{HEARTBEAT}, alertstate="firing"}}': 1,
    f"ALERTS_FOR_STATE{{{HEARTBEAT}}}": 10,
    'atalaia_drift_state{model="m", kind="virtual", job="drift-monitor", instance="d"}': 2,
    'up{job="trainer", instance="t"}': 1,
}
DRIFT = 'alertname="InputDrift", severity="ticket", about="m inputs", model="m", kind="virtual"'
OPEN: World = {
    f'ALERTS{{{DRIFT}, alertstate="firing"}}': 1,
    f"ALERTS_FOR_STATE{{{DRIFT}}}": 500,
    'atalaia_alert_since_seconds{model="m", kind="virtual", job="drift-monitor", instance="d"}': 100,
    'atalaia_alert_open{model="m", kind="virtual", alert_id="a2", job="drift-monitor", instance="d"}': 1,
}
ACTED: World = {
    'atalaia_action_at_seconds{model="m", action="started", reason="virtual", run="r", job="trainer", instance="t"}': 90,
    'atalaia_alert_action_at_seconds{model="m", alert_id="a1", action="promoted", job="trainer", instance="t"}': 80,
}
WRONG = {
    "alertname": "InputDrift",
    "severity": "ticket",
    "about": "m inputs",
    "model": "m",
    "kind": "virtual",
}


def down(instance: str) -> str:
    """The labels of an alert about a predictor."""
    about = f"predictor {instance}"
    return (
        f'alertname="ServiceDown", severity="page", about="{about}", job="predictor", instance="{instance}"'
    )


def serving(instance: str, action: str, version: str, at: int) -> World:
    """What a predictor says of what it serves."""
    where = f'job="predictor", instance="{instance}"'
    return {
        f'atalaia_model_info{{{where}, model="m", action="{action}", version="{version}"}}': 2,
        f'atalaia_model_since_seconds{{{where}, model="m"}}': at,
    }


def says(folder: Path, expr: str, world: World, expected: Mapping[tuple[tuple[str, str], ...], float]) -> str:
    """What promtool has against it that an expression has these samples at ten minutes; empty where it has."""
    series = [
        {"series": name, "values": values if isinstance(values, str) else f"{values:g}x40"}
        for name, values in world.items()
    ]
    samples = [
        {"labels": "{" + ", ".join(f'{n}="{v}"' for n, v in labels) + "}", "value": value}
        for labels, value in expected.items()
    ]
    asked = {"expr": filled(expr, {"model": "m"}), "eval_time": "10m", "exp_samples": samples}
    test = {"interval": "15s", "input_series": series, "promql_expr_test": [asked]}
    path = folder / "test.yml"
    recorded = {"rule_files": [str(CONFIG / "rules" / "recording.yml")], "evaluation_interval": "15s"}
    path.write_text(yaml.safe_dump(recorded | {"tests": [test]}), encoding="utf-8")
    done = subprocess.run(
        [tool("promtool"), "test", "rules", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def labels(**of: str) -> tuple[tuple[str, str], ...]:
    """As a sample has them."""
    return tuple(of.items())


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (KNOWN | OPEN | ACTED, {labels(**WRONG, answer="InputDrift"): 500_000}),
        (
            KNOWN
            | OPEN
            | ACTED
            | {key.replace("a1", "a2").replace("promoted", "started"): at for key, at in ACTED.items()},
            {labels(**WRONG, answer="started"): 500_000},
        ),
        (KNOWN | OPEN, {labels(**WRONG, answer=SILENT): 500_000}),
        (
            {key: at for key, at in (KNOWN | OPEN | ACTED).items() if "since" not in key},
            {labels(**WRONG, answer="InputDrift"): 500_000},
        ),
        (
            {
                key: 0 if "drift_state" in key else at
                for key, at in (KNOWN | OPEN | ACTED).items()
                if "since" not in key and "open" not in key
            },
            {labels(alertname="none"): 0},
        ),
        (KNOWN, {labels(alertname="none"): 0}),
        (
            {key: value for key, value in KNOWN.items() if "drift_state" not in key},
            {labels(alertname="not known"): -1},
        ),
        ({}, {labels(alertname="not known"): -1}),
    ],
    ids=[
        "not acted on",
        "acted on",
        "the trainer is silent",
        "since when is not said",
        "just closed",
        "nothing",
        "the monitor is away",
        "no alerts are computed",
    ],
)
def test_drift_and_what_was_done_about_it(
    tmp_path: Path, world: World, expected: Mapping[tuple[tuple[str, str], ...], float]
) -> None:
    """Since when it is known, and the newest action on this alert, not on another; nothing only where it is known."""
    assert says(tmp_path, wrong_now(), world, expected) == ""


def test_since_when_the_world_has_changed_stands_beside_it(tmp_path: Path) -> None:
    """By event time, in the same row: the labels are those of what is wrong, whatever was done."""
    acted = {key.replace("a1", "a2").replace("promoted", "started"): at for key, at in ACTED.items()}
    for world, answer in ((KNOWN | OPEN | ACTED, "InputDrift"), (KNOWN | OPEN | acted, "started")):
        assert says(tmp_path, wrong_now(), world, {labels(**WRONG, answer=answer): 500_000}) == ""
        assert says(tmp_path, began(), world, {labels(**WRONG, answer=answer): 100_000}) == ""
    unsaid = {key: at for key, at in (KNOWN | OPEN | ACTED).items() if "since" not in key}
    assert says(tmp_path, began(), unsaid, {}) == ""


def test_what_is_wrong_is_told_one_by_one(tmp_path: Path) -> None:
    """Two predictors are two rows, each since its own time; other models', strangers' and notices are left out."""
    world = KNOWN | {
        f'ALERTS{{{down("p1")}, alertstate="firing"}}': 1,
        f'ALERTS{{{down("p2")}, alertstate="firing"}}': 1,
        f'ALERTS{{{down("p3")}, alertstate="pending"}}': 1,
        f"ALERTS_FOR_STATE{{{down('p1')}}}": 300,
        f"ALERTS_FOR_STATE{{{down('p2')}}}": 400,
        f"ALERTS_FOR_STATE{{{down('p3')}}}": 590,
        'ALERTS{alertname="RolledBack", severity="notice", about="m version 1", model="m", version="1", alertstate="firing"}': 1,
        'ALERTS_FOR_STATE{alertname="RolledBack", severity="notice", about="m version 1", model="m", version="1"}': 1,
        'ALERTS{alertname="DiskFull", severity="page", alertstate="firing"}': 1,
        'ALERTS_FOR_STATE{alertname="DiskFull", severity="page"}': 1,
        'ALERTS{alertname="LabelsMissing", severity="ticket", about="m2", model="m2", alertstate="firing"}': 1,
        'ALERTS_FOR_STATE{alertname="LabelsMissing", severity="ticket", about="m2", model="m2"}': 1,
    }
    row = {"alertname": "ServiceDown", "severity": "page", "answer": "ServiceDown"}
    assert says(
        tmp_path,
        wrong_now(),
        world,
        {
            labels(**row, about="predictor p1"): 300_000,
            labels(**row, about="predictor p2"): 400_000,
        },
    ) == ""  # fmt: skip
    assert says(tmp_path, since_when(), world, {labels(said="wrong since"): 300_000}) == ""
    assert says(tmp_path, wrong_in_short(), world, {labels(alertname="ServiceDown"): 300_000}) == ""


def test_nothing_is_wrong_since_the_last_alert_ended(tmp_path: Path) -> None:
    """As far as the time that is shown goes back, to an interval of the rules."""
    world = KNOWN | {
        f'ALERTS{{{down("p1")}, alertstate="firing"}}': "1x13 stale",
        f"ALERTS_FOR_STATE{{{down('p1')}}}": "5x13 stale",
    }
    assert says(tmp_path, wrong_now(), world, {labels(alertname="none"): 195_000}) == ""
    assert says(tmp_path, since_when(), world, {labels(said="all well since"): 195_000}) == ""


def test_since_when_is_not_said_where_nobody_knows(tmp_path: Path) -> None:
    """No time where no alerts are computed, and 0 where nothing was wrong in the time that is shown."""
    assert says(tmp_path, since_when(), {}, {}) == ""
    assert says(tmp_path, since_when(), KNOWN, {labels(said="all well since"): 0}) == ""


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (
            KNOWN | ACTED | serving("p1", "promoted", "2", 70),
            {labels(action="started", reason="virtual", run="r"): 90_000},
        ),
        (
            {**serving("p1", "rolled_back", "1", 70), **serving("p2", "rolled_back", "1", 70)},
            {labels(action="serves again", version="1"): 70_000},
        ),
        (KNOWN, {labels(action="nothing yet"): 0}),
        ({}, {labels(action="not known"): -1}),
    ],
    ids=["the trainer says", "without a trainer", "nothing yet", "nobody says"],
)
def test_what_was_done(
    tmp_path: Path, world: World, expected: Mapping[tuple[tuple[str, str], ...], float]
) -> None:
    """The trainer's word, or without one what the predictors serve; nothing only where somebody would know."""
    assert says(tmp_path, done_last(), world, expected) == ""
    in_words = {
        tuple((name, f"version {value}" if name == "version" else value) for name, value in of): at
        for of, at in expected.items()
    }
    assert says(tmp_path, done_last(newest=True), world, in_words) == ""


def test_the_newest_is_one(tmp_path: Path) -> None:
    """Of all that the trainer says the last by the clock, whatever it is about; to wait for rows or to keep a version is no deed."""
    done = 'atalaia_action_at_seconds{model="m", action="%s", version="%s", run="%s", job="trainer", instance="t"}'
    world = KNOWN | {
        done % ("started", "", "r"): 50,
        done % ("promoted", "2", "r"): 70.25,
        done % ("approved", "2", "r"): 70,
        done % ("kept", "2", ""): 80,
        done % ("waits for rows", "", ""): 85,
        done.replace('"m"', '"m2"') % ("promoted", "2", "s"): 90,
    }
    newest = {labels(action="promoted", version="version 2", run="r"): 70_250}
    assert says(tmp_path, done_last(newest=True), world, newest) == ""


def test_where_nothing_was_done_that_is_known_what_serves_is_told(tmp_path: Path) -> None:
    """A trainer that knows only of a review leaves it to the predictors."""
    kept = 'atalaia_action_at_seconds{model="m", action="kept", version="2", job="trainer", instance="t"}'
    world = KNOWN | serving("p1", "promoted", "2", 70) | {kept: 80}
    told = {labels(action="promoted", version="version 2"): 70_000}
    assert says(tmp_path, done_last(newest=True), world, told) == ""
    assert says(tmp_path, done_last(), world, {labels(action="kept", version="2"): 80_000}) == ""


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (
            {**serving("p1", "promoted", "2", 70), **serving("p2", "promoted", "2", 71)},
            {labels(version="version 2"): 1},
        ),
        (
            {
                **serving("p1", "rolled_back", "1", 80),
                **serving("p2", "promoted", "2", 70),
                **serving("p3", "installed", "1", 60),
            },
            {labels(version="version 1"): 2, labels(version="version 2"): 1},
        ),
        ({}, {labels(version="none"): -1}),
    ],
    ids=["one", "while some have not taken it up", "nobody says"],
)
def test_which_version_serves(
    tmp_path: Path, world: World, expected: Mapping[tuple[tuple[str, str], ...], float]
) -> None:
    """Each version once, however many serve it; 2 where it serves again after a rollback."""
    assert says(tmp_path, serves_now(), world, expected) == ""


def test_marks_stand_where_it_was_done(tmp_path: Path) -> None:
    """Their values are when: of each change of what serves, and of each step of each training but waiting for rows."""
    done = 'atalaia_action_at_seconds{model="m", action="%s", version="%s", run="%s", job="trainer", instance="t"}'
    world = KNOWN | serving("p1", "rolled_back", "1", 95) | {
        done % ("waits for rows", "", ""): 40,
        done % ("started", "", "r"): 50,
        done % ("waits for shadow", "2", "r"): 60,
        done % ("promoted", "2", "r"): 70.25,
        done % ("kept", "2", ""): 80,
        done % ("started", "", "s"): 90,
        done % ("rolled_back", "2", ""): 95,
    }  # fmt: skip
    trained = {
        labels(action="started", run="r"): 50_000,
        labels(action="waits for shadow", version="2", run="r"): 60_000,
        labels(action="started", run="s"): 90_000,
    }
    changed = {
        labels(action="promoted", version="2"): 70_250,
        labels(action="rolled back", version="2"): 95_000,
    }
    assert says(tmp_path, TRAINING, world, trained) == ""
    assert says(tmp_path, CHANGED, world, changed) == ""


def test_without_a_trainer_marks_say_what_serves(tmp_path: Path) -> None:
    """Since its event, whenever a predictor began: two of them are one mark."""
    world = {**serving("p1", "installed", "1", 70), **serving("p2", "installed", "1", 70)}
    assert says(tmp_path, CHANGED, world, {labels(action="installed", version="1"): 70_000}) == ""


def test_two_words_on_one_alert_are_two_rows(tmp_path: Path) -> None:
    """While one trainer takes over from another both may speak: the rules are computed all the same."""
    theirs = (
        'atalaia_alert_action_at_seconds{model="m", alert_id="a2", action="%s", job="trainer", instance="%s"}'
    )
    world = KNOWN | OPEN | ACTED | {theirs % ("started", "t1"): 90, theirs % ("promoted", "t2"): 95}
    expected = {labels(**WRONG, answer=action): 500_000 for action in ("promoted", "started")}
    assert says(tmp_path, wrong_now(), world, expected) == ""
    assert says(tmp_path, wrong_in_short(), world, {labels(alertname="InputDrift"): 500_000}) == ""


def test_another_models_trainings_say_nothing_of_this_one(tmp_path: Path) -> None:
    """Whether the trainer speaks is asked of each model."""
    other = {key.replace('model="m"', 'model="m2"'): at for key, at in ACTED.items()}
    assert says(tmp_path, wrong_now(), KNOWN | OPEN | other, {labels(**WRONG, answer=SILENT): 500_000}) == ""


def test_what_promtool_refuses_is_found_out(tmp_path: Path) -> None:
    """The check can fail."""
    assert "InputDrift" in says(tmp_path, firing(), KNOWN | OPEN, {})
