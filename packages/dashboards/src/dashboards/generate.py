"""Writes ``grafana/dashboards/*.json`` from the code; ``--check`` only compares.

``python -m dashboards.generate [--check] [FOLDER]``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.data_quality import data_quality
from dashboards.model_versions import model_versions
from dashboards.pipeline import pipeline
from dashboards.service import service

FOLDER = Path("grafana/dashboards")
BOARDS = (data_quality, service, pipeline, model_versions)


def generated() -> dict[str, str]:
    """The JSON of each dashboard by its file's name, keys in order, so that a change is a change of the code."""
    found = {}
    for make in BOARDS:
        text = json.dumps(make().build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
        found[f"{make.__name__.replace('_', '-')}.json"] = text + "\n"
    return found


def main(arguments: list[str]) -> int:
    """Write, or with ``--check`` 1 where a file is not current or nobody's."""
    check = "--check" in arguments
    folder = next((Path(given) for given in arguments if given != "--check"), FOLDER)
    wanted = generated()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    wrong = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if check:
        for name in wrong:
            print(f"{folder / name} is not current: run `make contracts`", file=sys.stderr)
        return 1 if wrong else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (folder / name).unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
