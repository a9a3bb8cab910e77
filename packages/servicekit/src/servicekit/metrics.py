"""All Prometheus metrics of all services, in one list, from which ``docs/metrics.md`` is generated.

Names start with ``atalaia_``; times are seconds since 1970-01-01 UTC, event time unless the meaning says otherwise.
Numbers of a window and of a boundary are copied from the events on the topics, and ``field`` says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram, values

OverWorkers = Literal["livesum", "livemax", "livemostrecent"]
PREDICTOR, MONITOR, FEEDBACK, TRAINER = "predictor", "drift-monitor", "feedback", "trainer"


@dataclass(frozen=True)
class Label:
    """A label, what it means, and what values it takes; how many is bounded, and by what.

    ``known``: those that are known beforehand. Counters have them from the start, at 0: see :func:`begin`.
    """

    name: str
    meaning: str
    values: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Described:
    """What a metric's row of ``docs/metrics.md`` says."""

    name: str
    kind: str
    meaning: str
    labels: tuple[Label, ...]
    unit: str
    by: tuple[str, ...]
    field: str


ALL: list[Described] = []
_COUNTING: dict[str, Counter | Histogram] = {}


def _counter(
    name: str, meaning: str, *labels: Label, by: Sequence[str], unit: str, field: str = ""
) -> Counter:
    ALL.append(Described(name, "counter", meaning, labels, unit, tuple(by), field))
    made = _COUNTING[name] = Counter(name, meaning, [label.name for label in labels])
    return made


def _gauge(
    name: str,
    meaning: str,
    *labels: Label,
    by: Sequence[str],
    unit: str,
    field: str = "",
    over_workers: OverWorkers = "livemostrecent",
) -> Gauge:
    """``over_workers``: what several workers' values come to. What is copied from an event is the last word."""
    ALL.append(Described(name, "gauge", meaning, labels, unit, tuple(by), field))
    made = InfoGauge if name.endswith("_info") else Gauge
    return made(name, meaning, [label.name for label in labels], multiprocess_mode=over_workers)


class InfoGauge(Gauge):
    """A gauge whose labels say it all: a series is there, or is not."""

    def clear(self) -> None:
        """Remove all series. Among several workers a series cannot be removed: it becomes 0, which is not shown."""
        if not values.ValueClass._multiprocess:
            super().clear()
            return
        for series in list(self._metrics):
            self.labels(*series).set(0)


def _histogram(
    name: str, meaning: str, *labels: Label, buckets: Sequence[float], by: Sequence[str], unit: str
) -> Histogram:
    ALL.append(Described(name, "histogram", meaning, labels, unit, tuple(by), ""))
    made = _COUNTING[name] = Histogram(name, meaning, [label.name for label in labels], buckets=buckets)
    return made


def begin(service: str, model: str, topics: Sequence[str]) -> None:
    """Let a service's counters and histograms begin at 0: of what is first seen at 1 nobody sees that it grew.

    A label that means the model has this one, one that means a topic these that the service reads; a metric with a
    label whose values nobody knows beforehand, such as versions, has no series yet.
    https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics
    """
    for metric in ALL:
        made = _COUNTING.get(metric.name)
        if made is not None and service in metric.by and metric.labels:
            for series in product(*(_known(label, model, topics) for label in metric.labels)):
                made.labels(*series)


def _known(label: Label, model: str, topics: Sequence[str]) -> Iterator[str]:
    yield from {"model": (model,), "topic": topics}.get(label.name, label.known)


MODEL = Label("model", "name of the registered model", "one a model")
VERSION = Label("version", "the model's version in the registry", "one a version met since the start")
FEATURE = Label(
    "feature",
    "name of a feature, or of a column of the model's outputs",
    "those of the model's last tested window",
)
KIND = Label(
    "kind",
    "what an alert is about",
    "`virtual` (inputs or outputs), `real` (errors), `quality` (worse than promised)",
)
SERVICE = Label("service", "who says so", "the service's own name")

