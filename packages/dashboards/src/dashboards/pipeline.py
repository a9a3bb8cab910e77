"""*Pipeline*: does everything that was said arrive and get decided? Lag, windows, labels, the spool, trainings."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.answers import ACTIONS, REASONS
from dashboards.board import OF_THE_MODEL, TRAINED, board, services, spool_rows
from dashboards.look import (
    ANY_IS_BAD,
    BLUE,
    GREEN,
    GREY,
    MODEL,
    ONLY_SAID,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    YES_NO,
    Bound,
    Cell,
    Panel,
    Query,
    Words,
    is_up,
    lines,
    sentences,
    states,
    tile,
)

RATE = "[$__rate_interval]"
DECISIONS = {"^started$": BLUE, "^waiting$": GREY, "^refused$": YELLOW, "^promoted$": GREEN, "^failed$": RED}
DECIDED: Words = {name: ACTIONS[name] for name in ("started", "refused", "promoted", "failed")} | {
    "waiting": ("waits", GREY)
}
WINDOW = f"max(atalaia_window_end_seconds{{{MODEL}}} - atalaia_window_start_seconds{{{MODEL}}})"
WATERMARK = "max(atalaia_watermark_seconds)"


def decided(service: str) -> str:
    """Event time up to which a service has decided."""
    return f'max(atalaia_decided_through_seconds{{service="{service}"}})'


def behind(first: str, second: str) -> str:
    """Windows by which one event time is behind another, never less than 0."""
    return f"clamp_min({first} - {second}, 0) / {WINDOW}"


def last_decision() -> Panel:
    """In words, and between which versions."""
    return sentences(
        "The last decision",
        "What was decided, what asked for it, and between which versions; reasons are on training-runs.",
        f"max by (decision, trigger, champion, challenger) (atalaia_training_info{{{MODEL}}})",
        {
            "decision": Cell("decision", DECIDED),
            "trigger": Cell("because", REASONS),
            "champion": Cell("champion", width=90),
            "challenger": Cell("challenger", width=90),
        },
        hidden=("Value",), by="decision", height=8,
    )  # fmt: skip


def pipeline() -> Dashboard:
    """The dashboard."""
    of = f"{{{MODEL}}}"
    lag = "max by (job, topic) (atalaia_consumer_lag_records)"
    now: list[Panel] = [
        services(span=6),
        tile(
            "Records behind",
            "Records on predictions and ground-truth that the monitor or feedback has not taken in yet.",
            Query(f"sum({lag})"),
            unit="short", steps=[(0, GREEN), (1_000, YELLOW), (100_000, RED)], decimals=0, span=3,
        ),
        spool_rows(span=3),
        tile(
            "Undecided",
            "Windows of event time between the watermark and the last decided one: usually less than one and its grace. From "
            "three on the alert WindowsUndecided fires.",
            Query(f"clamp_min({WATERMARK} - {decided('drift-monitor')}, 0) / {WINDOW}"),
            unit="suffix: windows", steps=[(0, GREEN), (2, YELLOW), (3, RED)], decimals=1, empty="no window yet", span=3,
        ),
        tile(
            "Labelled",
            "Labelled share of the newest windows that have had time for their labels: as long as earlier windows took until half "
            "of their rows were labelled. None before a window was, for as long as labels may come.",
            Query(f"max(atalaia_label_coverage{of})"),
            unit="percentunit", steps=ONLY_SAID, decimals=0, empty="no labels", span=3,
        ),
        tile(
            "Unreadable",
            "Records put on a dead-letter topic in the time that is shown.",
            Query("round(sum(increase(atalaia_dlq_records_total[$__range])))"),
            unit="short", steps=ANY_IS_BAD, decimals=0, span=3,
        ),
        tile(
            "Profiles missing",
            "Versions whose profile the registry has not given: their records wait.",
            Query(f"sum(max by (version) (atalaia_profile_held{of})) or 0 * max({is_up('drift-monitor', 'feedback')})"),
            unit="none", steps=ANY_IS_BAD, span=3,
        ),
    ]  # fmt: skip
    arrives: list[Panel] = [
        lines(
            "Consumer lag",
            "Records not taken in yet, by service and topic, of all partitions. Dashed: the bound of the alert ConsumerLags.",
            [Query(lag, "{{job}}: {{topic}}")],
            unit="short", at_least=0, usual=100, bound=Bound(1_000, "alert above 1000 records"),
        ),
        lines(
            "Rows counted",
            "Rows the monitor takes in, by version.",
            [Query(f"sum by (version) (rate(atalaia_rows_counted_total{of}{RATE}))", "version {{version}}")],
            unit="rowsps", at_least=0, usual=1, by_name=True,
        ),
        lines(
            "Late, twice, unreadable",
            "In five minutes: rows that came after their window was decided; batches that came again and were not counted "
            "again; records on dead-letter topics.",
            [
                Query(f"sum(increase(atalaia_late_rows_total{of}[5m]))", "late rows", YELLOW),
                Query("sum(increase(atalaia_duplicate_batches_total[5m]))", "batches twice", BLUE),
                Query("sum(increase(atalaia_dlq_records_total[5m]))", "unreadable records", RED),
            ],
            unit="short", at_least=0, usual=10,
        ),
        states(
            "Waits for its profile",
            "By service and version: red while the version's records wait for it, green while none do.",
            [Query(f"max by (job, version) (atalaia_profile_held{of})", "{{job}}: version {{version}}")],
            YES_NO,
        ),
    ]  # fmt: skip
    windows: list[Panel] = [
        lines(
            "Window delay, in windows",
            "Windows of event time by which each is behind the one before it: the monitor behind the watermark, feedback and the "
            "trainer behind the monitor. It steps with each window; what only grows is stuck. Dashed: the alerts' bound.",
            [
                Query(behind(WATERMARK, decided("drift-monitor")), "monitor behind watermark", BLUE),
                Query(behind(decided("drift-monitor"), decided("feedback")), "feedback behind monitor", PURPLE),
                Query(behind(decided("drift-monitor"), decided("trainer")), "trainer behind monitor", ORANGE, dashed=True),
            ],
            unit="none", steps=True, at_least=0, usual=3, bound=Bound(3, "alert from 3 windows on"),
        ),
        lines(
            "Age of the watermark (event time)",
            "By the wall clock, how old the event time is up to which all rows are believed to be here. Of live traffic "
            "seconds; of a replay the age of its data.",
            [Query(f"time() - {WATERMARK}", "watermark", BLUE)],
            unit="s", at_least=0,
        ),
    ]  # fmt: skip
    labels: list[Panel] = [
        lines(
            "Labels by what became of them",
            "received: Kafka has it. outcome: joined with its prediction. rerouted: it lay in a partition not its own.",
            [Query(f"sum by (result) (rate(atalaia_labels_total{RATE}))", "{{result}}")],
            unit="cps", at_least=0, usual=1,
            colours={"^received$": BLUE, "^outcome$": GREEN, "^rejected$": YELLOW, "^unusable_truth$": RED,
                     "^unknown_class$": RED},
        ),
        lines(
            "Label delay",
            "How long after its prediction a label became known, of the last window of label time.",
            [Query(f"max by (quantile) (atalaia_label_delay_seconds{of})", "{{quantile}}")],
            unit="s", steps=True, at_least=0,
        ),
        lines(
            "Label coverage",
            "Labelled share of the newest windows that have had time for their labels, going by how long earlier windows took.",
            [Query(f"max(atalaia_label_coverage{of})", "coverage", GREEN)],
            unit="percentunit", steps=True, at_least=0, at_most=1,
        ),
        lines(
            "Rows a training has and needs",
            "As of the trainer's last decision: labelled since the change point, and how many it takes.",
            [
                Query(f'max(atalaia_training_rows{{{MODEL}, rows="labelled"}})', "labelled", BLUE),
                Query(f'max(atalaia_training_rows{{{MODEL}, rows="needed"}})', "needed", RED, dashed=True),
            ],
            unit="short", steps=True, at_least=0,
        ),
    ]  # fmt: skip
    spool: list[Panel] = [
        lines(
            "Spool",
            "Answered predictions on the predictors' disks that Kafka has not yet.",
            [Query(f"sum by (instance) (atalaia_spool_rows {OF_THE_MODEL})", "{{instance}}")],
            unit="short", at_least=0, usual=100,
        ),
        lines(
            "Size of the spool",
            "Of all workers; the bound of each is ATALAIA_SPOOL_MAX_BYTES, 1 GiB by default, beyond which its requests are refused.",
            [Query(f"sum by (instance) (atalaia_spool_bytes {OF_THE_MODEL})", "{{instance}}")],
            unit="bytes", at_least=0, usual=1_000_000,
        ),
    ]  # fmt: skip
    trainings: list[Panel] = [
        lines(
            "Decisions of the trainer",
            "In the last hour, by what was decided.",
            [Query(f"round(sum by (decision) (increase(atalaia_trainings_total[1h]) {TRAINED}))", "{{decision}}")],
            unit="short", colours=DECISIONS, at_least=0, usual=2, decimals=0,
        ),
        last_decision(),
        lines(
            "How long a training took",
            "The last one, by step: rows laid down, the project's stages, registration, the challenge.",
            [Query(f"max by (step) (atalaia_training_seconds{of})", "{{step}}")],
            unit="s", steps=True, stacked=True, at_least=0, span=24,
        ),
    ]  # fmt: skip
    return board(
        "atalaia-pipeline",
        "Pipeline",
        "Does everything that was said arrive, and is it decided?",
        {
            "Does everything arrive, and is it decided?": now,
            "What has not arrived?": arrives,
            "Which windows are not decided?": windows,
            "When do labels come?": labels,
            "Is Kafka there?": spool,
            "What does the trainer do?": trainings,
        },
        closed=("Is Kafka there?", "What does the trainer do?"),
    )
