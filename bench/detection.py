"""``make bench-detection``: how soon a change is found, and how often none was there.

Ours beside the thesis's rule, KS with Bonferroni (alibi-detect's rule) and with Benjamini-Hochberg, river's KSWIN
and ADWIN, and Frouros's KS test; each at its defaults, and again with its threshold tuned so that on the same
quiet windows it alarms as seldom as ours. A window's alarm is an alarm of any feature. All see the same worlds and
as many windows; only KSWIN at its defaults, which alarms in every window, sees fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
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
ADWIN_DELTAS = (0.002, 1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 2e-6, 2e-7, 2e-8)
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


def _alarmed(detector: Any, windows: Iterable[Floats]) -> list[float]:
    """For each window 0 where the detector found a change in one of its rows, else 1."""
    readings = []
    for window in windows:
        reading = 1.0
        for value in window.tolist():
            detector.update(value)
            if detector.drift_detected:
                reading = 0.0
        readings.append(reading)
    return readings


def adwin_seed(job: tuple[float, int, int, bool]) -> dict[str, Any]:
    """Quiet windows and, if asked, all kinds for one ADWIN a feature; still features are scored once for all kinds."""
    delta, seed, before, kinds = job
    from river import drift

    first, rest, changed = _worlds(seed, before)
    still = [
        # the first window only fills the detector
        _alarmed(drift.ADWIN(delta=delta), (w[:, f] for w in [*first, *rest]))[1:]
        for f in range(worlds.FEATURES)
    ]
    found = {}
    for kind, windows in changed.items() if kinds else ():
        columns = ([w[:, f] for w in [*first, *windows]] for f in range(worlds.MOVED))
        each = [_alarmed(drift.ADWIN(delta=delta), column)[-AFTER:] for column in columns]
        found[kind] = np.min([*each, *(row[-AFTER:] for row in still[worlds.MOVED :])], axis=0).tolist()
    return {"quiet": np.min([row[:before] for row in still], axis=0).tolist(), "kinds": found}


def adwin_short_seed(job: tuple[float, int, bool]) -> dict[str, Any]:
    """The same where each ADWIN begins with the 2,000 rows of our reference, and no more."""
    delta, seed, kinds = job
    from river import drift

    first = list(worlds.reference(seed).reshape(-1, worlds.ROWS, worlds.FEATURES))

    def run(windows: list[Floats], features: range) -> list[list[float]]:
        columns = [
            [*(w[:, f] for w in first), *(w[:, f - features.start] for w in windows)] for f in features
        ]
        return [_alarmed(drift.ADWIN(delta=delta), column)[len(first) :] for column in columns]

    quiet = run([worlds.quiet(seed, w) for w in range(AFTER)], range(worlds.FEATURES))
    found = {}
    for kind in worlds.KINDS if kinds else ():
        moved = run([worlds.changed(seed, kind, w) for w in range(AFTER)], range(worlds.MOVED))
        found[kind] = np.min([*moved, *quiet[worlds.MOVED :]], axis=0).tolist()
    return {"quiet": np.min(quiet, axis=0).tolist(), "kinds": found}


def adwin_short(pool: ProcessPoolExecutor, seeds: int, quiet: int, rate: float) -> tuple[float, Scores]:
    """The largest delta at which it alarms as seldom as ours in as many quiet windows, and its scores there."""
    for delta in ADWIN_DELTAS:
        more = range(seeds * quiet // AFTER)
        parts = list(
            pool.map(adwin_short_seed, [(delta, s, s < seeds) for s in more], chunksize=max(1, seeds // 8))
        )
        scores = Scores(
            0.0,
            np.array([part["quiet"] for part in parts]),
            {kind: np.array([part["kinds"][kind] for part in parts[:seeds]]) for kind in worlds.KINDS},
        )
        if (scores.quiet <= 0).mean() <= rate:
            break
    return delta, scores


def _worlds(seed: int, before: int) -> tuple[list[Floats], list[Floats], dict[str, list[Floats]]]:
    """Windows before the change (the end of the reference is the first), as they would go on, and changed."""
    first = [worlds.reference(seed)[-worlds.ROWS :], *(worlds.quiet(seed, w) for w in range(before))]
    rest = [worlds.quiet(seed, before + w) for w in range(AFTER)]
    changed = {kind: [worlds.changed(seed, kind, w) for w in range(AFTER)] for kind in worlds.KINDS}
    return first, rest, changed


def kswin_default_seed(job: tuple[int, int]) -> dict[str, Any]:
    """Quiet windows for river's KSWIN itself at its defaults: a third of a millisecond a row."""
    seed, before = job
    from river import drift

    first = _worlds(seed, before)[0]
    still = [_alarmed(drift.KSWIN(seed=seed), (w[:, f] for w in first))[1:] for f in range(worlds.FEATURES)]
    return {"quiet": np.min(still, axis=0).tolist(), "kinds": {}}


