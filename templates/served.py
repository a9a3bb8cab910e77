"""The served projects of this repository, held against the template that they are made from.

``python templates/served.py`` writes the template's files into each of them anew, by the answers in its
``.copier-answers.yml``; ``--check`` only says which differ. What is the project's own, ``_skip_if_exists`` in
``copier.yml`` lists.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import copier
import pathspec
import yaml

TOP = Path(__file__).resolve().parents[1]
ANSWERS = ".copier-answers.yml"


def served() -> list[Path]:
    """The projects' folders."""
    return sorted(path.parent for path in (TOP / "projects").glob(f"*/{ANSWERS}"))


def plain(folder: Path) -> Path:
    """The template as it is now, out of git: copier would take the last commit."""
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(TOP / "templates" / "model", folder / "templates" / "model", ignore=ignored)
    shutil.copy(TOP / "copier.yml", folder)
    return folder


def render(template: Path, project: Path, answers: dict[str, Any]) -> None:
    """A project, made in an empty folder."""
    copier.run_copy(str(template), project, data=answers, defaults=True, quiet=True)


def template_s(project: Path) -> list[Path]:
    """Which of a rendered project's files are the template's, in it and ever after; without the answers."""
    own = yaml.safe_load((TOP / "copier.yml").read_text(encoding="utf-8"))["_skip_if_exists"]
    spec = pathspec.GitIgnoreSpec.from_lines(own)
    files = sorted(path.relative_to(project) for path in project.rglob("*") if path.is_file())
    return [file for file in files if not spec.match_file(file) and file.name != ANSWERS]


def differing(write: bool = False) -> list[str]:
    """Paths below the repository of the template's files that are other in a served project, or not there."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        template = plain(Path(temporary) / "template")
        for project in served():
            answers = yaml.safe_load((project / ANSWERS).read_text(encoding="utf-8"))
            fresh = Path(temporary) / project.name
            render(template, fresh, answers)
            for file in template_s(fresh):
                content, there = (fresh / file).read_bytes(), project / file
                if there.is_file() and there.read_bytes() == content:
                    continue
                found.append(there.relative_to(TOP).as_posix())
                if write:
                    there.parent.mkdir(parents=True, exist_ok=True)
                    there.write_bytes(content)
    return found


def main() -> int:
    """0 where nothing differs, or where it was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which files differ")
    check = parser.parse_args().check
    found = differing(write=not check)
    for name in found:
        print(f"{name} {'is not as the template has it' if check else 'is written anew'}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
