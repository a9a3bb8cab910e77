"""What the four services show at ``/metrics`` in a world where everything has happened once, as they themselves show it.

The contracts' examples go through the services' own functions; counters that grow with traffic grow with each scrape. Each
service is asked at an address of its own and says what it sets itself: elsewhere a metric has its name, and no series.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import contracts
import msgspec
from contracts.events import (
    ConceptTested,
    LabelsReported,
    ModelChanged,
    PromotionReviewed,
    QualityReported,
    TrainingDecided,
    WindowTested,
)
from drift_monitor.shown import show_concept, show_window
from feedback.observed import observe
from feedback.shown import Shown
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from servicekit import metrics
from servicekit.config import Settings
from servicekit.metrics import ALL, FEEDBACK, MONITOR, PREDICTOR, TRAINER
from servicekit.topics import topics_of
from trainer.domain.actions import Actions
from trainer.domain.history import History
from trainer.shown import show_actions, show_history, show_pending, show_review

MODEL = "flights"
EXAMPLES = Path(contracts.__file__).parents[2] / "examples"
ROUTES = ("/api/v1.0/predict/", "/api/v1.0/predict/batch")
E = TypeVar("E")


def example(topic: str, kind: type[E]) -> E:
    """The published example of a topic's event, of one model."""
    content = msgspec.json.decode((EXAMPLES / f"{topic}.json").read_bytes())
    return msgspec.convert({**content, "model": MODEL}, kind)


def happen() -> None:
    """Everything once: a window with drift, a boundary, labels, a challenge, a version, a spool, a shadow, a review."""
    for service in (PREDICTOR, FEEDBACK, MONITOR, TRAINER):
        metrics.begin(service, MODEL, topics_of(service))
    window = example("drift-reports", WindowTested)
    show_window(window, window.window_start)
    show_concept(example("concept-reports", ConceptTested))
    told = Shown(Settings().label_horizon_ms)
    told.observe("label report", example("label-reports", LabelsReported))
    report = example("quality-reports", QualityReported)
    told.observe("report", msgspec.structs.replace(report, as_of=report.window_end))
    told.observe("decided", report.window_end)
    observe("profile", (MODEL, "1"))
    waiting = example("training-runs", TrainingDecided)
    rows = {"labelled": 31_200, "needed": 200, **waiting.rows}
    show_history([msgspec.structs.replace(waiting, rows=rows)])
    history = History()
    now = int(time.time() * 1000)
    history.record(msgspec.structs.replace(waiting, waits_for="shadow"), now)
    actions = Actions(MODEL)
    actions.changed(example("model-events", ModelChanged), now, by_trainer=False)
    actions.decided(waiting, now)
    show_actions(actions)
    show_pending(history, 120, 500)
    show_review(example("promotion-reviews", PromotionReviewed), Settings())
    metrics.MODEL_INFO.labels(MODEL, "1", "promoted").set(1)
    metrics.MODEL_WANTED.labels(MODEL, "1").set(1)
    metrics.MODEL_SINCE.labels(MODEL).set(time.time() - 60)
    metrics.MODEL_SWAPS.labels("taken up").inc()
    metrics.SHADOW_SWAPS.labels("taken up").inc()
    metrics.WATERMARK.labels(MONITOR).set(window.window_end / 1000 + 60)
    for service in (MONITOR, FEEDBACK, TRAINER):
        metrics.DECIDED_THROUGH.labels(service).set(window.window_end / 1000)
    for topic in ("predictions", "ground-truth"):
        metrics.CONSUMER_LAG.labels(topic).set(3)


def go_on() -> None:
    """What one more look finds: requests, rows and labels have come, and a training was decided."""
    for route in ROUTES:
        for status in (200, 422, 503):
            metrics.REQUESTS.labels(route, status).inc(5)
        for seconds in (0.001, 0.02, 0.4):
            metrics.REQUEST_SECONDS.labels(route).observe(seconds)
        for cause in ("invalid", "not_recorded"):
            metrics.REQUESTS_REFUSED.labels(route, cause).inc(5)
    metrics.BATCH_ROWS.observe(20)
    metrics.PUBLISH_SECONDS.observe(0.003)
    metrics.ROWS_PUBLISHED.labels("1").inc(20)
    metrics.ROWS_COUNTED.labels(MODEL, "1").inc(20)
    metrics.LATE_ROWS.labels(MODEL).inc()
    metrics.DUPLICATES.inc()
    for how in ("sent", "spooled", "replayed"):
        metrics.ROWS_KEPT.labels(how).inc(7)
    for result in ("published", "left out"):
        metrics.SHADOW_ROWS.labels(result).inc(20)
    for result in ("received", "outcome", "rejected"):
        metrics.LABELS.labels(result).inc(10)
    metrics.DLQ_RECORDS.labels("predictions").inc()
    metrics.TRAININGS.labels("refused").inc()


class Own(Collector):
    """One service's view: of metrics with labels only its own have series."""

    def __init__(self, service: str) -> None:
        self._others = {m.name.removesuffix("_total") for m in ALL if m.labels and service not in m.by}

    def collect(self) -> Iterator[Metric]:
        """All metrics, those of others empty."""
        for metric in REGISTRY.collect():
            if metric.name in self._others:
                metric.samples = []
            yield metric


@contextmanager
def running_world() -> Iterator[dict[str, str]]:
    """The addresses of the four services, by name."""
    happen()
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(_answering(name)) for name in (PREDICTOR, FEEDBACK, MONITOR, TRAINER)
        }


@contextmanager
def _answering(service: str) -> Iterator[str]:
    registry = CollectorRegistry()
    registry.register(Own(service))

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if service == PREDICTOR:
                go_on()
            content = generate_latest(registry)
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