# --- KSWIN that never resets, all features and rows at once -------------------------------------------------

KSWIN_SIZE, KSWIN_STAT = 100, 30  # river's defaults


def kswin_p_values() -> Floats:
    """[31] the p-value of two samples of 30 by 30 times their D: all that a test of KSWIN can say."""
    from scipy.stats import ks_2samp

    n = KSWIN_STAT
    low = np.arange(n, dtype=float)
    return np.array([ks_2samp(low, low + k - 0.5 if k else low, method="auto")[1] for k in range(n + 1)])


def kswin_draws(seed: int, rows: int) -> NDArray[np.int64]:
    """[rows, 30] the places in the older part of the window that river's KSWIN draws, in its order."""
    generator = random.Random(seed)
    older = range(KSWIN_SIZE - KSWIN_STAT)
    return np.array([generator.sample(older, KSWIN_STAT) for _ in range(rows)])


def kswin_least(
    stream: Floats, draws: NDArray[np.int64], p_values: Floats, done: int, start: int = 0
) -> Floats:
    """[features] the least p-value of the rows from ``start`` on of ``stream`` [rows, features].

    ``done``: how many rows the detector has seen before ``stream``'s first.
    """
    least = np.ones(stream.shape[1])
    oldest = np.arange(max(start, KSWIN_SIZE - 1), len(stream)) - (KSWIN_SIZE - 1)
    drawn = draws[oldest + done]
    recent = np.arange(KSWIN_SIZE - KSWIN_STAT, KSWIN_SIZE)
    places = np.hstack([oldest[:, None] + drawn, oldest[:, None] + recent])
    label = np.repeat(np.array([0, 1], dtype=np.int32), KSWIN_STAT)
    for f in range(stream.shape[1]):
        rank = np.argsort(np.argsort(stream[:, f])).astype(np.int32)
        labels = np.sort(2 * rank[places] + label, axis=1) & 1  # of the values in order
        apart = np.abs(np.cumsum(1 - 2 * labels, axis=1)).max()
        least[f] = p_values[apart]
    return least


def kswin_seed(job: tuple[int, int]) -> dict[str, Any]:
    """The least p-value of each window for a KSWIN a feature that never resets, by river's own draws."""
    seed, before = job
    first, rest, changed = _worlds(seed, before)
    p_values = kswin_p_values()
    draws = kswin_draws(seed, (1 + before + AFTER) * worlds.ROWS)

    def each(windows: list[Floats], at: int) -> Floats:
        """[windows - 1, features]; ``windows[0]`` is what the detector remembers, the ``at``-th it sees."""
        least = [
            kswin_least(np.vstack([last[-KSWIN_SIZE:], now]), draws, p_values,
                        (at + i + 1) * worlds.ROWS - KSWIN_SIZE, KSWIN_SIZE)
            for i, (last, now) in enumerate(pairwise(windows))
        ]  # fmt: skip
        return np.array(least)

    still = each([*first, *rest], 0)
    found = {}
    for kind, windows in changed.items():
        moved = each([first[-1][:, : worlds.MOVED], *windows], before)
        found[kind] = np.hstack([moved, still[before:, worlds.MOVED :]]).min(axis=1).tolist()
    return {"quiet": still[:before].min(axis=1).tolist(), "kinds": found}


def check_kswin(rows: int = 600) -> None:
    """Raise where the fast KSWIN is not river's, row by row."""
    from river import drift

    x = worlds.reference(0)[:rows, :1]
    draws, p_values = kswin_draws(7, rows), kswin_p_values()
    detector = drift.KSWIN(alpha=1e-300, seed=7)
    for row in range(rows):
        detector.update(float(x[row, 0]))
        if row >= KSWIN_SIZE - 1:
            ours = kswin_least(x[: row + 1], draws, p_values, 0, row)[0]
            if not np.isclose(ours, detector.p_value, rtol=1e-9):
                raise AssertionError(f"row {row}: {ours} is not river's {detector.p_value}")


