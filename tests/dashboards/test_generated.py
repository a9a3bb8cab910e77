"""The JSON that Grafana is given is what the code says, and each dashboard keeps to the common look."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards import answers, look
from dashboards.asked import asked
from dashboards.generate import generated, main
from dashboards.promql import unknown
from prometheus_rules import RECORDED, rules
from servicekit.metrics import ALL

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"
BOARDS = {name: json.loads(text) for name, text in generated().items()}
NAMES = ("GREEN", "YELLOW", "RED", "BLUE", "ORANGE", "PURPLE", "GREY")
COLOURS = {getattr(look, name) for name in NAMES}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """A dashboard's panels that are no rows, those in closed rows too."""
    each = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]
    return [panel for panel in each if panel["type"] != "row"]


def would_match(pattern: str, legend: str) -> bool:
    """Whether a name of the legend's form is all that a pattern says: Grafana anchors it at both ends."""
    word = re.sub(
        r"\((\w+)\|.*\)|\[(.).*\]", r"\1\2", pattern.strip("^$")
    )  # the first of what may stand there
    word = word.replace(".*", "").replace(".", "0").removeprefix(legend.partition("{{")[0])
    labels = re.findall(r"{{\w+}}", legend)
    names = [re.sub(r"{{\w+}}", "any", legend.replace(label, word)) for label in labels]
    return any(re.fullmatch(pattern, name) for name in names)


def colours_in(node: Any) -> set[str]:
    """All colours anywhere in a panel."""
    if isinstance(node, dict):
        named = {
            value for key, value in node.items() if key in ("color", "fixedColor") and isinstance(value, str)
        }
        return named.union(*map(colours_in, node.values()))
    return set().union(*map(colours_in, node)) if isinstance(node, list) else set()


def test_the_committed_json_is_current() -> None:
    """grafana/dashboards holds what the code makes, and nothing else."""
    committed = {p.name: p.read_text(encoding="utf-8") for p in (GRAFANA / "dashboards").iterdir()}
    assert committed == generated()


def test_the_gate_fails_for_what_is_not_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was changed by hand, one that is missing and one that nobody makes are each named."""
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "service.json").write_text("{}\n", encoding="utf-8")
    (tmp_path / "pipeline.json").unlink()
    (tmp_path / "old.json").write_text("{}\n", encoding="utf-8")
    assert main(["--check", str(tmp_path)]) == 1
    assert [line.split()[0].rpartition("/")[2] for line in capsys.readouterr().err.splitlines()] == [
        "old.json",
        "pipeline.json",
        "service.json",
    ]


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_asks_for_what_is_exposed(name: str) -> None:
    """Each metric of each panel, mark and variable is one of servicekit.metrics with labels that it has, or recorded."""
    wrong = {query.title: unknown(query.expr, RECORDED) for query in asked(BOARDS[name])}
    for query in asked(BOARDS[name]):  # what stands before the grey word is asked alone of a real Prometheus
        assert unknown(query.expr.partition(look.NOBODY_KNOWS)[0], RECORDED) == wrong[query.title], (
            query.title
        )
    assert {title: found for title, found in wrong.items() if found} == {}


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows(name: str) -> None:
    """Each has a description, a unit, a word for no data, queries of the provisioned source, and the common colours."""
    for panel in panels(BOARDS[name]):
        title = panel["title"]
        assert len(panel["description"]) > 10, title
        assert panel["targets"], title
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}, title
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["noValue"], title
        assert defaults.get("unit") or panel["type"] in ("state-timeline", "table"), title
        assert colours_in(panel) <= COLOURS, title
    titles = [panel["title"] for panel in panels(BOARDS[name])]
    assert [title for title in titles if titles.count(title) > 1] in ([], ["Spool", "Spool"])


@pytest.mark.parametrize("name", BOARDS)
def test_what_nobody_knows_is_grey(name: str) -> None:
    """A tile without a value has the colour of the lowest threshold, so that one is grey on each."""
    tiles = [panel for panel in panels(BOARDS[name]) if panel["type"] == "stat"]
    assert tiles
    for panel in tiles:
        lowest = panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]
        assert lowest == {"color": look.GREY, "value": None}, panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_a_tile_of_names_is_never_blank(name: str) -> None:
    """A tile that shows labels has a series whatever is exposed, and none that says 0 where nobody speaks."""
    for panel in panels(BOARDS[name]):
        exprs = [target["expr"] for target in panel["targets"]]
        if panel["title"] == "Services up":  # where one is not there, 0 is red
            continue
        assert not [
            expr for expr in exprs if re.search(r"or (on \(\) )?(label_replace\()?vector\(0\)", expr)
        ], panel["title"]
        options = panel["options"] if panel["type"] == "stat" else {}
        if options.get("textMode") == "name" or options.get("reduceOptions", {}).get("values"):
            [expr] = exprs
            assert look.NOBODY_KNOWS in expr, panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_colours_by_name_can_match(name: str) -> None:
    """Each pattern of an override matches the whole of a name that a legend of its panel can have."""
    for panel in panels(BOARDS[name]):
        legends = [target.get("legendFormat", "") for target in panel["targets"]]
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["id"] == "byRegexp":
                pattern = override["matcher"]["options"]
                assert any(would_match(pattern, legend) for legend in legends), (panel["title"], pattern)


def test_a_pattern_of_a_part_is_found_out() -> None:
    """The check can fail: a part of a name matches no series, the whole does."""
    assert not would_match("rolled_back", "version {{version}}, {{action}}")
    assert not would_match("^approval", "{{waits_for}}: version {{challenger}}")
    assert would_match("^5..$", "{{status}}")
    assert would_match("^(no_model|error)$", "{{cause}}")
    assert would_match("version .*[13579]", "version {{version}}")


@pytest.mark.parametrize("name", ["service", "pipeline"])
def test_who_is_up_is_said(name: str) -> None:
    """Of the numbers that answer the question the first are the four services, each named, so that one that is missing is red."""
    own = [panel for panel in BOARDS[f"{name}.json"]["panels"] if panel["type"] == "row"][1]
    tiles = [panel for panel in panels(BOARDS[f"{name}.json"]) if panel["gridPos"]["y"] > own["gridPos"]["y"]]
    assert tiles[0]["title"] == "Services up"
    for job in ("predictor", "drift-monitor", "feedback", "trainer"):
        assert f'"job", "{job}"' in tiles[0]["targets"][0]["expr"]


@pytest.mark.parametrize("name", BOARDS)
def test_each_begins_with_what_is_wrong_and_what_was_done(name: str) -> None:
    """The same row on all: what is wrong, since when and what was done last at a glance; below it in full, and what marks mean."""
    first, *rest = BOARDS[name]["panels"]
    assert first["type"] == "row"
    assert first["title"] == f"{answers.QUESTION} {look.MARKS}"
    assert [(panel["type"], panel["title"]) for panel in rest[:6]] == [
        ("stat", "What is wrong"),
        ("stat", "Since"),
        ("stat", "What was done last"),
        ("stat", "Serves now"),
        ("table", "Wrong now"),
        ("table", "Done, newest first"),
    ]


@pytest.mark.parametrize(
    ("title", "cells"), [("What is wrong", "wrong"), ("What was done last", "done|version|at")]
)
def test_a_headline_shows_its_cells_and_nothing_else(title: str, cells: str) -> None:
    """Of a series' labels those that are named, whatever labels a rule records besides; each has its words or its colour."""
    [panel] = [panel for panel in panels(BOARDS["service.json"]) if panel["title"] == title]
    assert panel["options"]["reduceOptions"] == {"values": True, "calcs": [], "fields": f"/^({cells})$/"}
    names = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    assert (
        names == set(cells.split("|")) <= set(panel["transformations"][0]["options"]["renameByName"].values())
    )


