"""The four services by name, and where they are by the settings."""

from __future__ import annotations

from servicekit.config import Settings

SERVICES = {
    "predictor": "predictor",
    "feedback": "feedback",
    "drift-monitor": "drift_monitor",
    "trainer": "trainer",
}  # name -> Python module, whose name its settings bear too


def url_of(service: str, settings: Settings) -> str:
    """``http://host:port`` of a service.

    >>> url_of("drift-monitor", Settings(host="10.0.0.7", drift_monitor_port=8102))
    'http://10.0.0.7:8102'
    """
    return f"http://{settings.host}:{getattr(settings, SERVICES[service] + '_port')}"
