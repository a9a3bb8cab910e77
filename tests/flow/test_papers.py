"""The papers of the repository name each other rightly."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "docs", "docs/adr", "bench", "consumers", "packages", "services", "projects", "templates")
PAPERS = sorted(
    {
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
        if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
    }
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchor(heading: str) -> str:
    """A heading as GitHub names it.

    >>> anchor("What it's worth: a `year`")
    'what-its-worth-a-year'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("paper", PAPERS, ids=str)
def test_a_link_leads_somewhere(paper: Path) -> None:
    """Each file that a paper links to is there, and so is the heading, where it names one."""
    text = (ROOT / paper).read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / paper).parent / name if name else ROOT / paper
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), link


def test_every_decision_that_is_named_is_recorded() -> None:
    """An ADR that a paper names has a file, and every file has its line in the list."""
    recorded = {path.name[:4]: path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md")}
    for paper in PAPERS:
        named = set(re.findall(r"ADR (\d{4})", (ROOT / paper).read_text(encoding="utf-8")))
        assert named <= recorded.keys(), paper
    listed = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert all(f"[{number}]({name})" in listed for number, name in recorded.items())
