"""``make bench-detection``: how soon a change is found, and how often none was there.

Ours beside the thesis's rule, KS with Bonferroni (alibi-detect's rule) and with Benjamini-Hochberg, river's KSWIN
and ADWIN, and Frouros's KS test; each at its defaults, and again with its threshold tuned so that on the same
quiet windows it alarms as seldom as ours. A window's alarm is an alarm of any feature.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import worlds
from numpy.typing import NDArray
from results import Figure, at_least, at_most, seen, write
from summaries.cells import Cells
from summaries.correction import benjamini_hochberg
from summaries.detection import Detector, dependence
from summaries.ks import ks_2samp_counts

ALPHA = 1e-3
AFTER = 6  # windows of the changed world
NAMES = [f"x{i}" for i in range(worlds.FEATURES)]
Floats = NDArray[np.float64]
Counted = dict[str, NDArray[np.int64]]
ADWIN_DELTAS = (0.002, 2e-4, 2e-5, 2e-6, 2e-7, 2e-8)
FROUROS = Path(__file__).parents[1] / ".bench-venv" / "bin" / "python"


@dataclass
class Scores:
    """What a method says of each window: an alarm is a score at or below its threshold.

    ``quiet`` [seeds, windows]; ``kinds[kind]`` [seeds, AFTER].
    """

    default: float
    quiet: Floats
    kinds: dict[str, Floats]


# --- methods that look at windows of counts -----------------------------------------------------------------


def _ours(detector: Detector, now: Counted, before: Counted | None, p: Floats) -> float:
    counts = {1: now}
    if before is not None:
        counts[2] = {name: now[name] + before[name] for name in now}
    return detector.judge(counts).p_value


METHODS: dict[str, tuple[float, Callable[[Detector, Counted, Counted | None, Floats], float]]] = {
    "Atalaia": (ALPHA, _ours),
    "thesis: any p < 0.05": (0.05, lambda d, now, before, p: float(p.min())),
    "KS, Bonferroni": (0.05, lambda d, now, before, p: min(1.0, float(p.min()) * len(p))),
    "KS, Benjamini-Hochberg": (0.05, lambda d, now, before, p: float(benjamini_hochberg(p.tolist()).min())),
}


def _windows(seed: int, kind: str | None, n: int, start: int) -> Iterable[Floats]:
    for w in range(n):
        x = worlds.quiet(seed, start + w)
        if kind is not None:
            x[:, : worlds.MOVED] = worlds.changed(seed, kind, w)
        yield x


def one_seed(job: tuple[int, int, bool]) -> dict[str, Any]:
    """Scores of the window methods on one seed's quiet windows and, if asked, on every kind of change."""
    seed, before, kinds = job
    reference = worlds.reference(seed)
    cells = {name: Cells.from_reference(reference[:, i], "float64") for i, name in enumerate(NAMES)}
    law = dependence(
        cells, {name: cells[name].index(reference[:, i]) for i, name in enumerate(NAMES)}, seed=seed
    )
    detector = Detector(cells, joint=law, joint_names=NAMES)

    def score(x: Floats, last: Counted | None) -> tuple[list[float], Counted]:
        now = {n: np.bincount(c.index(x[:, i]), minlength=c.size) for i, (n, c) in enumerate(cells.items())}
        p = np.array([ks_2samp_counts(c.counts[:-1], now[n][:-1])[1] for n, c in cells.items()])
        return [method(detector, now, last, p) for _, method in METHODS.values()], now

    def run(
        kind: str | None, n: int, start: int, last: Counted | None
    ) -> tuple[list[list[float]], Counted | None]:
        rows = []
        for x in _windows(seed, kind, n, start):
            row, last = score(x, last)
            rows.append(row)
        return rows, last

    quiet, last = run(None, before, 0, None)
    changed = {kind: run(kind, AFTER, before, last)[0] for kind in worlds.KINDS} if kinds else {}
    return {"quiet": quiet, "kinds": changed}


# --- methods that look at rows ------------------------------------------------------------------------------


def _river(
    make: Callable[[], Any], columns: Iterable[Floats], read: Callable[[Any], float]
) -> list[list[float]]:
    """[feature][window] the least reading of a detector over each window's rows."""
    found = []
    for windows in columns:
        detector, readings = make(), []
        for window in windows:
            least = 1.0
            for value in window.tolist():
                detector.update(value)
                least = min(least, read(detector))
            readings.append(least)
        found.append(readings)
    return found


