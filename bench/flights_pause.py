"""The trainer's decisions over the flights' year without the platform: how long it should pause after a training.

The trainer's own domain decides (whether to train, on which rows, whether the challenger wins) and the project's own
forest is trained; Kafka, MLflow, DVC, ONNX and the monitor are left out. Of the monitor one
fact is taken: the first whole window of each version drifted, in all sixteen windows that were judged in a run, and no alert
of errors mattered. So an alert is open from the first boundary after a promotion on, since that promotion. A version serves
from the second minute past the grace on.

    python bench/flights_pause.py --weeks 0 2 4 6 8 10 12

prints by pause how many trainings and promotions there are, and the log loss of what was served, over the year and from
the first promotion on; ``--fixed`` the demo's fixed policies. The pause is chosen on the year that it is then shown on: one
year is all there is. What is worth reading is how little the log loss hangs on it, not which is the best.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import yaml

PROJECT = Path(__file__).parents[1] / "projects" / "flights"
sys.path.insert(0, str(PROJECT / "src"))

from contracts.events import ModelChanged, TrainingDecided  # noqa: E402
from flights import policies  # noqa: E402
from flights.fields import FIELDS, TARGET  # noqa: E402
from flights.source import read  # noqa: E402
from flights.stream import START  # noqa: E402
from flights.train import make  # noqa: E402
from modelkit.candidates import Candidate, attentive, best, draw  # noqa: E402
from modelkit.stages import split_base  # noqa: E402
from trainer.domain.challenge import Scored, challenge  # noqa: E402
from trainer.domain.consider import Need, ask, consider  # noqa: E402
from trainer.domain.guardrails import guarded, recalls  # noqa: E402
from trainer.domain.history import History, run_id  # noqa: E402
from trainer.domain.ledger import Rows  # noqa: E402
from trainer.domain.pause import pause  # noqa: E402
from trainer.domain.selection import select  # noqa: E402
from trainer.domain.tried import Tried  # noqa: E402
from trainer.domain.triggers import Trigger  # noqa: E402

WEEK = 7 * 86_400_000
WINDOW, GRACE, P_VALUE, RECALL_LOSS, CANDIDATE_CONFIDENCE = 2 * WEEK, 3_600_000, 0.3, 0.9, 0.99
NAMES = [f.name for f in FIELDS]


@dataclass
class Version:
    """A model of the year: what it gives each live row, until where it was trained, and since when it serves."""

    name: str
    late: Any  # [live rows], the probability of "yes"
    trained_until: int | None
    since: int


@dataclass
class Year:
    """What came of a pause."""

    trainings: int = 0
    promotions: list[int] = field(default_factory=list)
    served: Any = None  # [live rows]


class World:
    """The departures, and forests trained on parts of them, each once."""

    def __init__(self, cache: Path) -> None:
        self.params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
        frame = read(self.params["prepare"]["late_minutes"])
        base = frame[(frame["event_time"] < START) & (frame["label_time"] < START)]
        base = base[base[TARGET].notna()].reset_index(drop=True)
        self.base, (self.first, _) = (
            base,
            split_base(base, self.params["split"]["test_size"], self.params["seed"], "day"),
        )
        self.live = frame[frame["event_time"] >= START].reset_index(drop=True)
        self.event = self.live["event_time"].to_numpy()
        self.label = self.live["label_time"].fillna(2**62).to_numpy().astype(np.int64)
        self.truth = self.live[TARGET].to_numpy()
        self.labelled = self.live[TARGET].notna().to_numpy()
        self._features = {name: self.live[name].to_numpy() for name in NAMES}
        self._cache = cache

    def fit(self, table: pd.DataFrame, weights: Any = None) -> Any:
        """The probability of "yes" of all live rows, by a forest of ``table``."""
        key = hashlib.sha256(table.index.to_numpy().tobytes() + str(len(table)).encode())
        key.update(b"" if weights is None else weights.tobytes())
        path = self._cache / f"{key.hexdigest()[:24]}.npy"
        if not path.exists():
            model = make(self.params["train"] | {"seed": self.params["seed"]})
            model.fit(table[NAMES], table[TARGET], forest__sample_weight=weights)
            np.save(path, model.predict_proba(self.live[NAMES])[:, 1])
        return np.load(path)

    def training(self, live: Any) -> pd.DataFrame:
        """The base's rows, without a time, and the ``live`` ones [index]."""
        return pd.concat([self.base.assign(event_time=np.nan), self.live.iloc[live]])

    def cut(self, boundary: int, complete: float) -> int | None:
        """The end of the newest window with labels enough, as of a boundary."""
        for end in range(boundary, START, -WINDOW):
            inside = (self.event >= end - WINDOW) & (self.event < end)
            if inside.any() and (self.label[inside] < boundary).mean() >= complete:
                return end
        return None

    def rows(self, index: Any) -> Rows:
        """Rows as the trainer has them; the id of a row is its number."""
        features = {name: column[index] for name, column in self._features.items()}
        ids = np.asarray(index).astype(str)
        return Rows(ids, self.event[index], self.label[index], features, self.truth[index])

    def losses(self, late: Any, mask: Any) -> float:
        """The mean log loss of labelled rows."""
        rows = mask & self.labelled
        given = np.where(self.truth[rows] == "yes", late[rows], 1 - late[rows])
        return float(-np.log(np.clip(given, 1e-7, 1)).mean())


