"""Each alert of a run: what it saw, what had really changed, what came of it, and whether that was for the better."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.events import AlertChanged

from atalaia.demo.changes import describe, outcome
from atalaia.demo.hold import when
from atalaia.demo.story import Story
from atalaia.demo.worth import Worth

Span = tuple[int, int]
Facts = Callable[[Span, Span], Mapping[str, str]]  # reference span, live span -> what differs, by subject
MOST = 5  # features named in a row
ID = re.compile(r" \([0-9a-f]{8}-[0-9a-f-]{27}\)")


def tell(story: Story, worth: Mapping[str, Worth], facts: Facts | None = None) -> list[dict[str, Any]]:
    """One entry an alert, in order, as ``summary.json`` holds it."""
    changes: dict[str, list[AlertChanged]] = {}
    for change in story.alerts:
        changes.setdefault(change.alert_id, []).append(change)
    told = []
    for alert_id, own in changes.items():
        opened = next((a for a in own if a.state == "drift"), None)
        if opened is None:
            continue
        closed = next((a for a in own if a.state == "ok"), None)
        answers = (d for d in story.decisions if alert_id in (d.alert_id, *d.answers))
        promoted = next((d for d in answers if d.decision == "promoted"), None)
        reference, live = reference_span(story, opened.version), (opened.since, opened.window_end)
        after = worth.get(promoted.challenger_version or "") if promoted else None
        told.append({
            "alert_id": alert_id,
            "kind": opened.kind,
            "version": opened.version,
            "window_start": opened.window_start,
            "window_end": opened.window_end,
            "since": opened.since,
            "reason": opened.reason,
            "features": {
                name: {"effect": f.effect, "effect_name": f.effect_name, "p": f.p_adjusted, "how": describe(f)}
                for name, f in sorted(opened.features.items(), key=lambda item: -item[1].effect)
                if f.drifted
            },
            "reference": reference,
            "changed": dict(facts(reference, live)) if facts else {},
            "outcome": outcome(alert_id, story.decisions),
            "closed": {"at": closed.window_end, "reason": closed.reason} if closed else None,
            "worth": _worth(after) if after else None,
        })  # fmt: skip
    return told


def _worth(worth: Worth) -> dict[str, Any]:
    return {
        "version": worth.version, "previous": worth.previous, "metric": worth.metric, "rows": worth.rows,
        "before": worth.before, "after": worth.after, "gain": worth.gain, "low": worth.low, "high": worth.high,
        "better": worth.gain > 0, "proven": worth.proven,
    }  # fmt: skip


def reference_span(story: Story, version: str) -> Span:
    """What a version's reference was made of: since its change point; for the first all before its first row."""
    for d in story.decisions:
        if d.decision == "promoted" and d.challenger_version == version and d.until is not None:
            return d.since, d.until
    return 0, min(story.outcomes.event_time, default=0)


def count(told: Sequence[Mapping[str, Any]]) -> str:
    """How many alerts led to a better model, in a sentence."""
    promoted = [t for t in told if "promoted" in t["outcome"]]
    judged = [t["worth"] for t in promoted if t["worth"]]
    better = sum(w["better"] for w in judged)
    proven = sum(w["proven"] for w in judged)
    worse = sum(w["high"] < 0 for w in judged)
    kinds = Counter(t["kind"] for t in told)
    said = (
        f"{len(told)} alert{'s' * (len(told) != 1)} ({', '.join(f'{n} {kind}' for kind, n in kinds.items())}); {len(promoted)} led to a new version, and {better} of these to a better one: better on "
        f"the labelled rows that it then served than the version before it, scored on the same rows; {proven} of them "
        f"beyond chance"
    )
    if worse:
        said += f", and {worse} worse beyond chance"
    unseen = sum(not t["worth"] for t in promoted)
    if unseen:
        said += f"; {unseen} served no labelled row"
    if judged:
        judged = list({w["version"]: w for w in judged}.values())  # one training answers all that is open
        rows = sum(w["rows"] for w in judged)
        before, after = (sum(w[key] * w["rows"] for w in judged) / rows for key in ("before", "after"))
        said += (
            f". On all {rows:,} rows that new versions served, {judged[0]['metric']} is {after:.4f}; that of the "
            f"version before each is {before:.4f}"
        )
    return said + "."


def page(project: str, settings: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown page with the table."""
    lines = [
        f"# The alerts of {project}",
        "",
        f"Written by `atalaia demo {project}`: minimum effect {settings['min_effect']:g}, share of quiet windows that "
        f"may alarm {settings['alpha']:g}, correction {settings['correction']}.",
        "",
        f"**{count(told)}**",
        "",
        "*Features*: those that drifted, strongest first, with effect and corrected p-value. *What really changed*: the "
        "raw rows of the version's reference against those since the alert's change point. *New version*: mean loss of "
        "the version before → of the new one, on the rows that the new one served; the gain with 95% by days.",
        "",
        "| as of | since | version | kind | features | what really changed | what came of it | new version |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for t in told:
        features = [
            f"{name} {f['effect_name'].replace('cramers_v', 'V')} {f['effect']:.2f} (p {_p(f['p'])})"
            for name, f in t["features"].items()
        ]
        more = f" and {len(features) - MOST} more" if len(features) > MOST else ""
        changed = "<br>".join(f"{name}: {what}" for name, what in t["changed"].items())
        came = "no training of its own" if t["outcome"] == "no training" else t["outcome"]
        if t["closed"]:
            came += f"; closed {when(t['closed']['at'])[:10]}, {_reason(t['closed']['reason'])}"
        else:
            came += "; still open at the end"
        cells = [
            when(t["window_end"])[:10], when(t["since"])[:10], t["version"], t["kind"],
            (", ".join(features[:MOST]) + more) or _reason(t["reason"]), changed, came, judged(t),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def judged(told: Mapping[str, Any]) -> str:
    """What the version that an alert led to was worth, in words; empty where there is none to judge."""
    w = told["worth"]
    if not w:
        return ""
    return (
        f"{w['metric']} {w['before']:.4f} → {w['after']:.4f}, {w['gain']:+.4f} "
        f"({w['low']:+.4f} to {w['high']:+.4f}) on {w['rows']:,} rows: {_verdict(w)}"
    )


def _verdict(worth: Mapping[str, Any]) -> str:
    if worth["proven"]:
        return "better"
    if worth["high"] < 0:
        return "worse"
    return "better, within chance" if worth["better"] else "not better, within chance"


def _p(value: float) -> str:
    return f"{value:.1g}" if value >= 1e-300 else "below 1e-300"


def _reason(reason: str) -> str:
    return ID.sub("", reason.partition(": ")[2] or reason)
