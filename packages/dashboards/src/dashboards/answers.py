"""The first row of each dashboard: what is wrong now, since when, what happens by itself; and what was done last, and when."""

from __future__ import annotations

from dashboards.look import (
    BLUE,
    GREEN,
    GREY,
    MODEL,
    ORANGE,
    RED,
    YELLOW,
    Cell,
    Panel,
    Words,
    instead,
    is_up,
    named,
    or_none,
    reworded,
    sentences,
)

QUESTION = "What is wrong now, since when, and what was done?"
KINDS = {"virtual": "inputs", "real": "model errors", "quality": "quality"}
URGENCY = {"page": "at once", "ticket": "by day"}
URGENT: Words = {"at once": ("at once", RED), "by day": ("by day", RED)}
NO_TIME: Words = {"0": ("–", ""), "-1": ("–", "")}
OF_DRIFT = ("InputDrift", "ErrorDrift", "QualityFallen")
# An alert that nobody has acted on yet has its name in the cell, for which these words stand.
BY_ITSELF = {
    "ServiceDown": "Kubernetes restarts it; else start it",
    "ServiceMissing": "nothing: somebody must act",
    "NoModelServes": "asked for again; requests get 503",
    "RequestsFail": "nothing: somebody must act",
    "RequestsSlow": "nothing: somebody must act",
    "SpoolHolds": "rows wait on disk until Kafka is back",
    "SpoolFull": "when it is full, requests get 503",
    "PredictionsLost": "nothing: somebody must act",
    "RecordsUnreadable": "put on the dead-letter topic",
    "ConsumerLags": "windows wait; nothing is lost",
    "ProfileMissing": "asked for again; records are held",
    "WindowsUndecided": "decided later, oldest first",
    "FeedbackBehind": "reported later; trainings wait for it",
    "TrainerBehind": "considered later; trainings wait",
    **dict.fromkeys(OF_DRIFT, "the trainer is asked; nothing done yet"),
    "AlertUnanswered": "trained again when more rows are there",
    "LabelsMissing": "nothing; trainings wait for labels",
    "TrainingFails": "for alerts again; the old version serves",
    "ApprovalWaits": "nothing: a person says yes or no",
    "ChallengerNotLoaded": "asked for again where it was unreachable",
    "WorseVersionServes": "looked at again, unless rollback is off",
    "VersionNotServed": "the version before it serves on",
}
SILENT = "not known: the trainer says nothing"
# Alerts of the model that was picked, and of services, which name none; what is only to know is not wrong.
OURS = f'alertname=~"{"|".join([*BY_ITSELF, "RolledBack"])}"'
COMPUTED = f'ALERTS{{alertname="Heartbeat"}} and on () atalaia_drift_state{{{MODEL}}}'
ABOUT = ("model", "job", "instance", "topic", "kind", "how", "result", "version", "challenger")
# Of these Prometheus knows when they were noticed, the drift-monitor when it began.
BEGAN = (
    f"max by (model, kind) (atalaia_alert_since_seconds{{{MODEL}}}) * on (model, kind) group_right () "
    f'ALERTS{{alertstate="firing", alertname=~"{"|".join(OF_DRIFT)}", {MODEL}}} ^ 0'
)
ACTED_ON = (
    f"max by (model, kind, alert_id) (atalaia_alert_open{{{MODEL}}}) * on (model, alert_id) group_left (action) "
    f"max by (model, alert_id, action) (atalaia_alert_action_at_seconds{{{MODEL}}}) ^ 0"
)
ACTIONS_AT = f"atalaia_action_at_seconds{{{MODEL}}}"
# What the predictors say; after a rollback it is the version that serves again that they name.
SERVES = reworded(
    f"atalaia_model_since_seconds{{{MODEL}}} * on (job, instance, model) group_right () atalaia_model_info{{{MODEL}}} ^ 0",
    "action",
    {"rolled_back": "serves again"},
)
NAMES: Words = {
    **{name: (name, RED) for name in BY_ITSELF},
    "none": ("nothing", GREEN),
    "not known": ("not known", GREY),
}
ACTIONS: Words = {
    "started": ("training started", BLUE),
    "waits for rows": ("too few labelled rows yet", GREY),
    "waits for shadow": ("won; shadow period began", ORANGE),
    "waits for approval": ("won; a person was asked", YELLOW),
    "approved": ("challenger approved", GREEN),
    "rejected": ("challenger rejected", YELLOW),
    "refused": ("challenger refused", YELLOW),
    "promoted": ("promoted", GREEN),
    "failed": ("training failed", RED),
    "installed": ("installed", BLUE),
    "rolled_back": ("rolled back from this version", YELLOW),
    "serves again": ("serves again, by a rollback", YELLOW),
    "nothing yet": ("nothing yet", GREY),
    "not known": ("not known", GREY),
}
REASONS = {
    "virtual": "inputs drifted",
    "real": "model errors rose",
    "quality": "quality fell",
    "schedule": "schedule",
    "manual": "a person asked",
    "review": "its review: worse",
    "person": "a person",
}


