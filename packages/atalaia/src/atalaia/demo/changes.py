"""What an alert was about, in words: where a feature's values went, and what the trainer made of it."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.events import FeatureDrift, TrainingDecided


def describe(feature: FeatureDrift) -> str:
    """A number's median before and now; of categories the share that moved most."""
    shape = feature.shape
    if feature.by == "missing":
        return f"missing: the share moved by {feature.effect:.0%}"
    if shape is None or not shape.x:
        return f"{feature.effect_name} {feature.effect:.2f}"
    if shape.kind == "numeric":
        before, now = (_median(shape.x, ecdf) for ecdf in (shape.reference, shape.live))
        return f"median {before} → {now}"
    at = max(range(len(shape.x)), key=lambda i: abs(shape.live[i] - shape.reference[i]))
    return f"{shape.x[at]}: {shape.reference[at]:.0%} → {shape.live[at]:.0%}"


def _median(x: Sequence[float | str], ecdf: Sequence[float]) -> str:
    for value, share in zip(x, ecdf, strict=True):
        if share >= 0.5:
            return f"{float(value):.4g}"
    return f"above {float(x[-1]):.4g}"


def outcome(alert_id: str, decisions: Sequence[TrainingDecided]) -> str:
    """What became of an alert at the trainer."""
    own = [d for d in decisions if alert_id in (d.alert_id, *d.answers)]
    refused = sum(d.decision == "refused" for d in own)
    failed = sum(d.decision == "failed" for d in own)
    before = ", ".join(
        text
        for text in (
            f"refused {refused} times" if refused > 1 else "refused once" if refused else "",
            f"failed {failed} times" if failed else "",
        )
        if text
    )
    for d in own:
        if d.decision == "promoted":
            then = f"version {d.challenger_version} promoted" + (
                f" (gain {d.gain:+.4f})" if d.gain is not None else ""
            )
            return f"{before}, then {then}" if before else then
    if before:
        return before
    return "waits for labelled rows" if any(d.decision == "waiting" for d in own) else "no training"
