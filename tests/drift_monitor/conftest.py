"""The world and the workers of ``on_kafka.py``, for every test here."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("monitor_on_kafka", Path(__file__).with_name("on_kafka.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["monitor_on_kafka"] = _module
_spec.loader.exec_module(_module)
