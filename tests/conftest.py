"""What holds for the whole suite."""

import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

# it starts a dozen brokers for a short time each: a JVM that compiles less is up in two thirds of the time
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# a red run says something of the change, not of the draw or of a slow machine: others are tried with HYPOTHESIS_PROFILE=default
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# its module imports a project's sources, which are on the path of the test that uses it only
collect_ignore = ["helpers/wine_policies.py"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a whole loop first, then by their tests on a broker: of two side by side, no long one comes last."""
    weight: Counter[Path] = Counter()
    for item in items:
        whole, broker = item.get_closest_marker("e2e"), item.get_closest_marker("kafka")
        weight[item.path] += 1000 if whole else 1 if broker else 0
    items.sort(key=lambda item: -weight[item.path])