# predictor
ROUTE = Label(
    "route", "which endpoint", "`/api/v1.0/predict/`, `/api/v1.0/predict/batch`, `/v2/models/{name}/infer`",
    ("/api/v1.0/predict/", "/api/v1.0/predict/batch", "/v2/models/{name}/infer"),
)  # fmt: skip
REQUESTS = _counter(
    "atalaia_requests_total", "HTTP requests answered", ROUTE,
    Label("status", "HTTP status of the answer", "`200`, `404`, `413`, `415`, `422`, `500`, `503`",
          ("200", "404", "413", "415", "422", "500", "503")),
    by=[PREDICTOR], unit="requests",
)  # fmt: skip
REQUEST_SECONDS = _histogram(
    "atalaia_request_seconds", "time to answer a request", ROUTE,
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    by=[PREDICTOR], unit="seconds",
)  # fmt: skip
REQUESTS_REFUSED = _counter(
    "atalaia_requests_refused_total", "HTTP requests that were not answered with a prediction", ROUTE,
    Label("cause", "why", "`invalid`, `too_large`, `no_model`, `not_recorded` (no Kafka and no room in the spool), "
          "`not_scored` (the model failed), `not_served` (another model or version), `error`",
          ("invalid", "too_large", "no_model", "not_recorded", "not_scored", "not_served", "error")),
    by=[PREDICTOR], unit="requests",
)  # fmt: skip
BATCH_ROWS = _histogram(
    "atalaia_batch_rows", "rows scored together and recorded as one",
    buckets=(1, 2, 5, 10, 50, 100, 1000, 10000), by=[PREDICTOR], unit="rows",
)  # fmt: skip
PUBLISH_SECONDS = _histogram(
    "atalaia_publish_seconds", "time until Kafka acknowledged a batch",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5), by=[PREDICTOR], unit="seconds",
)  # fmt: skip
ROWS_PUBLISHED = _counter(
    "atalaia_rows_published_total", "predictions acknowledged by Kafka", VERSION, by=[PREDICTOR], unit="rows"
)
ROWS_KEPT = _counter(
    "atalaia_rows_kept_total", "predictions by what keeps them",
    Label("how", "what became of them", "`sent` (acknowledged by Kafka at once), `spooled` (on disk first), `replayed` (from "
          "there to Kafka), `late` (refused, since the disk failed, and brought to Kafka by the producer all the same), "
          "`set aside` (larger than the topic takes), `lost` (answered in mode accept, and neither took it)",
          ("sent", "spooled", "replayed", "late", "set aside", "lost")),
    by=[PREDICTOR], unit="rows",
)  # fmt: skip
SPOOL_ROWS = _gauge(
    "atalaia_spool_rows",
    "answered predictions in the spool, which Kafka has not yet",
    by=[PREDICTOR],
    unit="rows",
    over_workers="livesum",
)
SPOOL_BYTES = _gauge(
    "atalaia_spool_bytes", "size of the records in the spools of all workers",
    by=[PREDICTOR], unit="bytes", over_workers="livesum",
)  # fmt: skip
SPOOL_FILLED = _gauge(
    "atalaia_spool_filled_ratio", "share of ATALAIA_SPOOL_MAX_BYTES that the fullest worker's spool holds",
    by=[PREDICTOR], unit="0 to 1", over_workers="livemax",
)  # fmt: skip
SHADOW_ROWS = _counter(
    "atalaia_shadow_rows_total", "rows that a challenger was to score unseen",
    Label("result", "what became of them", "`published`, `left out` (it is slower than the traffic, or Kafka is away), `not scored`",
          ("published", "left out", "not scored")),
    by=[PREDICTOR], unit="rows",
)  # fmt: skip
MODEL_SWAPS = _counter(
    "atalaia_model_swaps_total", "attempts to take up a version",
    Label("result", "what became of it", "`taken up`, `refused`, `unreachable`", ("taken up", "refused", "unreachable")),
    by=[PREDICTOR], unit="attempts",
)  # fmt: skip
SHADOW_SWAPS = _counter(
    "atalaia_shadow_swaps_total", "attempts to let a challenger shadow, and ends of it",
    Label("result", "what became of it", "`taken up`, `refused`, `unreachable`, `ended`",
          ("taken up", "refused", "unreachable", "ended")),
    by=[PREDICTOR], unit="attempts",
)  # fmt: skip
MODEL_INFO = _gauge(
    "atalaia_model_info", "how many workers serve the version", MODEL,
    Label("version", "the version that serves", "one: the one before is removed; during a change both"),
    Label("action", "how it came to serve, as `model-events` says", "`installed`, `promoted`, `rolled_back`"),
    by=[PREDICTOR], unit="workers", over_workers="livesum",
)  # fmt: skip

