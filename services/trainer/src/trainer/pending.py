"""Pending: from a verdict to what serves. A winner shadows if it has to, then waits for a person if it has to, then serves."""

from __future__ import annotations

import asyncio

import numpy as np
from contracts.events import ModelChanged, TrainingDecided
from scoring import Unusable
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import ModelBundle

from trainer.domain import pending
from trainer.domain.knowledge import Knowledge
from trainer.domain.ledger import Rows
from trainer.domain.promotion import superseded
from trainer.domain.selection import Selection
from trainer.judging import judge
from trainer.promoting import Promoting
from trainer.registered import Registered
from trainer.shadowing import Shadowing


class Pending:
    """The run whose challenger has won and is not over: its next word, when there is one."""

    def __init__(
        self,
        settings: Settings,
        knowledge: Knowledge,
        registered: Registered,
        promoting: Promoting,
        shadowing: Shadowing,
        metric: str,
    ) -> None:
        self._settings, self._knowledge, self._registered = settings, knowledge, registered
        self._promoting, self._shadowing, self._metric = promoting, shadowing, metric
        self.shadow_rows: int | None = None  # of the run that shadows, by the newest boundary

    @property
    def status(self) -> str | None:
        """What the run that is pending waits for, in words."""
        run = self._knowledge.history.pending()
        if run is None:
            return None
        if run.waits_for == "approval":
            return run.reason
        return pending.progress(self.shadow_rows, self.needed, self._knowledge.shadows.answers is not None)

    async def won(self, run: TrainingDecided, challenger: ModelBundle) -> TrainingDecided:
        """The next word on a run that has won its challenge."""
        if self._settings.shadow_rows:
            await self._shadowing.begin(run, challenger)
            self.shadow_rows = 0
            return pending.shadows(run, self.needed)
        return await self._cleared(run, challenger)

    async def answered(self) -> TrainingDecided | None:
        """The next word on a pending run, where a person has spoken, or another version has come to serve."""
        run = self._knowledge.history.pending()
        serving, boundary = self._knowledge.serving, self._knowledge.considered_through
        if run is None or serving is None:
            return None
        as_of = max(run.as_of, boundary or run.as_of)
        late = superseded(
            serving, run.champion_version, run.challenger_version, self._knowledge.served, run.champion_since
        )
        if late is not None:
            return pending.ended(run, late, as_of)
        if serving.version == run.challenger_version:
            return await self._serves(run, serving)
        said = self._knowledge.approvals.of(run.run_id)
        if said is None or (said.approved and run.waits_for != "approval"):
            return None
        if said.approved and self._knowledge.due() is not None:
            return None  # after a restart old boundaries are gone over first: it serves from the newest on
        decided = pending.reviewed(run, said, as_of)
        return await self._served(run, decided) if said.approved else self._heeded(decided)

    async def considered(self, boundary: int) -> TrainingDecided | None:
        """The next word on a run that shadows, as of a boundary: refused or cleared once it has its rows, failed where it
        has waited for them for too long."""
        run = self._knowledge.history.pending()
        if run is None or run.waits_for != "shadow":
            return None
        over = await self._shadowing.ended(run)
        if over is not None:
            return self._heeded(pending.ended(run, over, boundary))
        rows = await self._shadowing.rows(run, boundary, self._settings.label_complete)
        self.shadow_rows = len(rows) if rows is not None else 0
        if rows is None or len(rows) < self.needed:
            return self._overdue(run, boundary)
        try:
            return await self._again(run, rows, boundary)
        except (Unusable, UserError, ValueError) as error:
            return pending.ended(run, str(error), boundary, failed=True)

    def _overdue(self, run: TrainingDecided, boundary: int) -> TrainingDecided | None:
        timeout, answers = self._settings.shadow_timeout_ms, self._knowledge.shadows.answers is not None
        if boundary < run.as_of + timeout:
            return None
        version, rows = run.challenger_version or "", self.shadow_rows or 0
        why = pending.overdue(version, rows, self.needed, answers, timeout)
        return pending.ended(run, why, boundary, failed=True)

    async def _serves(self, run: TrainingDecided, serving: ModelChanged) -> TrainingDecided:
        """A run whose end a crash kept from being recorded; or somebody has made its challenger serve."""
        said = self._knowledge.approvals.of(run.run_id)
        if serving.action == "promoted" and run.waits_for == "shadow":
            again = await self.considered(serving.effective_from)
            if again is not None and again.decision == "promoted":
                return again
        if said is not None and said.approved:
            return pending.reviewed(run, said, serving.effective_from)
        return pending.serves(run, serving)

    def _heeded(self, refused: TrainingDecided) -> TrainingDecided:
        """With the rows as of the newest boundary that was spoken of: a restart may go over older ones again."""
        knowledge = self._knowledge
        as_of = max(refused.as_of, knowledge.evidence.newest or refused.as_of)
        cut = knowledge.evidence.cut(as_of, self._settings.label_complete)
        return pending.heeded(refused, knowledge.ledger.count(refused.since or 0, cut, as_of) if cut else 0)

    @property
    def needed(self) -> int:
        """Labelled rows that a shadow period takes."""
        return max(self._settings.shadow_rows, 1)

    async def _again(self, run: TrainingDecided, rows: Rows, boundary: int) -> TrainingDecided:
        champion = await self._registered.champion(run.champion_version)
        challenger = await self._registered.challenger(run.challenger_version or "")
        if champion.bundle.profile["task"] == "regression":
            rows = rows.numeric()
        verdict = await asyncio.to_thread(
            judge, champion.bundle, challenger, _held_out(rows), self._settings, self._metric
        )
        decided = pending.shadowed(run, verdict, len(rows), boundary)
        if not verdict.promoted:
            return decided
        late = await self._promoting.superseded(run, run.challenger_version)
        return pending.ended(decided, late, boundary) if late else await self._cleared(decided, challenger)

    async def _cleared(self, run: TrainingDecided, challenger: ModelBundle) -> TrainingDecided:
        """What the data say has been said: a person's turn, or it serves."""
        if self._settings.promotion == "approve":
            return pending.asks(run)
        await self._promoting.promote(run, challenger)
        return run

    async def _served(self, run: TrainingDecided, approved: TrainingDecided) -> TrainingDecided:
        late = await self._promoting.superseded(run, run.challenger_version)
        if late is not None:
            return pending.ended(run, late, approved.as_of)
        try:
            challenger = await self._registered.challenger(run.challenger_version or "")
        except UserError as error:
            return pending.ended(run, str(error), approved.as_of, failed=True)
        await self._promoting.promote(approved, challenger)
        return approved


def _held_out(rows: Rows) -> Selection:
    """Rows of a shadow period: all of them decide, none is for training."""
    held = np.ones(len(rows), dtype=bool)
    since, until = int(rows.event_time[0]), int(rows.event_time[-1]) + 1
    return Selection(rows.take(~held), rows, rows, held, since, until)
