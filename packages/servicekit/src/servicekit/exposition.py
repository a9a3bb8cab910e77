"""What ``/metrics`` says: the numbers of this process, or the sum over all workers where there are several.

With several workers (``PROMETHEUS_MULTIPROC_DIR``) each keeps its numbers in files of a folder that they share, named by
the worker and not by the process, so that the one that takes a dead worker's place counts on. Names, help and series are
the same in both cases, but for the process's own (``process_…``, ``python_…``), which have no sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from servicekit.metrics import ALL


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return generate_latest()
    registry = CollectorRegistry()
    registry.register(AllWorkers(Path(folder)))
    return generate_latest(registry)


class AllWorkers(Collector):
    """The metrics of the list, added up over the workers' files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Each metric, in the list's order; one without a series too."""
        files = [str(path) for path in self._folder.glob("*.db") if _begun(path)]
        found = {metric.name: metric for metric in MultiProcessCollector.merge(files)}  # type: ignore[no-untyped-call]
        for described in ALL:
            name = described.name.removesuffix("_total")
            metric = found.get(name) or Metric(name, described.meaning, described.kind)
            if name.endswith("_info"):  # a file keeps a series that was removed, at 0
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def _begun(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:  # its worker has died
        return False
