"""What has to be true of every demonstration, whatever its world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atalaia.demo.topics import Validation
from atalaia.demo.worlds import Check, Evidence


def common(e: Evidence, checked: Mapping[str, Validation], joiner: Mapping[str, Any]) -> list[Check]:
    """No failed request, nothing lost, every message valid, every refusal with its reason."""
    sent, story = e.sent, e.story
    invalid = [line for v in checked.values() for line in v.invalid]
    messages = sum(v.messages for v in checked.values())
    counted = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in joiner.items() if n)
    silent = [d.run_id for d in story.decisions if not d.reason.strip()]
    decided = [d for d in story.decisions if d.decision in {"promoted", "refused", "failed"}]
    return [
        Check(
            "not one request failed",
            not sent.failures,
            f"{sent.batches + sent.uploads:,} requests"
            + (f", {len(sent.failures)} failed, the first: {sent.failures[0]}" if sent.failures else ""),
        ),
        Check(
            "every prediction answered is on the topic",
            story.prediction_rows == sent.rows and story.prediction_ids <= sent.batches,
            f"{sent.rows:,} rows in {sent.batches:,} requests answered, {story.prediction_rows:,} rows in "
            f"{story.prediction_ids:,} records on the topic",
        ),
        Check(
            "every label is joined",
            len(story.outcomes) == sent.labels and not story.outcomes.duplicates,
            f"{sent.labels:,} labels taken, {len(story.outcomes):,} outcomes"
            + (f"; feedback counts {counted}" if counted else ""),
        ),
        Check(
            "every message is valid",
            messages > 0 and not invalid,
            f"{messages:,} messages held against their JSON Schemas"
            + (f"; {len(invalid)} invalid, the first: {invalid[0]}" if invalid else ""),
        ),
        Check(
            "every decision has its reason",
            not silent,
            f"{len(decided)} trainings decided, {len(story.refusals)} refused",
        ),
        Check(
            "no training failed",
            not any(d.decision == "failed" for d in story.decisions),
            next((d.reason for d in story.decisions if d.decision == "failed"), "none"),
        ),
    ]
