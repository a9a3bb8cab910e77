"""What a training was made with, as tags of its version; ``atalaia reproduce`` reads them again.

The lock file is Atalaia's own ``requirements.lock``: the stages run with the trainer's Python, so with its packages.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SNAPSHOT = tuple(f"data/live/{name}.parquet" for name in ("training", "holdout", "reference"))
SELECTION = (
    "data/live/selection.json"  # small, so git keeps it; a snapshot of before there were candidates has none
)
_CHECKOUT = Path(__file__).resolve().parents[4]


def made_with() -> dict[str, str]:
    """``python`` and ``atalaia`` as versions, ``lock_sha256``; a lock file that is not there is left out.

    >>> sorted(made_with() | {"lock_sha256": ""})
    ['atalaia', 'lock_sha256', 'python']
    """
    found = {"python": platform.python_version(), "atalaia": atalaia_version()}
    lock = _CHECKOUT / "requirements.lock"
    if lock.is_file():
        found["lock_sha256"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    return found


def atalaia_version() -> str:
    """The installed version, of a git checkout with its revision as PEP 440 has it: ``0.1.0+g1a2b3c4d5e6f``."""
    try:
        number = version("atalaia-servicekit")
    except PackageNotFoundError:
        number = "0"
    command = ["git", "-C", str(_CHECKOUT), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.split(
            "\n"
        )
    except (OSError, subprocess.SubprocessError):
        return number
    # a package that is installed may lie in somebody else's checkout
    return f"{number}+g{said[1][:12]}" if Path(said[0]).resolve() == _CHECKOUT else number


def differences(tags: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """In words, what of :func:`made_with` is another one now; nothing where a tag is missing.

    >>> differences({"python": "3.11.1", "lock_sha256": "ab"}, {"python": "3.12.0", "lock_sha256": "ab"})
    ['Python was 3.11.1 and is 3.12.0']
    """
    names = {"python": "Python", "atalaia": "Atalaia", "lock_sha256": "the lock file (sha256)"}
    return [
        f"{words} was {tags[name][:24]} and is {now.get(name, 'missing')[:24]}"
        for name, words in names.items()
        if name in tags and tags[name] != now.get(name)
    ]


def snapshot_sha256(project: Path) -> str:
    """Of the three Parquet files a training was given, one after the other, and of ``selection.json`` where there is one.

    Raises ``OSError`` without the former.
    """
    digest = hashlib.sha256()
    for name in SNAPSHOT:
        digest.update((project / name).read_bytes())
    if (project / SELECTION).exists():
        digest.update((project / SELECTION).read_bytes())
    return digest.hexdigest()
