"""docs/scaling.md says what the simulation found from what was measured, and names settings that exist."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scaling.md"
FOUND = ROOT / "docs" / "scaling" / "simulation.json"


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """What imports a module of ``bench``, which is no package."""
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(ROOT / "bench"))


@pytest.fixture(scope="module")
def found() -> Any:
    """What the simulation had found when the page was written."""
    return json.loads(FOUND.read_text(encoding="utf-8"))


def test_the_tables_are_those_of_the_simulation(bench: Any, found: Any) -> None:
    """Written anew from the kept findings, the page does not change."""
    costs = bench("simulation_costs").Costs()
    page = PAGE.read_text(encoding="utf-8")
    assert bench("simulation_tables").written(page, found, costs) == page


def test_where_it_stops_follows_from_what_was_measured(bench: Any, found: Any) -> None:
    """The limits, computed anew from the kept stages."""
    again = bench("simulation_stops").stops(bench("simulation_costs").Costs())
    for kind in ("partitions", "owner", "labels", "network"):
        for kept, now in zip(found["stops"][kind], again[kind], strict=True):
            assert now.keys() == kept.keys()
            for name, value in kept.items():
                assert now[name] == (value if isinstance(value, str) else pytest.approx(value, rel=0.01))


@pytest.mark.parametrize("case", [0, 3])
def test_the_sizes_follow_from_what_was_measured(bench: Any, found: Any, case: int) -> None:
    """A small and a middle deployment, sized and simulated anew from the kept stages."""
    kept = found["plans"][case]
    sizing = bench("simulation_sizing")
    made = sizing.plan(bench("simulation_costs").Costs(), sizing.Demand(**kept["demand"]))
    for kind in ("predictors", "partitions", "monitors", "feedbacks", "brokers"):
        assert getattr(made, kind) == kept[kind]
    assert made.rows_a_record == pytest.approx(kept["rows_a_record"], rel=0.05)


def test_a_broken_table_is_told(bench: Any, found: Any) -> None:
    """A page without a table's place is refused, and one that says otherwise is not what is written."""
    tables, costs = bench("simulation_tables"), bench("simulation_costs").Costs()
    page = PAGE.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="sizes"):
        tables.written(page.replace("<!-- begin: sizes -->", ""), found, costs)
    other = page.replace(f"| {found['plans'][-1]['predictors']:,}; ", "| 9,999; ")
    assert other != page
    assert tables.written(other, found, costs) == page


def test_each_setting_it_names_exists() -> None:
    """Whatever looks like a setting is in docs/settings.md."""
    named = set(re.findall(r"ATALAIA_[A-Z_]+", PAGE.read_text(encoding="utf-8")))
    known = set(
        re.findall(
            r"^\| `(ATALAIA_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), re.M
        )
    )
    assert named
    assert named <= known
