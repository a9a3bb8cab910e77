"""The first row of each dashboard: what is wrong now, since when and what was done last, at a glance; below it in full."""

from __future__ import annotations

from typing import NamedTuple

from dashboards.look import (
    BLUE,
    GREEN,
    GREY,
    MODEL,
    NUMBERED,
    ORANGE,
    RED,
    SAID_OR_BACK,
    YELLOW,
    Cell,
    Panel,
    Query,
    Words,
    headline,
    instead,
    is_up,
    named,
    or_none,
    reworded,
    sentences,
    tile,
)

QUESTION = "What is wrong now, since when, and what was done?"
URGENCY: Words = {"page": ("at once", RED), "ticket": ("within the day", YELLOW)}
NO_TIME: Words = {"0": ("–", ""), "-1": ("–", "")}


class Alert(NamedTuple):
    """In words: what is wrong, and what happens by itself while nobody acts."""

    says: str
    by_itself: str


# What happens now is told by a label: an alert's name while nobody has acted on it, then the action. Of drift this is until then.
UNTOUCHED = "the trainer is asked; nothing done yet"
ALERTS = {
    "ServiceDown": Alert("a service is down", "Kubernetes restarts it; else start it"),
    "ServiceMissing": Alert("a service is missing", "nothing: somebody must act"),
    "NoModelServes": Alert("no model serves", "asked for again; requests get 503"),
    "RequestsFail": Alert("requests fail", "nothing: somebody must act"),
    "RequestsSlow": Alert("requests are slow", "nothing: somebody must act"),
    "SpoolHolds": Alert("Kafka takes no predictions", "rows wait on disk until Kafka is back"),
    "SpoolFull": Alert("the spool fills up", "when it is full, requests get 503"),
    "PredictionsLost": Alert("predictions are lost", "nothing: somebody must act"),
    "RecordsUnreadable": Alert("records cannot be read", "put on the dead-letter topic"),
    "ConsumerLags": Alert("records wait to be read", "windows wait; nothing is lost"),
    "ProfileMissing": Alert("a profile is missing", "asked for again; records are held"),
    "WindowsUndecided": Alert("windows are undecided", "decided later, oldest first"),
    "FeedbackBehind": Alert("feedback is behind", "reported later; trainings wait for it"),
    "TrainerBehind": Alert("the trainer is behind", "considered later; trainings wait"),
    "InputDrift": Alert("inputs drifted", UNTOUCHED),
    "ErrorDrift": Alert("model errors rose", UNTOUCHED),
    "QualityFallen": Alert("quality fell", UNTOUCHED),
    "AlertUnanswered": Alert("an alert is unanswered", "trained again when more rows are there"),
    "LabelsMissing": Alert("labels are missing", "nothing; trainings wait for labels"),
    "TrainingFails": Alert("trainings fail", "for alerts again; the old version serves"),
    "ApprovalWaits": Alert("a person is waited for", "nothing: a person says yes or no"),
    "ChallengerNotLoaded": Alert("a challenger is not loaded", "asked for again where it was unreachable"),
    "WorseVersionServes": Alert("a worse version serves", "looked at again, unless rollback is off"),
    "VersionNotServed": Alert("the new version is not served", "the version before it serves on"),
}
# Of the model that was picked, and of services, which name none; a pattern would take a dot in its name for any character.
OF_EITHER = (MODEL, 'model=""')
# What the rules record of each alert that fires.
BEGAN = "alert:atalaia_firing_began_seconds:max"
SINCE = "alert:atalaia_firing_since_seconds:min"
UNTIL = "model:atalaia_firing_until_seconds:max"
# While the rules are computed the Heartbeat is among them.
COMPUTED = f'{SINCE}{{alertname="Heartbeat"}} and on () atalaia_drift_state{{{MODEL}}}'
# What the predictors say; after a rollback it is the version that serves again that they name.
SERVES = reworded(
    f"atalaia_model_since_seconds{{{MODEL}}} * on (job, instance, model) group_right () atalaia_model_info{{{MODEL}}} ^ 0",
    "action",
    {"rolled_back": "serves again"},
)
# 1, or 2 of what went wrong: a tile of names is coloured by the value. The info metric itself counts workers.
VERSION = (
    f'2 * max by (version, action) (atalaia_model_info{{{MODEL}, action="rolled_back"}} ^ 0) '
    f"or max by (version, action) (atalaia_model_info{{{MODEL}}} ^ 0)"
)
# What changes nothing: a training that waits is told of again and again, a review that keeps a version hides when it was promoted.
NO_DEEDS = "waits for rows|kept"
NAMES: Words = {
    **{name: (name, RED) for name in ALERTS},
    "none": ("nothing", GREEN),
    "not known": ("not known", GREY),
}
WRONG: Words = {**NAMES, **{name: (alert.says, RED) for name, alert in ALERTS.items()}}
ACTIONS: Words = {
    "started": ("training started", BLUE),
    "waits for rows": ("too few labelled rows yet", GREY),
    "waits for shadow": ("shadows traffic", ORANGE),
    "waits for approval": ("awaits approval", YELLOW),
    "approved": ("challenger approved", GREEN),
    "rejected": ("challenger rejected", YELLOW),
    "refused": ("challenger refused", YELLOW),
    "promoted": ("promoted", GREEN),
    "failed": ("training failed", RED),
    "installed": ("installed", BLUE),
    "kept": ("kept after its review", GREEN),
    "rolled_back": ("rolled back", YELLOW),
    "serves again": ("serves again (rollback)", YELLOW),
    "nothing yet": ("nothing yet", GREY),
    "not known": ("not known", GREY),
}
REASONS: Words = {
    "virtual": ("inputs drifted", ""),
    "real": ("model errors rose", ""),
    "quality": ("quality fell", ""),
    "schedule": ("schedule", ""),
    "manual": ("a person asked", ""),
    "review": ("its review: worse", ""),
    "person": ("a person", ""),
}


