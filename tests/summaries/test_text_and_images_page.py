"""docs/text-and-images.md: its program runs as it stands, and its table of encoders is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from summaries.encoders import Intensities, Ngrams
from summaries.profile import Profile

PAGE = (Path(__file__).parents[2] / "docs" / "text-and-images.md").read_text(encoding="utf-8")


def test_the_program_makes_a_profile() -> None:
    """What it writes can be read, and knows the names that the page tells of."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {}
    exec(program, made)
    names = set(Profile.from_dict(json.loads(made["text"])).monitored())
    assert {"photo", "photo:distance", "photo:axis1", "photo:axis16", "embedding:axis5"} <= names
    assert len([name for name in names if name.startswith("photo")]) == 18


def test_the_defaults_are_the_encoders_own() -> None:
    """Each parameter with its value."""
    for encoder in (Ngrams(), Intensities()):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{encoder.name}` |"))
        for name, value in encoder.to_dict().items():
            assert name == "name" or f"`{name}` {value}" in row