@pytest.mark.parametrize("name", BOARDS)
def test_the_next_row_answers_one_question(name: str) -> None:
    """Each dashboard has its own question, and one row of numbers below it that fills the width."""
    own, *rest = BOARDS[name]["panels"][7:]
    assert own["type"] == "row"
    assert own["title"].endswith("?")
    below = next(n for n, panel in enumerate(rest) if panel["type"] == "row")
    tiles = rest[:below]
    assert {panel["type"] for panel in tiles} == {"stat"}
    assert sum(panel["gridPos"]["w"] for panel in tiles) == 24
    assert len({panel["gridPos"]["y"] for panel in tiles}) == 1


def test_of_every_alert_it_is_said_what_happens_by_itself() -> None:
    """Each alerting rule but the heartbeat has its words, in short others than any other, and each urgency of a rule has its own."""
    alerts = [rule for rule in rules("alerts") if rule["alert"] != "Heartbeat"]
    assert {r["alert"] for r in alerts if r["labels"]["severity"] != "notice"} == set(answers.ALERTS)
    assert {rule["labels"]["severity"] for rule in alerts} == {*answers.URGENCY, "notice"}
    assert (
        max(len(alert.by_itself) for alert in answers.ALERTS.values()) <= 44
    )  # what a cell shows on 1600 pixels
    in_short = {alert.says for alert in answers.ALERTS.values()}
    assert len(in_short) == len(answers.ALERTS)
    assert max(map(len, in_short)) <= 30
    kinds = {rule["alert"] for rule in alerts if 'kind="' in rule["expr"]}
    assert kinds == {name for name, alert in answers.ALERTS.items() if alert.by_itself == answers.UNTOUCHED}


def test_each_action_that_is_shown_has_its_words() -> None:
    """What the trainer's metric may say are the words of the table."""
    [metric] = [metric for metric in ALL if metric.name == "atalaia_action_at_seconds"]
    values = {label.name: set(re.findall(r"`([^`]+)`", label.values)) for label in metric.labels}
    assert values["action"] == set(answers.ACTIONS) - {"nothing yet", "not known", "serves again"}
    assert values["reason"] == set(answers.REASONS)


@pytest.mark.parametrize("name", BOARDS)
def test_no_panels_overlap(name: str) -> None:
    """No two cover the same cell of the grid, and none reaches beyond it."""
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_one_model_is_chosen_on_each() -> None:
    """Each dashboard has the variable, marks versions and trainings where they were, and has an address of its own."""
    for board in BOARDS.values():
        assert "model" in {variable["name"] for variable in board["templating"]["list"]}
        assert {mark["name"] for mark in board["annotations"]["list"]} >= {
            "Versions (blue)",
            "Trainings (orange)",
        }
        assert all(mark["useValueForTime"] for mark in board["annotations"]["list"])
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 4


def test_grafana_is_told_where_things_are() -> None:
    """The provisioned source bears the id that panels ask, and the provider reads the folder of dashboards."""
    provisioning = GRAFANA / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "atalaia.yaml").read_text())["providers"]
    assert (source["uid"], source["type"]) == (look.SOURCE.uid, look.SOURCE.type_val)
    assert provider["options"]["path"].rstrip("/").endswith("/dashboards")
