"""Lists, reasons and times in words, the same in the terminal and on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from contracts.events import FeatureDrift

from atalaia.drift.explain import when

ID = re.compile(r"[ (]*\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b\)?")
CHANGE = re.compile(r"^(ok|warning|drift|recovered) -> (ok|warning|drift|recovered): ")
METRIC_NAMES = {
    "accuracy": "accuracy", "log_loss": "log loss", "auc": "ROC AUC", "f1": "F1", "balanced_accuracy": "balanced accuracy",
    "pr_auc": "PR AUC", "brier": "Brier score", "mae": "mean absolute error", "rmse": "RMSE", "r2": "R²", "mape": "MAPE",
}  # fmt: skip
METRIC = re.compile(r"\b(log_loss|balanced_accuracy|pr_auc)\b")
# A review scores the rows that one version has served by the other too, which did not serve: no reader may take it for recovered.
ON_THE_SAME = re.compile(r" against (version \S+)'s ([-+.\de]+) on (\d+) rows it has served")
MOST_NAMED = 4
MOST_LETTERS = 90  # of names in one sentence
MS_DAY = 86_400_000


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Names in a sentence: no more than it can bear, where they are long, but one.

    >>> listed(["temp"]), listed(["temp", "dewp"]), listed(list("abcdef"))
    ('temp', 'temp and dewp', 'a, b, c, d and 2 more')
    >>> listed(["a" * 50, "b" * 50, "c"]).endswith("a and 2 more")
    True
    """
    fitting = sum(letters <= MOST_LETTERS for letters in accumulate(map(len, names)))
    most = min(most, max(fitting, 1))
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return _joined(shown)


def plain(reason: str) -> str:
    """A reason without what only machines read: the change of state before it, and ids.

    >>> plain("ok -> drift: error 0.4 -> 0.6; virtual too (b1b54539-363b-55ad-9d2e-1916ccc89a99)")
    'error 0.4 -> 0.6; virtual too'
    """
    return ID.sub("", CHANGE.sub("", reason)).strip()


def named(reason: str, before: str | None) -> str:
    """A reason that names the versions it speaks of by their roles, with their numbers; metrics as people write them.

    >>> named("better: log_loss 0.44 against the champion's 0.46", "1")
    "better: log loss 0.44 against version 1's 0.46"
    >>> named("worse: mae 0.66 against the predecessor's 0.87 on 1164 rows it has served", "1")
    'worse: mae 0.66 on the 1164 rows it has served; on the same rows version 1 would have scored 0.87'
    """
    reason = reason.replace(" since the change point", " since the change")
    if before is not None:
        reason = reason.replace("the champion's", f"version {before}'s")
        reason = reason.replace("the predecessor's", f"version {before}'s")
    reason = ON_THE_SAME.sub(
        r" on the \3 rows it has served; on the same rows \1 would have scored \2", reason
    )
    return METRIC.sub(lambda found: METRIC_NAMES[found[0]], reason)


def metric_name(metric: str) -> str:
    """As people write it."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def utc(event_time: int) -> str:
    """Event time, with its zone."""
    return f"{when(event_time)} UTC"


def lasting(ms: int) -> str:
    """How long, no more exact than it matters: of few days or hours to the half.

    >>> lasting(1_000), lasting(90_000), lasting(5 * 3_600_000), lasting(42 * MS_DAY), lasting(9_000_000)
    ('less than a minute', '2 minutes', '5 hours', '42 days', '2.5 hours')
    """
    for unit, size, enough in (("day", MS_DAY, 2), ("hour", 3_600_000, 2), ("minute", 60_000, 0)):
        if ms >= enough * size:
            n = round(2 * ms / size) / 2 if enough and ms < 10 * size else round(ms / size)
            if not n:
                return "less than a minute"
            return f"{n:g} {unit}{'s' * (n != 1)}"
    return "no time"


def sentence(text: str) -> str:
    """Its first letter large, a full stop behind it.

    >>> sentence("not better: log_loss 0.5")
    'Not better: log_loss 0.5.'
    """
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def is_output(name: str) -> bool:
    """Whether a monitored name is what the model says, and no input."""
    return name.partition(":")[0] in {"prediction", "probability"} and ":" in name


def strongest(features: Mapping[str, FeatureDrift], names: Iterable[str] | None = None) -> list[str]:
    """Names, of all features or some, that of the largest effect first."""
    return sorted(features if names is None else names, key=lambda name: (-features[name].effect, name))


def changed(names: Sequence[str]) -> str:
    """Which inputs and outputs, in a sentence.

    >>> changed(["temp", "probability:yes"])
    'the input temp and the probability of yes'
    >>> changed(["prediction:late", "probability:yes", "probability:no"])
    'the predicted late and the probabilities of yes and no'
    """
    inputs = [name for name in names if not is_output(name)]
    outputs = [name.split(":", 1) for name in names if is_output(name)]
    predicted = [of for what, of in outputs if what == "prediction"]
    probable = [of for what, of in outputs if what == "probability"]
    parts = (
        (f"input{'s' * (len(inputs) != 1)}", inputs, MOST_NAMED),
        ("predicted", predicted, MOST_NAMED // 2),
        (
            "probability of" if len(probable) == 1 else "probabilities of",
            probable,
            MOST_NAMED // 2 if inputs else MOST_NAMED,
        ),
    )
    told = [f"the {what} {listed(found, most)}" for what, found, most in parts if found]
    return _joined(told)


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
