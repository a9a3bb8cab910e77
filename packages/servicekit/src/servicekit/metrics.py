"""All Prometheus metrics of all services, in one list. Names start with ``atalaia_``; times are seconds."""

from prometheus_client import Counter, Gauge, Histogram

# predictor
REQUESTS = Counter("atalaia_requests_total", "HTTP requests answered", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "atalaia_request_seconds",
    "time to answer a request",
    ["route"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
BATCH_ROWS = Histogram(
    "atalaia_batch_rows", "rows scored together", buckets=(1, 2, 5, 10, 50, 100, 1000, 10000)
)
PUBLISH_SECONDS = Histogram(
    "atalaia_publish_seconds",
    "time until Kafka acknowledged a batch",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
)
ROWS_PUBLISHED = Counter("atalaia_rows_published_total", "predictions acknowledged by Kafka", ["version"])
MODEL_SWAPS = Counter("atalaia_model_swaps_total", "attempts to take up a version", ["result"])
MODEL_INFO = Gauge("atalaia_model_info", "1 for the version that serves", ["model", "version"])
# every consumer
DLQ_RECORDS = Counter("atalaia_dlq_records_total", "records that could not be read", ["topic"])
DECIDED_THROUGH = Gauge(
    "atalaia_decided_through_seconds", "event time up to which windows are decided", ["service"]
)
WATERMARK = Gauge(
    "atalaia_watermark_seconds", "event time up to which rows are believed to be here", ["service"]
)
# drift-monitor: figures of the last final window
FEATURE_STATISTIC = Gauge(
    "atalaia_feature_statistic", "KS D or chi-square of the last window", ["model", "feature"]
)
FEATURE_P_VALUE = Gauge("atalaia_feature_p_value", "p-value of the last window", ["model", "feature"])
FEATURE_P_ADJUSTED = Gauge(
    "atalaia_feature_p_adjusted", "p-value corrected across features", ["model", "feature"]
)
FEATURE_EFFECT = Gauge("atalaia_feature_effect", "effect size (D or Cramer's V)", ["model", "feature"])
FEATURE_DRIFTED = Gauge("atalaia_feature_drifted", "1 where the feature drifted", ["model", "feature"])
WINDOW_ROWS = Gauge("atalaia_window_rows", "rows of the last window", ["model"])
LATE_ROWS = Counter("atalaia_late_rows_total", "rows that came after their window was decided", ["model"])
DRIFT_STATE = Gauge("atalaia_drift_state", "0 ok, 1 warning, 2 drift, 3 recovered", ["model", "kind"])
ERROR = Gauge("atalaia_error", "mean error of the rows that the last boundary labelled", ["model"])
PROFILE_WAITS = Counter("atalaia_profile_waits_total", "attempts to fetch a profile that failed", ["model"])
PROFILE_HELD = Gauge("atalaia_profile_held", "1 while records wait for a profile", ["model", "version"])
ROWS_COUNTED = Counter("atalaia_rows_counted_total", "rows the monitor took in", ["model", "version"])
# feedback
LABELS = Counter("atalaia_labels_total", "labels by what became of them", ["result"])
LABEL_COVERAGE = Gauge("atalaia_label_coverage", "labelled share of the last reported window", ["model"])
QUALITY = Gauge("atalaia_quality", "metrics of the last reported window", ["model", "metric"])
# trainer
TRAININGS = Counter("atalaia_trainings_total", "decisions of the trainer", ["decision"])
