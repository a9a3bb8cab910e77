"""The platform of ``platform_under_load.py``, for the tests here."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "platform_under_load", Path(__file__).with_name("platform_under_load.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["platform_under_load"] = _module
_spec.loader.exec_module(_module)
