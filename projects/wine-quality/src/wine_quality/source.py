"""UCI's red-wine file: given by a path, or downloaded, and checked either way."""

from __future__ import annotations

import hashlib
import io
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pandas as pd
from modelkit.project import fail

URL = "https://archive.ics.uci.edu/static/public/186/wine+quality.zip"
NAME = "winequality-red.csv"
SHA256 = "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"
VARIABLE = "ATALAIA_WINE_CSV"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "atalaia" / NAME


def _download() -> bytes:
    try:
        with (
            urllib.request.urlopen(URL, timeout=30) as answer,
            zipfile.ZipFile(io.BytesIO(answer.read())) as archive,
        ):
            return archive.read(NAME)
    except (urllib.error.URLError, OSError, zipfile.BadZipFile, KeyError) as error:
        fail(
            f"{NAME} could not be downloaded from UCI ({error}). Fetch it by hand from {URL} and give its path: "
            f"`atalaia demo wine-quality --data {NAME}`, or set {VARIABLE}."
        )


def read() -> pd.DataFrame:
    """All 1,599 rows, ``quality`` as int64; ends with one clear line where the file is missing or another."""
    given = os.environ.get(VARIABLE)
    path = Path(given) if given else _cache()
    if path.is_file():
        content = path.read_bytes()
    elif given:
        fail(f"{VARIABLE} names {given}, which is not a file.")
    else:
        content = _download()
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != SHA256:
        fail(
            f"{path} is not UCI's {NAME}: its sha256 is {checksum[:16]}…, not {SHA256[:16]}…. Fetch it anew."
        )
    if not given and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return pd.read_csv(io.BytesIO(content), sep=";").astype({"quality": "int64"})
