"""From what runs saw to what a record, a row, a request, a megabyte cost; and of several runs the one that was disturbed least."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from results import Figure, seen
from scipy.optimize import nnls

DRIVE = re.compile(r"drive, (\d+) rows a request, (\d+) connections: ")
OWN = "the server's processor time of a request"
ACKNOWLEDGED = "acknowledgement of a lone record, "
TOGETHER = "one and two, "  # of bench-scaling


def fitted(shape: Sequence[Sequence[float]], took: Sequence[float]) -> list[float]:
    """Costs that are not negative and explain what was seen with the least relative error (Lawson and Hanson 1974).

    >>> [round(x, 6) for x in fitted([[1, 1], [1, 10], [1, 100]], [12, 30, 210])]
    [10.0, 2.0]
    """
    a, b = np.array(shape, dtype=float), np.array(took, dtype=float)
    return [float(x) for x in nnls(a / b[:, None], np.ones(len(b)))[0]]


def least(runs: Iterable[Sequence[Figure]]) -> list[Figure]:
    """Of each figure that is a time, the least of all runs, as others only add to it; other figures are the last run's.

    What belongs together stays together: a drive's figures are those of the run with the least processor time, the
    acknowledgement's quantiles of the run with the least p90.
    """
    kept: dict[str, Figure] = {}
    for run in runs:
        new = {f.figure: f for f in run}
        worse = {
            group
            for name, f in new.items()
            if (group := _group(name))
            and name == group + (OWN if DRIVE.match(name) else "p90")
            and _less(kept.get(name), f)
        }
        for name, figure in new.items():
            alone = not _group(name) and figure.unit in ("us", "ms")
            if _group(name) not in worse and not (alone and _less(kept.get(name), figure)):
                kept[name] = figure
    return list(kept.values())


def _group(name: str) -> str:
    drive = DRIVE.match(name)
    return drive[0] if drive is not None else ACKNOWLEDGED if name.startswith(ACKNOWLEDGED) else ""


def _less(known: Figure | None, figure: Figure) -> bool:
    return (
        known is not None
        and known.value is not None
        and figure.value is not None
        and known.value < figure.value
    )


def costs(figures: Sequence[Figure]) -> list[Figure]:
    """What single things cost, fitted to the figures of runs; those whose runs are not there are left out."""
    values = {f.figure: f.value for f in figures if f.value is not None}
    found = _predictor(values)
    for name, what, unit in (
        ("monitor", "monitor: a {}", "us"),
        ("predictions", "predictions: a {}", "bytes"),
        ("produced by a client", "produced by a client: a {}", "us"),
    ):
        sizes = _by_size(values, name)
        if len(sizes) > 1:
            record, row = fitted([[1.0, size] for size in sizes], list(sizes.values()))
            found += [seen(what.format("record"), record, unit), seen(what.format("row"), row, unit)]
    in_bytes = _by_size(values, "predictions")
    for way in ("in", "out"):
        sizes = _by_size(values, f"broker, {way}")
        if len(sizes) > 1 and sizes.keys() <= in_bytes.keys():
            shape = [[1.0, in_bytes[size] / 1e6] for size in sizes]
            record, megabyte = fitted(shape, list(sizes.values()))
            found += [
                seen(f"broker, {way}: a record", record, "us"),
                seen(f"broker, {way}: a megabyte", megabyte, "us"),
            ]
    return found


def _by_size(values: dict[str, float], name: str) -> dict[float, float]:
    pattern = re.compile(re.escape(name) + r": a record of (\d+) rows")
    return {
        float(match[1]): value for figure, value in values.items() if (match := pattern.fullmatch(figure))
    }


def _predictor(values: dict[str, float]) -> list[Figure]:
    shape, took = [], []
    for name, value in values.items():
        drive = DRIVE.match(name)
        if drive is None or not name.endswith(OWN):
            continue
        rows, requests = int(drive[1]), values[f"{drive[0]}requests a record"]
        many = rows > 1
        shape.append([1.0, requests * (not many), requests * many, requests * rows * many])
        took.append(requests * value)
    if not shape:
        return []
    names = ("a record", "a request of one row", "a request of many rows", "a row of many")
    return [
        seen(f"predictor: {name}", value, "us")
        for name, value in zip(names, fitted(shape, took), strict=True)
    ]
