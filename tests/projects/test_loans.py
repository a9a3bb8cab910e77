"""The loans: what is known about the change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2] / "projects" / "loans"


def python(code: str) -> Any:
    """What code prints as JSON, with the project importable and its folder current."""
    paths = os.pathsep.join([str(PROJECT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_labelling_changes_and_the_inputs_do_not() -> None:
    """Applications of one seed are the same under both functions; a third or more of the labels differ."""
    same, differ, inputs = python(
        "import json; from loans.source import applications; from loans.fields import FIELDS, TARGET\n"
        "a, b = applications(6, 500, 3, .05), applications(2, 500, 3, .05); names = [f.name for f in FIELDS]\n"
        "print(json.dumps([bool(a[names].equals(b[names])), float((a[TARGET] != b[TARGET]).mean()), len(names)]))"
    )
    assert same
    assert differ > 1 / 3
    assert inputs == 9


def test_the_change_is_at_a_known_row() -> None:
    """One row a minute, labels ten minutes later, the new phase at ``CHANGE``, no row twice."""
    found = python(
        "import json; from loans import stream\n"
        "rows = stream.rows(); first = next(i for i, r in enumerate(rows) if r['phase'] == 'changed')\n"
        "print(json.dumps({'rows': len(rows), 'first': first, 'at': rows[first]['event_time'] - stream.CHANGE,\n"
        "  'delays': sorted({r['label_time'] - r['event_time'] for r in rows}),\n"
        "  'distinct': len({json.dumps(r['features']) for r in rows})}))"
    )
    assert found == {"rows": 4200, "first": 2100, "at": 0, "delays": [600_000], "distinct": 4200}
