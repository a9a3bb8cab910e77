"""Red wine after its change of regime: what each way to retrain is worth on rows that nobody has seen.

As the trainer goes about it, without the processes: its candidates, the choice on the held-out rows, its challenge.
wine-quality's sources must be importable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from contracts.events import CandidateTried
from modelkit.candidates import Candidate, best, draw
from modelkit.export import sklearn_fit
from modelkit.fitted import Fitted
from modelkit.measures import losses
from modelkit.stages import cast, split_base
from modelkit.training import without_copies
from trainer.domain.candidates import candidates
from trainer.domain.challenge import Scored, challenge
from trainer.domain.tried import Tried
from wine_quality.fields import FIELDS, TARGET
from wine_quality.prepare import worlds
from wine_quality.source import read
from wine_quality.train import make

NAMES = [f.name for f in FIELDS]
COLUMNS = [*NAMES, TARGET]
MAX_ALCOHOL, TRAFFIC_SHARE, SEED = 11, 0.25, 42  # as the project's params.yaml
DEPTH, P_VALUE = 8, 0.1  # its tree, and its ATALAIA_PROMOTE_P_VALUE
MINUTE = 60_000
_fit = sklearn_fit(make, FIELDS)


def compare(orders: Iterable[int], labelled: int = 240) -> pd.DataFrame:
    """A row an order of the wines, once ``labelled`` rows of the new regime have labels: accuracies on those that come after.

    Columns ``champion`` (the first world's model), ``thesis`` (trained on the new regime alone), ``all``, ``chosen`` (the best
    candidate on the held-out rows) and ``served`` (the chosen one where it wins the challenge, else the champion); ``name`` of
    the candidate, ``promoted``. Copies of labelled rows are no unseen rows.
    """
    frame = cast(read(), FIELDS)
    return pd.DataFrame([_compare(frame, order, labelled) for order in orders])


def _compare(frame: pd.DataFrame, order: int, labelled: int) -> dict[str, Any]:
    parts = worlds(frame, MAX_ALCOHOL, TRAFFIC_SHARE, order)
    first, first_test = split_base(parts["base"], TRAFFIC_SHARE, SEED)
    champion = _trained(without_copies(first, first_test, COLUMNS)[0], None)
    new, held = parts["drifted"][:labelled], labelled // 4
    live = pd.concat([parts["steady"], new], ignore_index=True)
    live["event_time"] = np.arange(len(live)) * MINUTE
    train = pd.concat([first, first_test, live[:-held]], ignore_index=True)
    train, _ = without_copies(train, live[-held:], COLUMNS)
    since, until = len(parts["steady"]) * MINUTE, len(live) * MINUTE
    tried = [
        Candidate(c.name, c.since, c.half_life_ms)
        for c in candidates(live["event_time"].to_numpy()[:-held], since, until)
    ]
    fitted = {
        d.candidate.name: _trained(train.iloc[d.index], d.weights)
        for d in draw(tried, train, TARGET, classified=True)
    }
    costs = {name: _losses(model, live[-held:]) for name, model in fitted.items()}
    name = best(costs)
    none = dict.fromkeys(costs, CandidateTried(rows=0, since=None, half_life_ms=None, metrics={}))
    verdict = challenge(
        live[TARGET].to_numpy()[-held:], _scored(champion, live[-held:]), _scored(fitted[name], live[-held:]),
        metric="accuracy", task="classification", min_gain=0.0, promote_p_value=P_VALUE,
        tried=Tried("accuracy", name, none, costs, 0),
    )  # fmt: skip
    after, _ = without_copies(parts["drifted"][labelled:].reset_index(drop=True), new, COLUMNS)
    found = {
        "champion": _accuracy(champion, after),
        "thesis": _accuracy(_trained(new[:-held], None), after),
        "all": _accuracy(fitted["all"], after),
        "chosen": _accuracy(fitted[name], after),
    }
    served = found["chosen" if verdict.promoted else "champion"]
    return found | {"served": served, "name": name, "promoted": verdict.promoted}


def _trained(rows: pd.DataFrame, weights: Any) -> Fitted:
    rows = rows.reset_index(drop=True)
    return _fit(rows[NAMES], rows[TARGET], {"max_depth": DEPTH, "seed": SEED}, weights)


def _scored(model: Fitted, rows: pd.DataFrame) -> Scored:
    return Scored(model.predict(rows[NAMES])[0])


def _losses(model: Fitted, rows: pd.DataFrame) -> Any:
    return losses("accuracy", rows[TARGET], *model.predict(rows[NAMES]), model.classes)


def _accuracy(model: Fitted, rows: pd.DataFrame) -> float:
    return 1 - float(_losses(model, rows).mean())
