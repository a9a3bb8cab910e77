"""The list of metrics is what the services set, and the page that people read says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

from contracts.events import PromotionReviewed, TrainingDecided
from predictor.consumes.http.inference_protocol import INFER
from predictor.consumes.http.predict import BATCH, SINGLE
from predictor.loading import Result
from prometheus_client import REGISTRY
from servicekit import metrics
from servicekit.metrics_table import table

ROOT = Path(__file__).parents[2]
KIT = Path(metrics.__file__).parent
SERVICES = {path.name: path / "src" for path in (ROOT / "services").iterdir() if (path / "src").is_dir()}
PYTHON_NAMES = {
    described.name: name
    for described in metrics.ALL
    for name, value in vars(metrics).items()
    if getattr(value, "_name", None) == described.name.removesuffix("_total")
}


def test_every_metric_is_described() -> None:
    """What a scrape names and what the list describes is the same, labels too."""
    ours = {m.name: m for m in REGISTRY.collect() if m.name.startswith("atalaia_")}
    assert {d.name.removesuffix("_total"): d.kind for d in metrics.ALL} == {
        n: m.type for n, m in ours.items()
    }
    for described in metrics.ALL:
        made = getattr(metrics, PYTHON_NAMES[described.name])
        assert made._labelnames == tuple(label.name for label in described.labels)


def test_metrics_come_from_the_services_that_the_list_names() -> None:
    """A service sets exactly the metrics that are listed as its own, so that the page cannot promise others.

    What it imports from the kit counts as its own: a dead letter, say, is counted where it is sent, for all of them.
    """
    for service, folder in SERVICES.items():
        source = _with_the_kit("\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py")))
        used = {d.name for d in metrics.ALL if re.search(rf"\b{PYTHON_NAMES[d.name]}\b", source)}
        assert used == {d.name for d in metrics.ALL if service in d.by}, service


def _with_the_kit(source: str) -> str:
    """A source and those of the kit's modules that it imports, and that they import, but the list of metrics itself."""
    sources, seen = [source], {"metrics", "metrics_table"}
    for text in sources:
        for modules in re.findall(r"^\s*from servicekit(?:\.(\w+)| import ([\w, ]+))", text, re.MULTILINE):
            for module in re.findall(r"\w+", " ".join(modules)):
                path = KIT / f"{module}.py"
                if module not in seen and path.exists():
                    seen.add(module)
                    sources.append(path.read_text(encoding="utf-8"))
    return "\n".join(sources)


def test_every_metric_stands_once_on_the_page() -> None:
    """Each has one row of its own; one that several services set has one with each."""
    page = table()
    for described in metrics.ALL:
        rows = re.findall(rf"^\| `{described.name}` \|", page, re.MULTILINE)
        assert len(rows) == len(described.by), described.name
    for label in {label for described in metrics.ALL for label in described.labels}:
        assert f"| {label.meaning} | {label.values} |" in page


def test_the_page_is_current() -> None:
    """docs/metrics.md is what the list says."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == table()


def test_values_known_beforehand_are_those_of_the_page() -> None:
    """What a counter begins with is what the label's values name, and what the services' own constants are."""
    counting = [described for described in metrics.ALL if described.kind != "gauge"]
    for label in {label for described in counting for label in described.labels}:
        assert label.known or label.name in ("model", "topic", "version"), label
        assert list(label.known) == [v for v in re.findall("`(.+?)`", label.values) if v in label.known]
    known = {(d.name, label.name): label.known for d in counting for label in d.labels}
    assert known["atalaia_requests_total", "route"] == (SINGLE, BATCH, INFER)
    assert known["atalaia_model_swaps_total", "result"] == tuple(result.value for result in Result)
    decisions = get_args(get_type_hints(TrainingDecided)["decision"])
    assert known["atalaia_trainings_total", "decision"] == decisions
    verdicts = get_args(get_type_hints(PromotionReviewed)["verdict"])
    assert known["atalaia_promotion_reviews_total", "verdict"] == verdicts


def test_counters_begin_at_0() -> None:
    """After a service's begin each counter of its own has a series for every combination of known values, others have none."""
    code = (
        "from servicekit import metrics\n"
        "metrics.begin('trainer', 'm', ['outcomes'])\n"
        "from servicekit.exposition import exposition\n"
        "print(exposition().decode())"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    series = dict(re.findall(r"^(atalaia_\w+_total\{.*?\}) (\S+)$", text, re.MULTILINE))
    assert set(series.values()) == {"0.0"}
    assert 'atalaia_dlq_records_total{topic="outcomes"}' in series
    assert 'atalaia_promotion_reviews_total{verdict="rolled_back"}' in series
    assert 'atalaia_trainings_total{decision="failed"}' in series
    assert not any("requests" in name for name in series)