def river_seed(job: tuple[str, int, int]) -> dict[str, Any]:
    """Quiet windows and all kinds for one river detector; still features are scored once for all kinds.

    KSWIN takes a third of a millisecond a row: it sees three windows of a change, and at its default, where it
    alarms in every quiet window already, none.
    """
    name, seed, before = job
    from river import drift

    kind, _, parameter = name.partition(" ")
    after, kinds = AFTER, list(worlds.KINDS)
    if kind == "ADWIN":
        make: Callable[[], Any] = lambda: drift.ADWIN(delta=float(parameter))  # noqa: E731
        read: Callable[[Any], float] = lambda d: 0.0 if d.drift_detected else 1.0  # noqa: E731
    elif parameter == "tuned":
        # Never resets: the p-value of each row's test is what is read.
        make = lambda: drift.KSWIN(alpha=1e-300, seed=seed)  # noqa: E731
        read = lambda d: float(getattr(d, "p_value", 1.0))  # noqa: E731
        after = 3
    else:
        make = lambda: drift.KSWIN(seed=seed)  # noqa: E731
        read = lambda d: 0.0 if d.drift_detected else 1.0  # noqa: E731
        after, kinds = 0, []
    first = [worlds.reference(seed)[-worlds.ROWS :], *(worlds.quiet(seed, w) for w in range(before))]
    rest = [worlds.quiet(seed, before + w) for w in range(after)]
    still = _river(make, ([w[:, f] for w in [*first, *rest]] for f in range(worlds.FEATURES)), read)
    still = [row[1:] for row in still]  # the first window only fills the detector
    found = {}
    for change in kinds:
        changed = [worlds.changed(seed, change, w) for w in range(after)]
        columns = ([first[-1][:, f], *(w[:, f] for w in changed)] for f in range(worlds.MOVED))
        moved = _river(make, columns, read)
        each = [row[-after:] for row in moved] + [row[-after:] for row in still[worlds.MOVED :]]
        found[change] = np.min(each, axis=0).tolist()
    return {"quiet": np.min([row[:before] for row in still], axis=0).tolist(), "kinds": found}


# --- putting it together ------------------------------------------------------------------------------------


def gather(
    seeds: int, quiet: int, slow_seeds: int, slow_quiet: int, say: Callable[[str], None]
) -> dict[str, Scores]:
    """Scores of every method."""
    found: dict[str, Scores] = {}
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        say(f"{seeds} seeds, {seeds * quiet} quiet windows")
        parts = list(pool.map(one_seed, [(s, quiet, True) for s in range(seeds)], chunksize=4))
        for i, (name, (default, _)) in enumerate(METHODS.items()):
            found[name] = Scores(
                default,
                np.array([[row[i] for row in part["quiet"]] for part in parts]),
                {k: np.array([[row[i] for row in part["kinds"][k]] for part in parts]) for k in worlds.KINDS},
            )
        for name in [*(f"ADWIN {delta:g}" for delta in ADWIN_DELTAS), "KSWIN default", "KSWIN tuned"]:
            slow = name.startswith("KSWIN")
            n, windows = (slow_seeds, slow_quiet) if slow else (max(100, slow_seeds), 10 * slow_quiet)
            say(f"river's {name}: {n} seeds, {n * windows} quiet windows")
            parts = list(pool.map(river_seed, [(name, s, windows) for s in range(n)]))
            found[f"river {name}"] = Scores(
                0.0,
                np.array([part["quiet"] for part in parts]),
                {k: np.array([part["kinds"][k] for part in parts]) for k in parts[0]["kinds"]},
            )
    if FROUROS.exists():
        n = max(100, slow_seeds)
        say(f"Frouros's KS: {n} seeds, {n * 10 * slow_quiet} quiet windows")
        command = [
            FROUROS,
            Path(__file__).with_name("frouros_windows.py"),
            n,
            10 * slow_quiet,
            AFTER,
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        got = json.loads(done.stdout)
        found["Frouros KS"] = Scores(
            0.01, np.array(got["quiet"]), {k: np.array(v) for k, v in got["kinds"].items()}
        )
    else:
        say("Frouros is left out: run `make bench-detection`, which installs it apart")
    return found


def tuned(scores: Scores, rate: float) -> float:
    """The largest threshold at which quiet windows alarm no more often than ``rate``.

    With fewer quiet windows than one alarm needs it is the least score seen: that favours the method.
    """
    ordered = np.sort(scores.quiet.ravel())
    allowed = int(rate * len(ordered))
    return float(np.nextafter(ordered[allowed], -1.0))


def share(scores: Scores, kind: str, threshold: float, within: int) -> float:
    """Of the runs, how many have alarmed within so many windows of the change."""
    return float((scores.kinds[kind][:, :within] <= threshold).any(axis=1).mean())


def delay(scores: Scores, kind: str, threshold: float) -> float:
    """Median of the window that alarms first (1 is the first of the change); infinite where half never do."""
    alarms = scores.kinds[kind] <= threshold
    first = np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1.0, np.inf)
    return float(np.median(first))


