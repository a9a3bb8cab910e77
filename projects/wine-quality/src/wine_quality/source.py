"""UCI's red-wine file: given by a path, or downloaded, and checked either way."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
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
        with urllib.request.urlopen(URL, timeout=30) as answer:
            packed = io.BytesIO(answer.read())
        with zipfile.ZipFile(packed) as archive:
            return archive.read(NAME)
    except (OSError, http.client.HTTPException, zipfile.BadZipFile, KeyError) as error:
        fail(
            f"{NAME} could not be downloaded from UCI ({error}). Fetch it by hand from {URL} and give its path: "
            f"`atalaia demo wine-quality --data {NAME}`, or set {VARIABLE}."
        )


def read() -> pd.DataFrame:
    """All 1,599 rows, ``quality`` as int64; ends with one clear line where the file is missing or another."""
    given, cache = os.environ.get(VARIABLE), _cache()
    if given:
        if not Path(given).is_file():
            fail(f"{VARIABLE} names {given}, which is not a file.")
        content, whence, remedy = Path(given).read_bytes(), given, "give UCI's file"
    elif cache.is_file():
        content, whence, remedy = cache.read_bytes(), str(cache), "delete it, and it is downloaded anew"
    else:
        content, whence, remedy = _download(), "what UCI's server sent", f"try again, or set {VARIABLE}"
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != SHA256:
        fail(f"{whence} is not UCI's {NAME}: its sha256 is {checksum[:16]}…, not {SHA256[:16]}…: {remedy}.")
    if not given and not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(f".{os.getpid()}")  # never half a file under the real name
        partial.write_bytes(content)
        partial.replace(cache)
    return pd.read_csv(io.BytesIO(content), sep=";").astype({"quality": "int64"})