def play(
    world: World,
    length: int,
    complete: float,
    least: int,
    late_by: int = 0,
    choose: bool = True,
    p_value: float = P_VALUE,
) -> Year:
    """A year with a pause of ``length`` ms; ``late_by``: how long after its boundary a decision is held back.

    ``choose`` among the candidates, or train on all rows. ``complete``: the share of labels that makes a window fit for training; ``least``: rows that a training needs.
    """
    history, year = History(), Year()
    year.served = np.empty(len(world.event))
    serving = Version("1", world.fit(world.first), None, START)
    changed = ModelChanged("m", "1", None, "installed", "", "", START, "")
    first = 0
    for boundary in range(START + WINDOW, int(world.event[-1]) + WINDOW + 1, WINDOW):
        cut = world.cut(boundary, complete)
        known = (world.label < boundary) & (world.event < (cut or 0))
        trigger = Trigger(f"{serving.name}", "virtual", serving.since, "")
        since = max(serving.since, serving.trained_until or serving.since)

        def count(at: int, known: Any = known) -> int:
            return int((known & (world.event >= at)).sum())

        need = Need(count(since), least)
        hold = pause(length, boundary, history.decisions, changed)
        asks = (
            [ask(trigger, since, boundary, history, count, 3)] if boundary >= serving.since + WINDOW else []
        )
        steps = consider(asks, {since: need}, complete, hold) if asks else []
        for step in steps:
            decision = TrainingDecided(
                run_id("m", serving.name, boundary), "m", serving.name, boundary, step.decision, "", since, cut,
                {"labelled": need.labelled}, serving.name, None, {}, None, None, None, None, None,
            )  # fmt: skip
            if step.decision == "started":
                year.trainings += 1
                assert cut is not None
                won, version = _challenge(
                    world, serving, np.flatnonzero(known), since, cut, boundary, choose, p_value
                )
                said = "promoted" if won else "refused"
                history.record(msgspec.structs.replace(decision, decision=said))
                if won:
                    past = boundary + GRACE + late_by
                    trigger_at = (
                        world.event[np.searchsorted(world.event, past)] if past <= world.event[-1] else 2**62
                    )
                    switch = int(np.searchsorted(world.event, trigger_at, side="right"))
                    year.served[first:switch] = serving.late[first:switch]
                    first = switch
                    year.promotions.append(boundary)
                    changed = ModelChanged("m", version.name, serving.name, "promoted", "", "", boundary, "")
                    serving = version
                    serving.since = boundary + late_by
            else:
                history.record(decision)
    year.served[first:] = serving.late[first:]
    return year