def answers() -> list[Panel]:
    """In large letters, and below in two tables side by side in full."""
    said = {name: alert.by_itself for name, alert in ALERTS.items()}
    said |= {action: words for action, (words, _) in ACTIONS.items()}
    said["waits for approval"] = "you: atalaia approve, or refuse"
    return [
        headline(
            "What is wrong",
            "Each alert that fires, of the services and of this model; below with its name, of whom, since when, and what happens now.",
            wrong_in_short(),
            {"alertname": Cell("wrong", WRONG, loud=True)},
            span=8,
        ),
        tile(
            "Since",
            "When the first of these alerts began, by the wall clock; where nothing is wrong, when the last one ended in "
            "the time that is shown.",
            Query(since_when(), "{{said}}"),
            unit="dateTimeAsIsoNoDateIfToday", steps=[(1, BLUE)], words={"0": ("earlier", GREY)}, with_name=True, span=4,
        ),
        headline(
            "What was done last",
            "The newest of the actions below that changed something, of which version and when, by the wall clock: neither a wait for rows nor a "
            "review that keeps a version.",
            done_last(newest=True),
            {
                "action": Cell("done", ACTIONS),
                "version": Cell("version"),
                "Value": Cell("at", NO_TIME, unit="dateTimeAsIsoNoDateIfToday"),
            },
            span=9,
        ),
        tile(
            "Serves now",
            "The version that answers, by its number in the registry; yellow where its successor was rolled back.",
            Query(serves_now(), "{{version}}"),
            unit="none", steps=SAID_OR_BACK, name=True, span=3,
        ),
        sentences(
            "Wrong now",
            "Alerts that fire, of the services and of this model; docs/runbooks.md has a section for each. since: when the "
            "condition first held, by the wall clock, as far back as Prometheus has run; of nothing when the last alert ended. event time: of drift "
            "and quality, since when rows are different. what happens now: what Atalaia does by itself, of drift and quality the newest action on it. at "
            "once: somebody gets up for it; within the day: it may wait for the morning. Grey: Prometheus computes no alerts, or the drift-monitor says nothing.",
            wrong_now(),
            {
                "alertname": Cell("wrong", NAMES, width=160, loud=True),
                "about": Cell("about", width=150),
                "Value #A": Cell("since", NO_TIME, width=150, unit="dateTimeAsIsoNoDateIfToday"),
                "Value #B": Cell("event time", width=160, unit="dateTimeAsIso"),
                "severity": Cell("urgency", URGENCY, width=110),
                "answer": Cell("what happens now", {name: (words, "") for name, words in said.items()}),
            },
            beside=began(), hidden=("model", "kind"), by="urgency", span=15, height=8,
        ),
        sentences(
            "Done, newest first",
            "The ten newest: decisions of the trainer, words of people, versions that came to serve, were kept after their review or taken back, and what "
            "asked for each. Times are the wall clock's; all reasons in full are on training-runs, approvals and model-events.",
            done_last(),
            {
                "Value": Cell("at", NO_TIME, width=155, unit="dateTimeAsIsoNoDateIfToday"),
                "action": Cell("done", ACTIONS),
                "version": Cell("version", width=70),
                "reason": Cell("because", REASONS, width=125),
            },
            hidden=("run",), by="at", down=True, span=9, height=8,
        ),
    ]  # fmt: skip


