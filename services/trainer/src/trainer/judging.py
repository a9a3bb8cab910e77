"""Judging: what the challenge and its guardrails say of a registered version against the one that serves."""

from __future__ import annotations

from scoring import Unscorable, Unusable
from servicekit.config import Settings
from servicekit.registry import ModelBundle
from summaries.profile import Profile

from trainer.domain.challenge import Scored, Verdict, challenge, incompatible
from trainer.domain.guardrails import Limits, costs, guarded, recalls
from trainer.domain.ledger import Rows
from trainer.domain.selection import Selection
from trainer.domain.tried import Tried
from trainer.latency import latency_ratio


def judge(
    champion: ModelBundle,
    challenger: ModelBundle,
    selection: Selection,
    settings: Settings,
    metric: str,
    tried: Tried | None = None,
) -> Verdict:
    """What the predictor would refuse never wins. Raises ``Unusable`` for a version that does not score, and where what
    its run says of the candidates is not of this version."""
    refusal = incompatible(_profile(champion), _profile(challenger))
    if refusal is not None:
        return refusal
    rows, task = selection.holdout, challenger.profile["task"]
    old, new = (scored(bundle, rows) for bundle in (champion, challenger))
    try:
        verdict = challenge(
            rows.truth,
            old,
            new,
            metric=metric,
            task=task,
            min_gain=settings.min_gain,
            promote_p_value=settings.promote_p_value,
            tried=tried,
            event_time=rows.event_time,
            span_ms=settings.span_ms,
        )
    except ValueError as error:
        raise Unusable(f"version {challenger.version} cannot be judged: {error}") from error
    limits = Limits(settings.max_recall_loss, settings.max_latency_ratio, settings.max_size_ratio)
    slower = latency_ratio(champion, challenger, rows.features)
    found = costs(slower, len(challenger.onnx) / len(champion.onnx), limits)
    if task == "classification":
        found |= recalls(rows.truth, old, new, limits.recall_loss)
    return guarded(verdict, found)


def _profile(bundle: ModelBundle) -> Profile:
    try:
        return Profile.from_dict(bundle.profile)
    except Exception as error:  # whatever a broken artifact raises
        raise Unusable(
            f"version {bundle.version} cannot be used: its profile cannot be read: {error}"
        ) from error


def scored(bundle: ModelBundle, rows: Rows) -> Scored:
    """What a version says of rows; raises ``Unusable`` naming it."""
    try:
        odd = bundle.odd_fields()
        if odd:
            raise Unusable(f"its signature and its profile differ in {', '.join(odd)}")
        return Scored.of(bundle.onnx, bundle.profile, rows)
    except (Unusable, Unscorable) as error:
        raise Unusable(f"version {bundle.version} cannot be used: {error}") from error
