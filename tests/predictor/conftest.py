"""The models and the fakes of ``models.py``, for the tests of the predictor's HTTP surface."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("predictor_models", Path(__file__).with_name("models.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["predictor_models"] = _module
_spec.loader.exec_module(_module)