MODEL_WANTED = _gauge(
    "atalaia_model_wanted_info",
    "how many workers have read that the version is to serve; those of `atalaia_model_info` are fewer where it could not be taken up",
    MODEL,
    Label("version", "the version that the newest event of `model-events` names", "one: the one before is removed"),
    by=[PREDICTOR], unit="workers", over_workers="livesum",
)  # fmt: skip
MODEL_SINCE = _gauge(
    "atalaia_model_since_seconds",
    "wall-clock time since when the version serves: of its event on `model-events`, or where none names it, when it was taken up",
    MODEL,
    by=[PREDICTOR], unit="seconds",
)  # fmt: skip

# every consumer
DLQ_RECORDS = _counter(
    "atalaia_dlq_records_total", "records that could not be read",
    Label("topic", "where they were", "the topics that the service reads"),
    by=[PREDICTOR, MONITOR, FEEDBACK, TRAINER], unit="records",
)  # fmt: skip
DECIDED_THROUGH = _gauge(
    "atalaia_decided_through_seconds", "event time up to which windows are decided", SERVICE,
    by=[MONITOR, FEEDBACK, TRAINER], unit="seconds",
)  # fmt: skip
WATERMARK = _gauge(
    "atalaia_watermark_seconds", "event time up to which rows are believed to be here", SERVICE,
    by=[MONITOR], unit="seconds",
)  # fmt: skip
CONSUMER_LAG = _gauge(
    "atalaia_consumer_lag_records",
    "records that none of the service's workers has taken in yet, of all partitions; each worker says the same",
    Label("topic", "of which topic", "`predictions`, `ground-truth`"),
    by=[MONITOR, FEEDBACK], unit="records",
)  # fmt: skip
PROFILE_WAITS = _counter(
    "atalaia_profile_waits_total", "attempts to fetch a profile that failed", MODEL,
    by=[MONITOR, FEEDBACK], unit="attempts",
)  # fmt: skip
PROFILE_HELD = _gauge(
    "atalaia_profile_held", "1 while records wait for a profile", MODEL, VERSION,
    by=[MONITOR, FEEDBACK], unit="0 or 1",
)  # fmt: skip

# drift-monitor: the last final window of the version that serves. What that window does not say is not shown.
WINDOW_INFO = _gauge(
    "atalaia_window_info", "1; the words of the last window, as labels", MODEL,
    Label("version", "the version whose window it is", "one: that of the last window"),
    Label("status", "what the window says", "`ok`, `drift`, `insufficient data`"),
    Label("question", "whose p-value the window's is: a single feature's, or all features' jointly",
          "`single`, `joint`; empty where nothing was tested"),
    Label("correction", "the correction across features", "`bh`, `bonferroni`, `none`"),
    Label("reference", "the alert whose span was accepted as the reference; empty: the version's profile",
          "one: that of the last window"),
    by=[MONITOR], unit="1",
    field="version, status, question, correction, reference",
)  # fmt: skip
WINDOW_START = _gauge(
    "atalaia_window_start_seconds", "where the last window starts", MODEL,
    by=[MONITOR], unit="seconds", field="window_start",
)  # fmt: skip
WINDOW_END = _gauge(
    "atalaia_window_end_seconds", "where the last window ends", MODEL,
    by=[MONITOR], unit="seconds", field="window_end",
)  # fmt: skip
WINDOW_ROWS = _gauge(
    "atalaia_window_rows", "rows of the last window", MODEL, by=[MONITOR], unit="rows", field="rows"
)
WINDOW_LATE_ROWS = _gauge(
    "atalaia_window_late_rows", "rows for windows that were over, told of with the last window", MODEL,
    by=[MONITOR], unit="rows", field="late_rows",
)  # fmt: skip
LATE_ROWS = _counter(
    "atalaia_late_rows_total", "rows that came after their window was decided, of all versions", MODEL,
    by=[MONITOR], unit="rows", field="late_rows, added up",
)  # fmt: skip
WINDOW_P_VALUE = _gauge(
    "atalaia_window_p_value", "p-value that decides: the least of features, scales and questions, corrected",
    MODEL, by=[MONITOR], unit="probability", field="p_value",
)  # fmt: skip
WINDOW_ALPHA = _gauge(
    "atalaia_window_alpha", "threshold of `atalaia_window_p_value`: the share of quiet windows that may alarm",
    MODEL, by=[MONITOR], unit="probability", field="alpha",
)  # fmt: skip
WINDOW_MIN_EFFECT = _gauge(
    "atalaia_window_min_effect", "threshold of `atalaia_feature_effect`: the least that counts as drift",
    MODEL, by=[MONITOR], unit="effect, 0 to 1", field="min_effect",
)  # fmt: skip
WINDOW_SCALE = _gauge(
    "atalaia_window_scale", "in how many windows, the last one included, it was seen", MODEL,
    by=[MONITOR], unit="windows", field="scale",
)  # fmt: skip
DRIFT_STATE = _gauge(
    "atalaia_drift_state", "0 ok, 1 warning, 2 drift, 3 recovered", MODEL, KIND,
    by=[MONITOR], unit="0 to 3", field="state; kind real: of ConceptTested",
)  # fmt: skip
ALERT_OPEN = _gauge(
    "atalaia_alert_open", "1 for the alert that is open; none is shown where none is", MODEL, KIND,
    Label("alert_id", "the alert, as on `drift-alerts`", "one a model and kind: the one before is removed"),
    by=[MONITOR], unit="1", field="alert_id; kind real: of ConceptTested",
)  # fmt: skip
ALERT_SINCE = _gauge(
    "atalaia_alert_since_seconds", "where the world begins that the open alert is about; none is shown where none is",
    MODEL, KIND, by=[MONITOR], unit="seconds", field="that of AlertChanged; others: since, quality_since of ConceptTested",
)  # fmt: skip

