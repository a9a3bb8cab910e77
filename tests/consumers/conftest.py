"""The monitor's world and workers, for the test that has it raise an alert."""

import importlib.util
import sys
from pathlib import Path

NAME = "monitor_on_kafka"

if NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        NAME, Path(__file__).parents[1] / "drift_monitor" / "on_kafka.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[NAME])