def compare(found: dict[str, Scores]) -> list[Figure]:
    """All figures, and the table on the screen."""
    ours = found["Atalaia"]
    rate = float((ours.quiet <= ALPHA).mean())
    rows: list[tuple[str, Scores, float]] = []
    for name, scores in found.items():
        if name.startswith("river ADWIN"):
            continue
        if name != "river KSWIN tuned":
            rows.append((f"{name}, default", scores, scores.default))
        if name not in ("Atalaia", "river KSWIN default"):
            rows.append((f"{name.removesuffix(' tuned')}, tuned", scores, tuned(scores, rate)))
    adwin = [found[f"river ADWIN {delta:g}"] for delta in ADWIN_DELTAS]
    rows.append(("river ADWIN, default", adwin[0], 0.0))
    quiet_enough = [s for s in adwin if float((s.quiet <= 0).mean()) <= max(rate, 1 / s.quiet.size)]
    if quiet_enough:
        rows.append(("river ADWIN, tuned", quiet_enough[0], 0.0))
    figures: list[Figure] = []
    print(
        f"\n{'alarms per 1,000 quiet windows; share found after 1 / 2 / 3 windows; median delay in windows':}"
    )
    for kind in ("", *worlds.KINDS):
        print(f"\n{kind or 'no change'}")
        for name, scores, threshold in rows:
            if not kind:
                alarms = 1000 * float((scores.quiet <= threshold).mean())
                print(f"  {name:34} {alarms:8.2f}   of {scores.quiet.size:,} windows")
                figures.append(seen(f"{name}: alarms", alarms, "per 1,000 quiet windows"))
                continue
            if kind not in scores.kinds:
                print(f"  {name:34} alarms in quiet windows already")
                continue
            shares = [share(scores, kind, threshold, n) for n in (1, 2, 3)]
            median = delay(scores, kind, threshold)
            print(f"  {name:34} " + "  ".join(f"{s:5.3f}" for s in shares) + f"   {median:4.1f}")
            for n, s in zip((1, 2, 3), shares, strict=True):
                figures.append(seen(f"{name}: {kind} found within {n}", s, "share of runs"))
            figures.append(
                seen(f"{name}: {kind}, median delay", median if np.isfinite(median) else None, "windows")
            )
    figures.append(at_most("false alarms", 1000 * rate, "per 1,000 quiet windows", 1.0))
    for kind, within, goal in (
        ("shift of 0.2 sd", 1, 0.80), ("shift of 0.2 sd", 2, 0.99), ("shift of 0.1 sd", 3, 0.30),
    ):  # fmt: skip
        peers = [share(s, kind, t, within) for name, s, t in rows if name.endswith("tuned")]
        value = share(ours, kind, ALPHA, within)
        figures.append(at_least(f"{kind} found within {within}", value, "share of runs", goal, max(peers)))
    for kind in worlds.NO_DRIFT:
        alarmed = float((ours.kinds[kind] <= ALPHA).mean())
        figures.append(at_most(f"{kind}: alarms", 1000 * alarmed, "per 1,000 windows", 1.0))
    for kind in worlds.KINDS:
        if kind in worlds.NO_DRIFT:
            continue
        for within in (1, 2, 3):
            peers = {name: share(s, kind, t, within) for name, s, t in rows if name.endswith("tuned")}
            best = max(peers, key=lambda name: peers[name])
            value = share(ours, kind, ALPHA, within)
            # Two shares of so many runs differ by chance: less than two standard errors are no lead.
            runs = next(len(scores.kinds[kind]) for name, scores, _ in rows if name == best)
            peer = peers[best]
            variance = value * (1 - value) / len(ours.kinds[kind]) + peer * (1 - peer) / runs
            error = 2 * float(np.sqrt(max(variance, 1e-6)))
            figures.append(
                Figure(
                    f"{kind} within {within}, beside the best tuned peer ({best})", value, "share of runs",
                    peers[best], value / peers[best] if peers[best] else None, "no peer sooner",
                    bool(value >= peers[best] - error),
                )
            )  # fmt: skip
    return figures


def main() -> int:
    """Run; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--quiet", type=int, default=150, help="quiet windows a seed")
    parser.add_argument("--slow-seeds", type=int, default=100, help="for what tests at every row")
    parser.add_argument("--slow-quiet", type=int, default=3)
    a = parser.parse_args()
    found = gather(
        a.seeds, a.quiet, a.slow_seeds, a.slow_quiet, lambda line: print(line, file=sys.stderr, flush=True)
    )
    figures = compare(found)
    write("detection", figures)
    return 0 if all(f.met is not False for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
