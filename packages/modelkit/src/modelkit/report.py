"""A run's metrics and plots beside an earlier commit's, as Markdown: what CI writes under a merge request.

``python -m modelkit.report --base COMMIT --out report.md`` in a project whose pipeline has run. GitLab and GitHub draw
the charts (https://mermaid.js.org/syntax/xyChart.html); neither lets an image be put into a comment the same way.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modelkit.plots import PREDICTIONS, calibration
from modelkit.project import REPORTS, fail, params, read_json

METRICS, CONFUSION = "metrics.json", "confusion.json"

Confusion = Mapping[str, Mapping[str, int]]


def recalls(confusion: Confusion) -> dict[str, float]:
    """Share of each true class that is recognised; 0 for one without rows.

    >>> recalls({"a": {"a": 3, "b": 1}, "b": {"a": 0, "b": 0}})
    {'a': 0.75, 'b': 0.0}
    """
    return {truth: row[truth] / max(1, sum(row.values())) for truth, row in confusion.items()}


def table(confusion: Confusion) -> str:
    """Rows are the truth, columns the predictions."""
    lines = [["truth", *(f"as {name}" for name in confusion)], ["---"] + ["--:"] * len(confusion)]
    lines += [[truth, *(str(row[name]) for name in confusion)] for truth, row in confusion.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chart(
    title: str, x: Sequence[str], y: str, bars: Sequence[float], line: Sequence[float] | None = None
) -> str:
    """A bar chart as Mermaid draws it, with a line across where there is one."""
    names = ", ".join(json.dumps(name, ensure_ascii=False) for name in x)
    parts = [f'title "{title}"', f"x-axis [{names}]", f'y-axis "{y}"', f"bar {_numbers(bars)}"]
    if line is not None:
        parts.append(f"line {_numbers(line)}")
    return "\n".join(["```mermaid", "xychart-beta", *(f"    {part}" for part in parts), "```"])


def _numbers(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _difference(base: str) -> str:
    """DVC's own table of metrics at ``base`` and now; raises what ends the command where DVC cannot say."""
    files = [str(path) for name in (METRICS, "agreement.json") if (path := REPORTS / name).exists()]
    command = [sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--md", base, "--targets", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        fail(
            f"dvc metrics diff {base} failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}"
        )
    return done.stdout.strip()


def _at(base: str, path: Path) -> Any:
    """A JSON file as it was at a commit; None where it was not there."""
    done = subprocess.run(["git", "show", f"{base}:./{path.as_posix()}"], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def report(base: str) -> str:
    """The report, of the working directory's project against the commit ``base``."""
    if not (REPORTS / METRICS).exists():
        fail(f"{REPORTS / METRICS} is not there: run `dvc repro` or `dvc exp run` first")
    parts = [f"### {params()['package']}", _difference(base)]
    if (REPORTS / CONFUSION).exists():
        confusion: Confusion = read_json(REPORTS / CONFUSION)
        before = _at(base, REPORTS / CONFUSION)
        now, was = recalls(confusion), recalls(before) if before else {}
        known = [was[name] for name in now] if was.keys() == now.keys() else None
        title = "Recall of each class" + (" (line: before)" if known else "")
        parts += [table(confusion), chart(title, list(now), "recall", list(now.values()), known)]
    elif (REPORTS / PREDICTIONS).exists():
        pairs = calibration(pd.read_csv(REPORTS / PREDICTIONS))
        names = [f"{predicted:.4g}" for predicted, _ in pairs]
        title = "Mean truth (bars) and mean prediction (line) of ten groups"
        parts.append(chart(title, names, "mean", [t for _, t in pairs], [p for p, _ in pairs]))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=report.__doc__)
    parser.add_argument("--base", default="HEAD", help="the commit to compare with")
    parser.add_argument("--out", type=Path, default=Path("report.md"))
    given = parser.parse_args()
    given.out.write_text(report(given.base), encoding="utf-8")


if __name__ == "__main__":
    main()