# drift-monitor: each feature of that window
FEATURE_INFO = _gauge(
    "atalaia_feature_info", "1; the words of a feature's test, as labels", MODEL, FEATURE,
    Label("test", "what statistic and p-value are of", "`ks`, `chi2`"),
    Label("by", "the test whose p-value decides", "`anderson_darling`, `chi2`, `missing` or empty"),
    Label("effect_name", "what the effect is", "`D`, `cramers_v`"),
    by=[MONITOR], unit="1", field="test, by, effect_name",
)  # fmt: skip
FEATURE_STATISTIC = _gauge(
    "atalaia_feature_statistic", "KS D or chi-square of the last window", MODEL, FEATURE,
    by=[MONITOR], unit="D: 0 to 1; chi-square", field="statistic",
)  # fmt: skip
FEATURE_P_VALUE = _gauge(
    "atalaia_feature_p_value", "p-value of that statistic, uncorrected", MODEL, FEATURE,
    by=[MONITOR], unit="probability", field="p_value",
)  # fmt: skip
FEATURE_P_ADJUSTED = _gauge(
    "atalaia_feature_p_adjusted", "p-value that decides, corrected; its threshold is `atalaia_window_alpha`",
    MODEL, FEATURE, by=[MONITOR], unit="probability", field="p_adjusted",
)  # fmt: skip
FEATURE_EFFECT = _gauge(
    "atalaia_feature_effect", "effect size (D, Cramer's V, or the difference of missing shares)",
    MODEL, FEATURE, by=[MONITOR], unit="0 to 1", field="effect",
)  # fmt: skip
FEATURE_DRIFTED = _gauge(
    "atalaia_feature_drifted", "1 where the feature drifted", MODEL, FEATURE,
    by=[MONITOR], unit="0 or 1", field="drifted",
)  # fmt: skip
FEATURE_SCALE = _gauge(
    "atalaia_feature_scale", "over how many windows effect and decision are", MODEL, FEATURE,
    by=[MONITOR], unit="windows", field="scale",
)  # fmt: skip
FEATURE_MISSING = _gauge(
    "atalaia_feature_missing_rows", "rows without a value; of a widened window over all that it took in",
    MODEL, FEATURE, by=[MONITOR], unit="rows", field="missing",
)  # fmt: skip
FEATURE_MISSING_SHARE = _gauge(
    "atalaia_feature_missing_share", "share of the window's rows without a value, at most 1",
    MODEL, FEATURE, by=[MONITOR], unit="0 to 1", field="missing / rows",
)  # fmt: skip
FEATURE_PSI = _gauge(
    "atalaia_feature_psi", "population stability index of the window", MODEL, FEATURE,
    by=[MONITOR], unit="nats", field="psi",
)  # fmt: skip
FEATURE_JENSEN_SHANNON = _gauge(
    "atalaia_feature_jensen_shannon", "Jensen-Shannon distance of the window", MODEL, FEATURE,
    by=[MONITOR], unit="0 to 1", field="jensen_shannon",
)  # fmt: skip
FEATURE_WASSERSTEIN = _gauge(
    "atalaia_feature_wasserstein", "Wasserstein distance of the window, of numbers", MODEL, FEATURE,
    by=[MONITOR], unit="the feature's", field="wasserstein",
)  # fmt: skip