# --- putting it together ------------------------------------------------------------------------------------


def _scores(default: float, parts: list[dict[str, Any]]) -> Scores:
    return Scores(
        default,
        np.array([part["quiet"] for part in parts]),
        {k: np.array([part["kinds"][k] for part in parts]) for k in parts[0]["kinds"]},
    )


def gather(
    seeds: int, quiet: int, slow_seeds: int, slow_quiet: int, workers: int, say: Callable[[str], None]
) -> dict[str, Scores]:
    """Scores of every method, on the same worlds; ADWIN's delta is lowered until it alarms as seldom as ours."""
    found: dict[str, Scores] = {}
    with ProcessPoolExecutor(max_workers=workers) as pool:
        say(f"{seeds} seeds, {seeds * quiet} quiet windows")
        parts = list(pool.map(one_seed, [(s, quiet, True) for s in range(seeds)], chunksize=4))
        for i, (name, (default, _)) in enumerate(METHODS.items()):
            found[name] = Scores(
                default,
                np.array([[row[i] for row in part["quiet"]] for part in parts]),
                {k: np.array([[row[i] for row in part["kinds"][k]] for part in parts]) for k in worlds.KINDS},
            )
        rate = float((found["Atalaia"].quiet <= ALPHA).mean())
        for n, delta in enumerate(ADWIN_DELTAS):
            say(f"river's ADWIN, delta {delta:g}: {seeds} seeds, {seeds * quiet} quiet windows")
            scores = _scores(
                0.0, list(pool.map(adwin_seed, [(delta, s, quiet, not n) for s in range(seeds)]))
            )
            found[f"river ADWIN {delta:g}"] = scores
            if (scores.quiet <= 0).mean() <= rate:
                break
        if n:  # only the default's and the chosen one's changes are looked at
            found[f"river ADWIN {delta:g}"] = _scores(
                0.0, list(pool.map(adwin_seed, [(delta, s, quiet, True) for s in range(seeds)]))
            )
        say(f"river's ADWIN after 2,000 rows: {seeds} seeds, {seeds * quiet} quiet windows")
        found["river ADWIN of 2,000 rows"] = adwin_short(pool, seeds, quiet, rate)[1]
        say(f"river's KSWIN at its defaults: {slow_seeds} seeds, {slow_seeds * slow_quiet} quiet windows")
        parts = list(pool.map(kswin_default_seed, [(s, slow_quiet) for s in range(slow_seeds)]))
        found["river KSWIN default"] = _scores(0.0, parts)
        say(f"KSWIN without resets: {seeds} seeds, {seeds * quiet} quiet windows")
        check_kswin()
        found["river KSWIN tuned"] = _scores(
            0.0, list(pool.map(kswin_seed, [(s, quiet) for s in range(seeds)]))
        )
    if FROUROS.exists():
        say(f"Frouros's KS: {seeds} seeds, {seeds * quiet} quiet windows")
        command = [FROUROS, Path(__file__).with_name("frouros_windows.py"), seeds, quiet, AFTER, workers]
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
    adwin = [(d, found[f"river ADWIN {d:g}"]) for d in ADWIN_DELTAS if f"river ADWIN {d:g}" in found]
    rows.append(("river ADWIN, default", adwin[0][1], 0.0))
    quiet_enough = [(d, s) for d, s in adwin if float((s.quiet <= 0).mean()) <= rate]
    if quiet_enough:
        delta, scores = quiet_enough[0]
        print(f"river ADWIN, tuned: delta {delta:g}")
        rows.append(("river ADWIN, tuned", scores, 0.0))
    # No peer in the comparison below, which is with what remembers as much as it likes.
    rows.append(("river ADWIN, tuned, of 2,000 rows", found["river ADWIN of 2,000 rows"], 0.0))
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
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--quiet", type=int, default=200, help="quiet windows a seed")
    parser.add_argument("--slow-seeds", type=int, default=24, help="for river's own KSWIN at its defaults")
    parser.add_argument("--slow-quiet", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    a = parser.parse_args()
    found = gather(
        a.seeds,
        a.quiet,
        a.slow_seeds,
        a.slow_quiet,
        a.workers,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    figures = compare(found)
    write("detection", figures)
    return 0 if all(f.met is not False for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
