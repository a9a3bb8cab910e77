"""How much a training would need: by the champion's learning curve, how wrong it is on the rows since a change, and settings."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import numpy as np
from scoring import Unusable
from servicekit.config import Settings
from summaries.labels import names_of, texts

from trainer.domain.challenge import losses
from trainer.domain.columns import Array
from trainer.domain.consider import Need
from trainer.domain.knowledge import Knowledge
from trainer.domain.learning_curve import MOST, needed
from trainer.domain.ledger import Rows
from trainer.domain.selection import SHARE
from trainer.judging import scored
from trainer.registered import Champion

log = logging.getLogger("trainer")
METRICS = {
    "classification": ("accuracy", "log_loss"),
    "regression": ("mae", "rmse"),
}  # that decide a challenge
SCORED = 10_000  # rows, the newest: what the champion's loss is estimated from


class Needs:
    """One model's needs; those as of the newest boundary are kept."""

    def __init__(self, settings: Settings, knowledge: Knowledge) -> None:
        self.settings, self._knowledge = settings, knowledge
        self._as_of: tuple[int | None, int, str] | None = None
        self._found: dict[int, Need] = {}

    async def since(self, since: int, champion: Champion, cut: int | None, boundary: int) -> Need:
        """What the rows since a point up to ``cut``, as of a boundary, would need to be, and are.

        From ten times the least rows on neither the curve nor a class holds a training back.
        """
        as_of = cut, boundary, champion.bundle.version
        if as_of != self._as_of:
            self._as_of, self._found = as_of, {}
        if since not in self._found:
            self._found[since] = await self._need(since, champion, cut, boundary)
        return self._found[since]

    async def _need(self, since: int, champion: Champion, cut: int | None, boundary: int) -> Need:
        least = self.settings.min_train_rows
        if cut is None:
            return Need(0, least)
        labelled = self._knowledge.ledger.count(since, cut, boundary)
        ledger = self._knowledge.ledger.snapshot()  # the reader adds to the ledger meanwhile
        if labelled >= MOST * least:
            truth = await asyncio.to_thread(ledger.truth, boundary, cut, since)
            return Need(labelled, MOST * least, True, await asyncio.to_thread(_classes, champion, truth))
        rows = await asyncio.to_thread(ledger.get, boundary, cut, since)
        enough = await asyncio.to_thread(self._by_the_curve, champion, rows)
        classes = await asyncio.to_thread(_classes, champion, rows.truth)
        return Need(labelled, max(least, enough), enough > least, classes, self.settings.min_class_rows)

    def _by_the_curve(self, champion: Champion, rows: Rows) -> int:
        """0 where there is no curve, or nothing to lay beside it."""
        curve, newest = champion.curve, rows.take(np.arange(max(len(rows) - SCORED, 0), len(rows)))
        task = champion.bundle.profile["task"]
        if curve is None or curve.metric not in METRICS[task] or not len(newest):
            return 0
        try:
            if task == "regression":
                newest = newest.numeric()
            wrong = losses(newest.truth, scored(champion.bundle, newest), curve.metric)
        except (Unusable, ValueError) as error:  # the training will say so too
            log.warning("the learning curve is not used: %s", error)
            return 0
        settings = self.settings
        return needed(
            curve, wrong, SHARE, settings.min_gain, settings.promote_p_value, settings.min_train_rows
        )


def _classes(champion: Champion, truth: Array) -> dict[str, int]:
    """Rows of each class of the champion's profile; of a regression none."""
    if champion.bundle.profile["task"] == "regression":
        return {}
    found = Counter(names_of(truth).tolist())
    return {name: found[name] for name in texts(champion.bundle.profile["classes"] or []) if name is not None}