# drift-monitor: the last boundary's errors
CONCEPT_INFO = _gauge(
    "atalaia_concept_info", "1; the words of the last boundary, as labels", MODEL,
    Label("version", "the version whose errors they are", "one: that of the last boundary"),
    Label("detector", "what judges the errors", "the value of `ATALAIA_CONCEPT_DETECTOR`"),
    by=[MONITOR], unit="1", field="version, detector",
)  # fmt: skip
ERROR = _gauge(
    "atalaia_error", "mean error of the rows that the last boundary labelled; none is shown without rows",
    MODEL, by=[MONITOR], unit="1 for a wrong class, or the target's", field="error",
)  # fmt: skip
CONCEPT_ROWS = _gauge(
    "atalaia_concept_rows", "labelled rows of the version so far", MODEL,
    by=[MONITOR], unit="rows", field="rows",
)  # fmt: skip
CONCEPT_AS_OF = _gauge(
    "atalaia_concept_as_of_seconds", "the last boundary whose errors are judged", MODEL,
    by=[MONITOR], unit="seconds", field="as_of",
)  # fmt: skip
DUPLICATES = _counter(
    "atalaia_duplicate_batches_total", "records of predictions not counted, their batch having come before",
    by=[MONITOR], unit="records",
)  # fmt: skip
ROWS_COUNTED = _counter(
    "atalaia_rows_counted_total", "rows the monitor took in", MODEL, VERSION, by=[MONITOR], unit="rows"
)

# feedback
LABELS = _counter(
    "atalaia_labels_total", "labels by what became of them",
    Label("result", "what became of it", "`received` (HTTP: Kafka has it), `rejected` (HTTP: a line of NDJSON or CSV that is no label, or a body of "
          "JSON), `rerouted` (it lay in a partition not its own), `outcome`, `unusable_truth`, `unknown_class`",
          ("received", "rejected", "rerouted", "outcome", "unusable_truth", "unknown_class")),
    by=[FEEDBACK], unit="labels",
)  # fmt: skip
LABEL_REQUESTS = _counter(
    "atalaia_label_requests_total", "HTTP requests with labels answered; what is told of an upload at its end counts",
    Label("route", "which endpoint", "`/api/v1.0/feedback/`, `/api/v1.0/feedback/batch`",
          ("/api/v1.0/feedback/", "/api/v1.0/feedback/batch")),
    Label("status", "HTTP status of the answer", "`202`, `413`, `415`, `422`, `500`, `503` (Kafka did not take them)",
          ("202", "413", "415", "422", "500", "503")),
    by=[FEEDBACK], unit="requests",
)  # fmt: skip
LABEL_COVERAGE = _gauge(
    "atalaia_label_coverage",
    "labelled share of the newest windows that have had time for their labels, as many as have an average window's rows: as long as "
    "any window of the last two label horizons took until half of its rows were labelled, but for stragglers, and where none was, the "
    "horizon itself",
    MODEL,
    by=[FEEDBACK], unit="0 to 1", field="labelled / predicted of QualityReported, all versions",
)  # fmt: skip
QUALITY = _gauge(
    "atalaia_quality", "quality of what became known in the newest window of label time that has labels", MODEL,
    Label("metric", "which figure", "`accuracy`, `log_loss`, `auc`, `mae`, …, those of the model's task"),
    by=[FEEDBACK], unit="the figure's", field="LabelsReported.metrics",
)  # fmt: skip
ESTIMATED_QUALITY = _gauge(
    "atalaia_estimated_quality", "expected quality of the last window, before its labels come", MODEL,
    Label("metric", "which figure", "`accuracy`, `f1`, `auc`, …"),
    by=[FEEDBACK], unit="the figure's", field="QualityReported.estimated",
)  # fmt: skip
LABEL_DELAY = _gauge(
    "atalaia_label_delay_seconds", "delay of what became known in the newest window of label time that has labels", MODEL,
    Label("quantile", "which quantile", "`p50`, `p90`, `p95`, `p99`"),
    by=[FEEDBACK], unit="seconds", field="LabelsReported.label_delay",
)  # fmt: skip

