"""``atalaia approve`` and ``refuse``: who waits for a person, on what evidence, and the word that is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.codec import derived_id
from contracts.events import ChallengerReviewed, TrainingDecided
from rich.console import Console
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.topic_log import read_events

from atalaia import sending
from atalaia.drift.explain import make_table, say, when
from atalaia.drift.log import connect
from atalaia.train import ENDS, RUNS, until_its_end

APPROVALS = "approvals"
PENDING = ("shadow", "approval")


@dataclass(frozen=True)
class Standing:
    """The last word on each run, and what people have said, of a run's words the first."""

    runs: dict[str, TrainingDecided]
    words: dict[str, ChallengerReviewed]

    @property
    def pending(self) -> list[TrainingDecided]:
        """The runs whose challengers have won and are not over."""
        return [r for r in self.runs.values() if r.decision == "waiting" and r.waits_for in PENDING]


async def standing(settings: Settings) -> Standing:
    """From the topics alone."""
    await connect(settings)
    there = await sending.topics_of(settings)
    runs = await read_events(settings, RUNS, TrainingDecided) if RUNS in there else []
    words = await read_events(settings, APPROVALS, ChallengerReviewed) if APPROVALS in there else []
    said: dict[str, ChallengerReviewed] = {}
    for word in words:
        said.setdefault(word.run_id, word)
    return Standing({run.run_id: run for run in runs}, said)


def chosen(found: Standing, asked: str, approved: bool) -> TrainingDecided:
    """The run that is meant: by its id or the beginning of it, by its model, or the only one that is pending.

    Raises :class:`UserError` where nothing or several are meant, or where the one that is cannot be given this word.
    """
    verb = "approve" if approved else "refuse"
    if asked in found.runs and found.runs[asked] not in found.pending:
        run = found.runs[asked]
        raise UserError(f"run {asked} does not wait for anybody ({run.decision}: {run.reason}).")
    meant = [
        r for r in found.pending if not asked or r.model == asked or (r.run_id.startswith(asked))
    ]  # fmt: skip
    if not meant:
        of = f" named by {asked}" if asked else ""
        raise UserError(f"no challenger{of} waits: there is nothing to {verb}.")
    if len(meant) > 1:
        raise UserError(f"several challengers wait: say which run: {'; '.join(map(_named, meant))}.")
    (run,) = meant
    if run.run_id in found.words:
        word = found.words[run.run_id]
        was = "approved" if word.approved else "refused"
        raise UserError(
            f"version {run.challenger_version} of {run.model} was {was} already{_by(word.reviewed_by)}: "
            f"{word.reason or 'no reason given'}. Its trainer heeds that once it runs."
        )
    if approved and run.waits_for == "shadow":
        raise UserError(
            f"version {run.challenger_version} of {run.model} is in its shadow period ({run.reason}): it asks for "
            "approval once that is over, if it wins. Until then it can only be refused."
        )
    return run


def word(run: TrainingDecided, approved: bool, reason: str, by: str) -> ChallengerReviewed:
    """What to publish."""
    return ChallengerReviewed(
        run_id=run.run_id,
        model=run.model,
        version=run.challenger_version or "",
        approved=approved,
        reason=reason,
        reviewed_by=by,
    )


async def announce(settings: Settings, event: ChallengerReviewed) -> None:
    """Publish it. The same word on a run, sent twice, is one event."""
    ce_id = derived_id(APPROVALS, event.run_id, event.approved)
    await sending.send(settings, APPROVALS, event, key=event.model, ce_id=ce_id, reader="trainer")


async def end(settings: Settings, run_id: str, seconds: float) -> TrainingDecided:
    """The end of a run, once there is one; raises :class:`UserError` after ``seconds``, saying how it stands."""
    last = await until_its_end(settings, lambda run: run.run_id == run_id, seconds)
    if last is not None and last.decision in ENDS:
        return last
    stands = f" {last.reason}" if last is not None else ""
    raise UserError(f"run {run_id} is not over after {seconds:g} s; does its trainer run?{stands}")


def render(console: Console, run: TrainingDecided) -> None:
    """The evidence: who asks, why, and all figures of the record."""
    say(
        console,
        f"Version {run.challenger_version} of {run.model} is to take the place of version {run.champion_version}.",
    )
    say(console, f"  run {run.run_id}, as of {when(run.as_of)} UTC, rows since {when(run.since)} UTC")
    trigger = f" ({run.trigger})" if run.trigger else ""
    say(console, f"  answers {', '.join(run.answers or [run.alert_id])}{trigger}")
    say(console, f"  {run.reason}")
    say(console)
    if run.metrics:
        champion, challenger = (run.metrics.get(name, {}) for name in ("champion", "challenger"))
        table = make_table("metric", "champion", "challenger", right=("champion", "challenger"))
        for name in sorted({*champion, *challenger}):
            table.add_row(name, *(_figure(each.get(name)) for each in (champion, challenger)))
        console.print(table)
    if run.gain is not None:
        chance = "" if run.p_value is None else f", p = {run.p_value:.4f}"
        say(console, f"gain {run.gain:+.4f}{chance}")
    for title, counts in (("rows", run.rows), ("labelled rows since the change", run.classes)):
        if counts:
            say(console, f"{title}: {', '.join(f'{name} {n:,}' for name, n in counts.items())}")
    if run.guardrails:
        say(console)
        table = make_table("guardrail", "seen", "limit", "held", right=("seen", "limit"))
        for name, seen in run.guardrails.items():
            table.add_row(name, f"{seen.seen:.2f}", f"{seen.limit:g}", "yes" if seen.held else "no")
        console.print(table)
    if run.candidates:
        say(console)
        names: Sequence[str] = sorted({name for each in run.candidates.values() for name in each.metrics})
        table = make_table("candidate", "rows", *names, right=("rows", *names))
        for name, each in run.candidates.items():
            mark = " (chosen)" if name == run.chosen else ""
            table.add_row(f"{name}{mark}", f"{each.rows:,}", *(_figure(each.metrics.get(m)) for m in names))
        console.print(table)
    say(console)
    say(console, f"MLflow run {run.mlflow_run_id}, DVC revision {run.dvc_revision}")
    say(console, f"made again bit for bit with: atalaia reproduce {run.model} {run.challenger_version}")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _named(run: TrainingDecided) -> str:
    return f"{run.run_id} (version {run.challenger_version} of {run.model})"


def _by(name: str) -> str:
    return f" by {name}" if name else ""