def answers() -> list[Panel]:
    """Two tables side by side."""
    said = BY_ITSELF | {
        action: words.replace("won;", "a challenger won;") for action, (words, _) in ACTIONS.items()
    }
    return [
        sentences(
            "Wrong now",
            "Alerts that fire, of the services and of this model; docs/runbooks.md has a section for each. since: of drift and of quality where "
            "the change began, by event time; of others when the condition first held, as far back as Prometheus has run; of nothing when the "
            "last alert ended. by itself: what Atalaia does meanwhile, of drift and quality the newest action on it. at once: somebody gets up "
            "for it; by day: somebody sees to it in working hours. Grey: Prometheus computes no alerts, or the drift-monitor says nothing.",
            wrong_now(),
            {
                "alertname": Cell("wrong", NAMES, width=160, loud=True),
                "about": Cell("about", width=165),
                "Value": Cell("since", NO_TIME, width=150, unit="dateTimeAsIsoNoDateIfToday"),
                "severity": Cell("urgency", URGENT, width=85),
                "answer": Cell("by itself", {name: (words, "") for name, words in said.items()}),
            },
            by="urgency", span=14, height=7,
        ),
        sentences(
            "Done, newest first",
            "The ten newest: decisions of the trainer, words of people, versions that came to serve or were taken back, and what asked for "
            "each. Times are the wall clock's; all reasons in full are on training-runs, approvals and model-events.",
            done_last(),
            {
                "Value": Cell("at", NO_TIME, width=150, unit="dateTimeAsIsoNoDateIfToday"),
                "action": Cell("done", ACTIONS),
                "version": Cell("version", width=75),
                "reason": Cell("because", {name: (words, "") for name, words in REASONS.items()}, width=150),
            },
            hidden=("run",), by="at", down=True, span=10, height=7,
        ),
    ]  # fmt: skip


def wrong_now() -> str:
    """A series for each alert that fires, or of what it is about one; its value is since when, in milliseconds. Oldest first."""
    acted_on = f"{BEGAN} * on (model, kind) group_left (action) max by (model, kind, action) ({ACTED_ON})"
    acted_on = f'label_replace({acted_on}, "answer", "$1", "action", "(.+)")'
    silent = f'label_replace({BEGAN} unless on () {ACTIONS_AT}, "answer", "{SILENT}", "", "")'
    noticed = _either("ALERTS_FOR_STATE", f'{OURS}, severity!="notice"')
    noticed = (
        f'{noticed} and ignoring (alertstate) ALERTS{{alertstate="firing"}} unless on (alertname) {BEGAN}'
    )
    each = f"{acted_on} or on (alertname) {silent} or on (alertname) {_by_itself(f'{BEGAN} or {noticed}')}"
    rows = f"sort(1000 * min by (alertname, severity, about, answer) ({_about(each)}))"
    since = reworded(rows, "severity", URGENCY)
    # nothing, since the last one ended; 0 where the time that is shown had none
    ended = f"max_over_time(timestamp({firing()})[$__range:1m])"
    quiet = f"1000 * max({ended}) and on () ({COMPUTED}) or 0 * max({COMPUTED})"
    return named(instead(since, quiet, "alertname", "none"), "alertname", "not known")


def done_last() -> str:
    """A series for each action; its value is when, in milliseconds. Without a trainer the predictors say what serves."""
    by = "max by (action, version, reason, run)"
    done = f"1000 * ({by} ({ACTIONS_AT}) or {by} ({SERVES}) unless on () {ACTIONS_AT})"
    return or_none(done, "action", is_up("trainer"), "nothing yet", "not known")


def firing(more: str = 'severity!="notice"') -> str:
    """Alerts that fire, of the services and of the model."""
    return _either("ALERTS", f'alertstate="firing", {OURS}, {more}')


def _either(metric: str, labels: str) -> str:
    """Of the model, or of none; a pattern would take a dot in its name for any character."""
    return f'({metric}{{{labels}, {MODEL}}} or {metric}{{{labels}, model=""}})'


def _by_itself(expr: str) -> str:
    """With the alert's name in a label of its own, which is written as what happens by itself."""
    return f'label_replace({expr}, "answer", "$1", "alertname", "(.+)")'


def _about(expr: str) -> str:
    """With what an alert says of where, in one label, of which each part has a blank before it."""
    expr = reworded(expr, "kind", KINDS)
    for label in ABOUT:
        word = "version " if label in ("version", "challenger") else ""
        expr = f'label_replace({expr}, "{label}", " {word}$1", "{label}", "(.+)")'
    labels = ", ".join(f'"{label}"' for label in ABOUT)
    return f'label_replace(label_join({expr}, "about", "", {labels}), "about", "$1", "about", " (.+)")'
