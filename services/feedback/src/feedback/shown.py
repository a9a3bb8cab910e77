"""What Prometheus is shown of boundaries that are decided here; by one worker, and by no other as well."""

from __future__ import annotations

from typing import Any

from contracts.events import LabelsReported, QualityReported
from servicekit import metrics

from feedback.deciding import Begun
from feedback.domain.coverage import Coverage
from feedback.observed import observe


class Shown:
    """Shows what whoever decides says, from where it takes over until another one does."""

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        self._begin()

    def observe(self, what: str, value: Any) -> None:
        """Show one thing that happened; what is not about boundaries is counted as everywhere."""
        match what, value:
            case "begun", Begun():
                self._begin()
                for report in value.reports:
                    self._report(report)
                for labelled in value.label_reports:
                    self._labels(labelled)
                if value.decided is not None:
                    self._decided(value.decided)
            case "ended", _:
                self._begin()
                for gauge in (
                    metrics.LABEL_COVERAGE, metrics.QUALITY, metrics.ESTIMATED_QUALITY, metrics.LABEL_DELAY, metrics.DECIDED_THROUGH,
                ):  # fmt: skip
                    gauge.clear()
            case "report", QualityReported():
                self._report(value)
            case "label report", LabelsReported():
                self._labels(value)
            case "decided", int():
                self._decided(value)
            case _:
                observe(what, value)

    def _begin(self) -> None:
        self._coverage = Coverage(self._horizon)
        self._labelled: dict[str, int] = {}  # where the newest window of label time ends, by model

    def _report(self, report: QualityReported) -> None:
        self._coverage.take(report)
        if report.as_of == report.window_end:  # the newest: what is estimated does not change later
            for name, figure in report.estimated.items():
                metrics.ESTIMATED_QUALITY.labels(report.model, name).set(figure)

    def _labels(self, report: LabelsReported) -> None:
        """The newest window's newest revision: labels that are uploaded late are in no report as of its end."""
        if report.window_end < self._labelled.get(report.model, report.window_end):
            return
        self._labelled[report.model] = report.window_end
        for name, figure in report.metrics.items():
            metrics.QUALITY.labels(report.model, name).set(figure)
        for name, delay in report.label_delay.items():
            metrics.LABEL_DELAY.labels(report.model, name).set(delay / 1000)

    def _decided(self, boundary: int) -> None:
        metrics.DECIDED_THROUGH.labels("feedback").set(boundary / 1000)
        for model, share in self._coverage.get(boundary).items():
            metrics.LABEL_COVERAGE.labels(model).set(share)
