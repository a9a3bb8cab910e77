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
    named,
    reworded,
    sentences,
)

QUESTION = "What is wrong now, since when, and what was done?"
# Alerts of the model that was picked, and of services, which name none; what is only to know is not wrong.
OF = 'alertname!="Heartbeat", severity!="notice", model=~"$model|"'
FIRING = f'ALERTS{{alertstate="firing", {OF}}}'
COMPUTED = 'ALERTS{alertname="Heartbeat"}'
NOTICED = f"ALERTS_FOR_STATE{{{OF}}} and ignoring (alertstate) {FIRING}"
# Of these Prometheus knows when they were noticed, the drift-monitor when it began.
OF_DRIFT = ("InputDrift", "ErrorDrift", "QualityFallen")
BEGAN = (
    f"max by (model, kind) (atalaia_alert_since_seconds{{{MODEL}}}) * on (model, kind) group_right () "
    f'ALERTS{{alertstate="firing", alertname=~"{"|".join(OF_DRIFT)}", {MODEL}}} ^ 0'
)
ACTIONS_AT = f"atalaia_action_at_seconds{{{MODEL}}}"
LAST_ACTION = f"topk(1, {ACTIONS_AT})"
SERVES = f"atalaia_model_since_seconds{{{MODEL}}} * on (job, instance, model) group_right () atalaia_model_info{{{MODEL}}} ^ 0"
URGENCY = {"page": "at once", "ticket": "by day"}
URGENT: Words = {"at once": ("at once", RED), "by day": ("by day", RED)}
NO_TIME: Words = {"0": ("–", ""), "-1": ("–", "")}
BY_ITSELF = {
    "ServiceDown": "Docker or Kubernetes starts it anew",
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
    "AlertUnanswered": "trained again when more rows are there",
    "LabelsMissing": "nothing; trainings wait for labels",
    "TrainingFails": "tried again; the old version serves on",
    "ApprovalWaits": "nothing: a person says yes or no",
    "ChallengerNotLoaded": "its run waits; the old one serves on",
    "WorseVersionServes": "nothing: roll back by hand",
    "VersionRefused": "the version before it serves on",
    **dict.fromkeys(OF_DRIFT, "the trainer is asked; nothing done yet"),
}
NAMES: Words = {
    **{name: (name, RED) for name in BY_ITSELF},
    "none": ("nothing", GREEN),
    "not known": ("not known", GREY),
}
ACTIONS: Words = {
    "started": ("training started", BLUE),
    "waits for rows": ("too few labelled rows yet", GREY),
    "waits for shadow": ("challenger won; shadow period began", ORANGE),
    "waits for approval": ("challenger won; a person was asked", YELLOW),
    "approved": ("challenger approved", GREEN),
    "rejected": ("challenger rejected", YELLOW),
    "refused": ("challenger refused", YELLOW),
    "promoted": ("promoted", GREEN),
    "failed": ("training failed", RED),
    "installed": ("installed", BLUE),
    "rolled_back": ("rolled back from this version", YELLOW),
    "nothing yet": ("nothing yet", GREY),
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
    said = BY_ITSELF | {action: words for action, (words, _) in ACTIONS.items()}
    return [
        sentences(
            "Wrong now",
            "Alerts that fire, of the services and of this model; docs/runbooks.md has a section for each. since: of drift and of quality where "
            "the change began, by event time; of others when the condition first held; of nothing when the last alert ended. by itself: what Atalaia does meanwhile, of drift and quality the newest action since then. at once: somebody "
            "gets up for it; by day: somebody sees to it in working hours. Grey: Prometheus computes no alerts.",
            wrong_now(),
            {
                "alertname": Cell("wrong", NAMES, width=160, loud=True),
                "about": Cell("about", width=140),
                "Value": Cell("since", NO_TIME, width=165, unit="dateTimeAsIsoNoDateIfToday"),
                "severity": Cell("urgency", URGENT, width=85),
                "answer": Cell("by itself", {name: (words, "") for name, words in said.items()}),
            },
            by="urgency", span=13, height=7,
        ),
        sentences(
            "Done, newest first",
            "The ten newest: decisions of the trainer, words of people, versions that came to serve or were taken back, and what asked for "
            "each. Times are the wall clock's; all reasons in full are on training-runs, approvals and model-events.",
            done_last(),
            {
                "Value": Cell("at", NO_TIME, width=165, unit="dateTimeAsIsoNoDateIfToday"),
                "action": Cell("done", ACTIONS),
                "version": Cell("version", width=75),
                "reason": Cell("because", {name: (words, "") for name, words in REASONS.items()}, width=150),
            },
            hidden=("run",), by="at", down=True, span=11, height=7,
        ),
    ]  # fmt: skip


def wrong_now() -> str:
    """A series for each alert that fires, or of what it is about one; its value is since when, in milliseconds. Oldest first."""
    by = "min by (alertname, severity, about, answer)"
    # of what asks for a training, the newest action, where it came since then
    done = f"({BEGAN} <= on (model) group_left () {LAST_ACTION}) * on (model) group_left (action) {LAST_ACTION} ^ 0"
    done = f'label_replace({done}, "answer", "$1", "action", "(.+)")'
    began = f"{by} ({_about(f'{done} or {_by_itself(BEGAN)} unless on (alertname) {done}')})"
    noticed = f"{by} ({_about(_by_itself(NOTICED))}) unless on (alertname) {began}"
    since = reworded(f"sort(1000 * ({began} or {noticed}))", "severity", URGENCY)
    # nothing, since the last one ended; 0 where the time that is shown had none
    quiet = f"1000 * max(max_over_time(timestamp({FIRING})[$__range:])) and on () {COMPUTED} or 0 * max({COMPUTED})"
    return named(
        f'{since} or on () label_replace({quiet}, "alertname", "none", "", "")', "alertname", "not known"
    )


def done_last() -> str:
    """A series for each action; its value is when, in milliseconds. Without a trainer the predictors say what serves."""
    by = "max by (action, version, reason, run)"
    return named(
        f"1000 * ({by} ({ACTIONS_AT}) or {by} ({SERVES}) unless on () {ACTIONS_AT})", "action", "nothing yet"
    )


def _by_itself(expr: str) -> str:
    """With the alert's name in a label of its own, which is written as what happens by itself."""
    return f'label_replace({expr}, "answer", "$1", "alertname", "(.+)")'


def _about(expr: str) -> str:
    """With what an alert says of where, in one label."""
    for label in ("version", "challenger"):
        expr = f'label_replace({expr}, "{label}", "version $1", "{label}", "(.+)")'
    joined = f'label_join({expr}, "about", " ", "model", "job", "topic", "version", "challenger")'
    return f'label_replace({joined}, "about", "$1", "about", " *(.*?) *")'  # of nothing but blanks Grafana makes a 0