# trainer
TRAININGS = _counter(
    "atalaia_trainings_total", "decisions of the trainer",
    Label("decision", "what was decided", "`started`, `waiting`, `refused`, `promoted`, `failed`",
          ("started", "waiting", "refused", "promoted", "failed")),
    by=[TRAINER], unit="decisions", field="decision",
)  # fmt: skip
TRAINING_INFO = _gauge(
    "atalaia_training_info", "1; the words of the last decision, as labels", MODEL,
    Label("decision", "what was decided last", "`started`, `waiting`, `refused`, `promoted`, `failed`"),
    Label("trigger", "what asked for it", "`virtual`, `real`, `quality`, `schedule`, `manual`"),
    Label("champion", "the version that served", "one: that of the last decision"),
    Label("challenger", "the version that was trained; empty before it is", "one: that of the last decision"),
    by=[TRAINER], unit="1", field="decision, trigger, champion_version, challenger_version",
)  # fmt: skip
ACTION_AT = _gauge(
    "atalaia_action_at_seconds", "wall-clock time of each of the ten newest actions on the model, the trainer's and people's", MODEL,
    Label("action", "what was done",
          "`started`, `waits for rows`, `waits for shadow`, `waits for approval`, `approved`, `rejected`, `refused`, `promoted`, "
          "`failed`, `installed`, `kept` (its review is over), `rolled_back`"),
    Label("version", "the version it is about: trained, installed, or taken back", "empty before it is trained"),
    Label("reason", "what asked for it",
          "`virtual`, `real`, `quality`, `schedule`, `manual`; `review` (it was worse than the one before), `person`; or empty"),
    Label("run", "the run's id on `training-runs`", "one a training; empty of what is none"),
    by=[TRAINER], unit="seconds", field="decision, challenger_version, trigger, run_id; and `approvals`, `model-events`, `promotion-reviews`",
)  # fmt: skip
ALERT_ACTION_AT = _gauge(
    "atalaia_alert_action_at_seconds", "wall-clock time of the newest action on each of the ten alerts that had one last", MODEL,
    Label("alert_id", "what was acted on, as on `drift-alerts`", "ten; a request's id or a period of the schedule too"),
    Label("action", "what was done last", "those of the trainer's decisions, as of `atalaia_action_at_seconds`"),
    by=[TRAINER], unit="seconds", field="answers, decision, waits_for",
)  # fmt: skip
TRAINING_ROWS = _gauge(
    "atalaia_training_rows", "rows of the last decision", MODEL,
    Label("rows", "which rows", "`labelled` (since the change point), `needed`, and once it has trained `train`, `holdout`, …"),
    by=[TRAINER], unit="rows", field="rows",
)  # fmt: skip
CHALLENGE_METRIC = _gauge(
    "atalaia_challenge_metric", "figures of the last challenge, of both versions on the same unseen rows", MODEL,
    Label("role", "whose", "`champion`, `challenger`"),
    Label("metric", "which figure", "`accuracy`, `log_loss`, `auc`, `mae`, …, those of the model's task"),
    by=[TRAINER], unit="the figure's", field="metrics",
)  # fmt: skip
CHALLENGER = Label("challenger", "the version that was tried", "one: that of the last challenge")
CHALLENGE_GAIN = _gauge(
    "atalaia_challenge_gain", "gain of the last challenger in the project's metric, positive where it is better",
    MODEL, CHALLENGER, by=[TRAINER], unit="the figure's", field="gain",
)  # fmt: skip
CHALLENGE_P_VALUE = _gauge(
    "atalaia_challenge_p_value", "p-value of the last challenge's paired test; its bound is ATALAIA_PROMOTE_P_VALUE",
    MODEL, CHALLENGER, by=[TRAINER], unit="probability", field="p_value",
)  # fmt: skip
TRAINING_SECONDS = _gauge(
    "atalaia_training_seconds", "how long each step of the last training took", MODEL,
    Label("step", "which step", "`snapshot`, `train`, `register`, `judge`"),
    by=[TRAINER], unit="seconds", field="seconds",
)  # fmt: skip
CANDIDATE = Label(
    "candidate", "which selection of rows", "`all`, `weighted by recency`, `recent`, `since the change`"
)
CANDIDATE_ROWS = _gauge(
    "atalaia_candidate_rows", "rows that each candidate of the last training was trained on", MODEL, CANDIDATE,
    by=[TRAINER], unit="rows", field="candidates",
)  # fmt: skip
CANDIDATE_METRIC = _gauge(
    "atalaia_candidate_metric", "figures of each candidate of the last training on the held-out rows", MODEL, CANDIDATE,
    Label("metric", "which figure", "`accuracy`, `log_loss`, `auc`, `mae`, …, those of the model's task"),
    by=[TRAINER], unit="the figure's", field="candidates",
)  # fmt: skip
CANDIDATE_CHOSEN = _gauge(
    "atalaia_candidate_chosen", "1 for the candidate that was chosen, 0 for the others", MODEL, CANDIDATE,
    by=[TRAINER], unit="0 or 1", field="chosen",
)  # fmt: skip
PENDING_SINCE = _gauge(
    "atalaia_pending_since_seconds",
    "wall-clock time since when a challenger that has won waits; none is shown where none does", MODEL,
    Label("waits_for", "for what", "`shadow` (its shadow period), `approval` (a person)"),
    Label("challenger", "the version that waits", "one: no other training begins meanwhile"),
    by=[TRAINER], unit="seconds", field="waits_for, challenger_version",
)  # fmt: skip
SHADOW_PERIOD = _gauge(
    "atalaia_shadow_period_rows",
    "labelled rows that a challenger has scored unseen in its shadow period, and how many it needs; of the period that goes on",
    MODEL,
    Label("rows", "which rows", "`labelled`, `needed` (`ATALAIA_SHADOW_ROWS`)"),
    by=[TRAINER], unit="rows",
)  # fmt: skip
REVIEWS = _counter(
    "atalaia_promotion_reviews_total", "looks at promoted versions on the rows they have served",
    Label("verdict", "what a look says", "`undecided`, `kept`, `rolled_back`", ("undecided", "kept", "rolled_back")),
    by=[TRAINER], unit="looks", field="verdict",
)  # fmt: skip
REVIEW_INFO = _gauge(
    "atalaia_review_info", "1; the words of the newest look at a promotion, as labels", MODEL,
    Label("version", "the promoted version", "one: that of the newest look"),
    Label("predecessor", "the version before it", "one: that of the newest look"),
    Label("verdict", "what the newest look says", "`undecided`, `kept`, `rolled_back`"),
    by=[TRAINER], unit="1", field="version, previous_version, verdict",
)  # fmt: skip
REVIEW_GAIN = _gauge(
    "atalaia_review_gain", "gain of the promoted version over its predecessor, positive where it is better, and its interval",
    MODEL,
    Label("end", "which end of the interval, or the gain itself", "`low`, `gain`, `high`"),
    by=[TRAINER], unit="the figure's", field="low, gain, high",
)  # fmt: skip
REVIEW_ROWS = _gauge(
    "atalaia_review_rows", "labelled rows that the promoted version has served, and how many end the review", MODEL,
    Label("rows", "which rows", "`served`, `needed` (`ATALAIA_REVIEW_ROWS`)"),
    by=[TRAINER], unit="rows", field="rows",
)  # fmt: skip
REVIEW_ALPHA = _gauge(
    "atalaia_review_alpha", "chance of error that the looks at the promotion have spent, and that all together may spend",
    MODEL,
    Label("alpha", "which", "`spent`, `allowed` (1 - `ATALAIA_REVIEW_CONFIDENCE`)"),
    by=[TRAINER], unit="probability", field="look",
)  # fmt: skip
