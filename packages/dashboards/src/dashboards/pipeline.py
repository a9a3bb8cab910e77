"""*Pipeline*: does everything that was said arrive and get decided? Lag, windows, labels, the spool, trainings."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.board import MODEL, OF_THE_MODEL, TRAINED, board
from dashboards.look import (
    ANY_IS_BAD,
    BLUE,
    GREEN,
    GREY,
    ONLY_SAID,
    ORANGE,
    RED,
    YELLOW,
    YES_NO,
    Panel,
    Query,
    lines,
    states,
    tile,
    words_of,
)

RATE = "[$__rate_interval]"
DECISIONS = {"^started$": BLUE, "^waiting$": GREY, "^refused$": YELLOW, "^promoted$": GREEN, "^failed$": RED}
WATERMARK = "max(atalaia_watermark_seconds)"


def decided(service: str) -> str:
    """Event time up to which a service has decided."""
    return f'max(atalaia_decided_through_seconds{{service="{service}"}})'


def pipeline() -> Dashboard:
    """The dashboard."""
    of = f"{{{MODEL}}}"
    lag = "max by (job, topic) (atalaia_consumer_lag_records)"
    now: list[Panel] = [
        tile(
            "Records behind",
            "Records on predictions and ground-truth that the monitor or feedback has not taken in yet.",
            Query(f"sum({lag})"),
            unit="short", steps=[(None, GREEN), (1_000, YELLOW), (100_000, RED)], decimals=0, empty="–",
        ),
        tile(
            "Undecided",
            "Event time between the watermark and the last decided window: with ordinary traffic less than a window "
            "and its grace.",
            Query(f"clamp_min({WATERMARK} - {decided('drift-monitor')}, 0)"),
            unit="dtdurations", steps=ONLY_SAID, empty="no window yet",
        ),
        tile(
            "Labelled",
            "Share of the last reported window that has its labels.",
            Query(f"max(atalaia_label_coverage{of})"),
            unit="percentunit", steps=ONLY_SAID, empty="no labels yet",
        ),
        tile(
            "Unreadable records",
            "Records put on a dead-letter topic since the services began.",
            Query("sum(atalaia_dlq_records_total) or vector(0)"),
            unit="short", steps=ANY_IS_BAD, decimals=0,
        ),
        tile(
            "Waiting for a profile",
            "Versions whose profile the registry has not given: their records wait.",
            Query(f"sum(max by (version) (atalaia_profile_held{of})) or vector(0)"),
            unit="none", steps=ANY_IS_BAD,
        ),
        tile(
            "Last decision",
            "What the trainer decided last.",
            Query(f"max by (decision) (atalaia_training_info{of})", "{{decision}}"),
            unit="none", steps=ONLY_SAID, name=True, empty="none yet",
        ),
    ]  # fmt: skip
    arrives: list[Panel] = [
        lines(
            "Consumer lag",
            "Records not taken in yet, by service and topic, of all partitions. The broker says where the log ends.",
            [Query(lag, "{{job}}: {{topic}}")],
            unit="short", at_least=0,
        ),
        lines(
            "Rows counted",
            "Rows the monitor takes in, by version.",
            [Query(f"sum by (version) (rate(atalaia_rows_counted_total{of}{RATE}))", "version {{version}}")],
            unit="rowsps", at_least=0,
        ),
        lines(
            "Late, twice, unreadable",
            "Rows that came after their window was decided; batches that came again and were not counted again; "
            "records on dead-letter topics.",
            [
                Query(f"sum(rate(atalaia_late_rows_total{of}{RATE}))", "late rows", YELLOW),
                Query(f"sum(rate(atalaia_duplicate_batches_total{RATE}))", "batches twice", BLUE),
                Query(f"sum(rate(atalaia_dlq_records_total{RATE}))", "unreadable records", RED),
            ],
            unit="cps", at_least=0,
        ),
        states(
            "Waiting for a profile",
            "By service and version: while this says yes, the version's records wait.",
            [Query(f"max by (job, version) (atalaia_profile_held{of})", "{{job}}: version {{version}}")],
            YES_NO,
        ),
    ]  # fmt: skip
    windows: list[Panel] = [
        lines(
            "Window delay",
            "Event time by which each is behind the one before it: the monitor behind the watermark, feedback and the "
            "trainer behind the monitor. It steps with each window; what only grows is stuck.",
            [
                Query(f"clamp_min({WATERMARK} - {decided('drift-monitor')}, 0)", "monitor behind watermark", BLUE),
                Query(f"clamp_min({decided('drift-monitor')} - {decided('feedback')}, 0)", "feedback behind monitor", GREEN),
                Query(f"clamp_min({decided('drift-monitor')} - {decided('trainer')}, 0)", "trainer behind monitor", ORANGE),
            ],
            unit="dtdurations", steps=True, at_least=0,
        ),
        lines(
            "Age of the watermark",
            "By the wall clock, how old the event time is up to which all rows are believed to be here. Of live traffic "
            "seconds; of a replay the age of its data.",
            [Query(f"time() - {WATERMARK}", "watermark", BLUE)],
            unit="dtdurations", at_least=0,
        ),
    ]  # fmt: skip
    labels: list[Panel] = [
        lines(
            "Labels by what became of them",
            "received: Kafka has it. outcome: joined with its prediction. rerouted: it lay in a partition not its own.",
            [Query(f"sum by (result) (rate(atalaia_labels_total{RATE}))", "{{result}}")],
            unit="cps", at_least=0,
            colours={"^received$": BLUE, "^outcome$": GREEN, "^rejected$": YELLOW, "^unusable_truth$": RED,
                     "^unknown_class$": RED},
        ),
        lines(
            "Label delay",
            "How long after its prediction a label became known, of the last window of label time.",
            [Query(f"max by (quantile) (atalaia_label_delay_seconds{of})", "{{quantile}}")],
            unit="dtdurations", steps=True, at_least=0,
        ),
        lines(
            "Label coverage",
            "Share of the last reported window that is labelled.",
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
            unit="short", at_least=0,
        ),
        lines(
            "Size of the spool",
            "Its bound is ATALAIA_SPOOL_MAX_BYTES, 1 GiB by default; beyond it requests are refused.",
            [Query(f"sum by (instance) (atalaia_spool_bytes {OF_THE_MODEL})", "{{instance}}")],
            unit="bytes", at_least=0,
        ),
    ]  # fmt: skip
    trainings: list[Panel] = [
        lines(
            "Decisions of the trainer",
            "In the last hour, by what was decided.",
            [Query(f"round(sum by (decision) (increase(atalaia_trainings_total[1h]) {TRAINED}))", "{{decision}}")],
            unit="short", colours=DECISIONS, at_least=0,
        ),
        words_of(
            "The last decision",
            "What was decided, what asked for it, and between which versions; reasons are on training-runs.",
            f"max by (decision, trigger, champion, challenger) (atalaia_training_info{of})",
        ),
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
    )