def wrong_now() -> str:
    """A series for each alert that fires, or of what it is about one; its value is since when, in milliseconds. Oldest first."""
    return _or_nothing(firing())


def wrong_in_short() -> str:
    """The same once for each kind of alert, however many instances it fires for."""
    return _or_nothing(f"min by (alertname) ({firing()})")


def since_when() -> str:
    """The first of these times, or when the last one ended: ``said`` which; none where nobody knows whether something is wrong."""
    wrong, quiet = (
        f'label_replace({expr}, "said", "{said}", "", "")'
        for expr, said in ((f"1000 * min({firing()})", "wrong since"), (nothing_since(), "all well since"))
    )
    return f"{wrong} or on () {quiet}"


def nothing_since() -> str:
    """When the last alert ended, in milliseconds; 0 where the time that is shown had none."""
    ended = " or ".join(f"max_over_time({UNTIL}{{{of}}}[$__range])" for of in OF_EITHER)
    return f"1000 * max({ended}) and on () ({COMPUTED}) or 0 * max({COMPUTED})"


def began() -> str:
    """Of those of them that say so since when the world has changed, by event time, in milliseconds."""
    return f'1000 * {BEGAN}{{severity!="notice", {MODEL}}}'


def done_last(newest: bool = False) -> str:
    """A series for each action, or for the newest; its value is when, in milliseconds. Without a trainer the predictors say what serves.

    The newest is one that changed something, of ``version 2`` in words; where the trainer knows of none, what serves.
    """
    each = "max by (action, version, reason, run)"
    done = done_at(each, f', action!~"{NO_DEEDS}"', silent=False) if newest else done_at(each)
    return or_none(
        reworded(f"topk(1, {done})", "version", NUMBERED) if newest else done,
        "action",
        is_up("trainer"),
        "nothing yet",
        "not known",
    )


def serves_now() -> str:
    """A series for each version that answers, one but for moments; its value is 2 where its successor was rolled back, and else 1."""
    return named(reworded(f"max by (version) ({VERSION})", "version", NUMBERED), "version")


def actions_at(which: str = "") -> str:
    """When each of the newest actions was, of all or of some."""
    return f"atalaia_action_at_seconds{{{MODEL}{which}}}"


def done_at(by: str, which: str = "", *, silent: bool = True) -> str:
    """The same in milliseconds, by labels; without a trainer what the predictors say of the version that serves.

    They are ``silent`` once the trainer says anything, or else once it says any of ``which``.
    """
    unless = actions_at() if silent else actions_at(which)
    return f"1000 * ({by} ({actions_at(which)}) or {by} ({SERVES}) unless on () {unless})"


def firing(which: str = 'severity!="notice"') -> str:
    """Alerts that fire, of the services and of the model; what is only to know is not wrong."""
    return f"({' or '.join(f'{SINCE}{{{which}, {of}}}' for of in OF_EITHER)})"


def _or_nothing(alerts: str) -> str:
    """What fires, or since when nothing does, or that it is not known."""
    return named(
        instead(f"sort(1000 * {alerts})", nothing_since(), "alertname", "none"), "alertname", "not known"
    )
