"""Where Prometheus finds the services: a file that its file-based service discovery (``file_sd_configs``) reads.

https://prometheus.io/docs/guides/file-sd/. Each service is a job of its own name, as rules and dashboards have it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from servicekit.errors import UserError


def targets(urls: Mapping[str, str]) -> str:
    """The file's text, for base addresses by service.

    >>> print(targets({"predictor": "http://127.0.0.1:8000"}).strip())
    [
      {"targets": ["127.0.0.1:8000"], "labels": {"job": "predictor"}}
    ]
    """
    groups = ({"targets": [urlsplit(url).netloc], "labels": {"job": job}} for job, url in urls.items())
    return "[\n" + ",\n".join(f"  {json.dumps(group)}" for group in groups) + "\n]\n"


def write_targets(path: Path, urls: Mapping[str, str]) -> None:
    """Replace ``path`` in one step, for Prometheus reads it the moment it changes; raises :class:`UserError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(targets(urls), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise UserError(f"--prometheus-targets {path}: {error.strerror}") from None
