"""``make bench-stages``: what a row, a record, a request, a pane and a label cost each stage of the flow.

The figures that ``bench/simulation.py`` reads. Where a service can only be seen whole it runs as it is, on a real Kafka,
and its processor time is divided; what hides in there is measured in this process by the same domain code. Processor
time is what a busy machine changes least, and what it changes it adds: so of several runs the least is kept, those of
``bench-monitor`` and ``bench-feedback`` among them. Where a figure is by the clock, its unit is ms.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from results import FOLDER, Figure, seen, write
from stages_fit import TOGETHER, costs, least
from stages_parts import parts
from stages_predictor import predictor
from stages_topics import acknowledgements, broker, counting_worker, feedback, monitor_at_rest

PARTS: dict[str, Callable[[argparse.Namespace], list[Figure]]] = {
    "predictor": lambda given: predictor(given.seconds),
    "broker": lambda given: broker(),
    "monitor": lambda given: counting_worker(),
    "rest": lambda given: monitor_at_rest(),
    "acks": lambda given: acknowledgements(),
    "feedback": lambda given: feedback(given.labels),
    "parts": lambda given: parts(),
}


def earlier(name: str) -> list[Figure]:
    """The figures of an earlier run of a benchmark; none where there was none."""
    path = FOLDER / f"{name}.json"
    return [Figure(**f) for f in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def of_other_benches() -> list[Figure]:
    """What ``bench-monitor``, ``bench-feedback`` and ``bench-scaling`` have found, under the names used here."""
    found = []
    for f in earlier("monitor"):
        size, _, rest = f.figure.partition(" rows a record")
        if not rest and f.value and size.isdigit():
            found.append(seen(f"monitor: a record of {size} rows", 1e6 * int(size) / f.value, "us"))
    names = {
        "labels joined, uploads of 1,000 over HTTP": "feedback: a label joined, over HTTP",
        "predictions taken in": "feedback: a prediction taken in",
    }
    found += [
        seen(names[f.figure], 1e6 / f.value, "us")
        for f in earlier("feedback")
        if f.figure in names and f.value
    ]
    found += [
        seen("feedback: resident memory", f.value, f.unit)
        for f in earlier("feedback")
        if f.figure == "peak of memory, 1,000,000 pending and joined"
    ]
    for f in earlier("scaling"):
        name, _, what = f.figure.partition(": ")
        kept = what in ("one", "two", "one, a row", "two, a row", "rows a record, one", "two to one")
        if kept and name.startswith(("predictors", "monitors")):
            found.append(
                seen(f"{TOGETHER}{name}: {what}", f.value, "us" if what.endswith("a row") else f.unit)
            )
    return found


def main() -> None:
    """Measure all of it, some ten minutes, or parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them where none is named")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="measured seconds of each of the predictor's drives"
    )
    parser.add_argument("--labels", type=int, default=500_000, help="labels that the feedback service joins")
    parser.add_argument("--anew", action="store_true", help="forget earlier runs of this program")
    given = parser.parse_args()
    if given.anew:
        (FOLDER / "stages.json").unlink(missing_ok=True)
    for part in given.parts or PARTS:
        run = PARTS[part](given)
        merged = least([of_other_benches(), earlier("stages"), run])
        derived = costs(merged)
        names = {f.figure for f in derived}
        write("stages", [*derived, *(f for f in merged if f.figure not in names)])
        for figure in run:
            print(f"{figure.figure:95} {figure.value:14,.3f} {figure.unit}")


if __name__ == "__main__":
    main()