def _challenge(
    world: World,
    champion: Version,
    index: Any,
    since: int,
    cut: int,
    boundary: int,
    choose: bool,
    p_value: float,
) -> tuple[bool, Version]:
    """Train on the trainer's selection and challenge the champion on its holdout."""
    selection = select(world.rows(index), since, cut, p_value=p_value)
    train = selection.train.prediction_id.astype(np.int64)
    held = selection.holdout.prediction_id.astype(np.int64)
    table, tried = world.training(train), {}
    named = [Candidate(**vars(c)) for c in selection.candidates] if choose else [Candidate("all")]
    for drawn in draw(named, table, TARGET, classified=True):
        tried[drawn.candidate.name] = world.fit(table.iloc[drawn.index], drawn.weights)

    def scored(p: Any) -> Scored:
        return Scored(np.where(p[held] > 0.5, "yes", "no"), {"no": 1 - p[held], "yes": p[held]})

    truth = world.truth[held]
    given = {name: np.where(truth == "yes", p[held], 1 - p[held]) for name, p in tried.items()}
    losses = {name: -np.log(np.clip(p, np.finfo(float).eps, 1)) for name, p in given.items()}
    right = {name: np.where(p[held] > 0.5, "yes", "no") == truth for name, p in tried.items()}
    chosen = best(
        {name: losses[name] for name in attentive(truth, right)}, selection.spans, CANDIDATE_CONFIDENCE
    )
    late = tried[chosen]
    old, new = scored(champion.late), scored(late)
    verdict = challenge(
        truth,
        old,
        new,
        metric="log_loss",
        task="classification",
        min_gain=0.0,
        promote_p_value=p_value,
        tried=Tried("log_loss", chosen, {}, losses, 0),
        event_time=selection.holdout.event_time,
    )
    verdict = guarded(verdict, recalls(truth, old, new, RECALL_LOSS))
    until = int(selection.train.event_time[-1]) + 1
    print(f"  {pd.Timestamp(boundary, unit='ms'):%m-%d} {verdict.promoted!s:5} {verdict.reason}", flush=True)
    return verdict.promoted, Version(f"{boundary}", late, until, boundary)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weeks", type=float, nargs="*", default=[0, 2, 4, 6, 8, 10, 12])
    parser.add_argument(
        "--late", action="store_true", help="decisions take effect a window late, as they once did"
    )
    parser.add_argument("--p-value", type=float, default=P_VALUE, help="ATALAIA_PROMOTE_P_VALUE")
    parser.add_argument("--complete", type=float, default=0.95, help="ATALAIA_LABEL_COMPLETE")
    parser.add_argument(
        "--least", type=int, default=10_000, help="rows: what the learning curve makes of the setting"
    )
    parser.add_argument(
        "--all", action="store_true", help="train on all rows, without a choice among candidates"
    )
    parser.add_argument(
        "--fixed", action="store_true", help="the fixed policies too, which train twenty forests"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / f"flights-pause-{os.getuid()}"
    )
    asked = parser.parse_args()
    asked.cache.mkdir(exist_ok=True)
    world = World(asked.cache)
    everything = np.ones(len(world.event), dtype=bool)
    for weeks in asked.weeks:
        year = play(
            world,
            round(weeks * WEEK),
            asked.complete,
            asked.least,
            WINDOW if asked.late else 0,
            not asked.all,
            asked.p_value,
        )
        after = everything if not year.promotions else world.event >= year.promotions[0]
        print(
            f"pause {weeks:g} weeks: {year.trainings} trainings, {len(year.promotions)} promoted, log loss "
            f"{world.losses(year.served, everything):.4f} over the year, {world.losses(year.served, after):.4f} from the "
            f"first promotion on",
            flush=True,
        )
    if asked.fixed:
        table = policies.run(PROJECT)
        for name in ("frozen", "last_month", "monthly"):
            figures = policies.figures(table.iloc[:, 1].to_numpy(), table[name].to_numpy())
            print(f"{name}: log loss {figures['log_loss']:.4f} over the year", flush=True)


if __name__ == "__main__":
    main()
