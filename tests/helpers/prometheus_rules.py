"""Prometheus' rules as they are committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "prometheus"


def rules(name: str) -> list[dict[str, Any]]:
    """All rules of a file: ``alerts`` or ``recording``."""
    groups = yaml.safe_load((FOLDER / "rules" / f"{name}.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


RECORDED = frozenset(rule["record"] for rule in rules("recording"))
