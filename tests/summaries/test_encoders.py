"""Texts and images as vectors: stable, of length one where promised, and clear about what they do not take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries.encoders import (
    Identity,
    Intensities,
    Named,
    Ngrams,
    encoder,
    parse_texts,
    parse_vectors,
)

TEXTS = st.lists(st.text(max_size=30), min_size=1, max_size=8)


@given(TEXTS)
def test_a_text_has_the_same_vector_in_any_batch(texts: list[str]) -> None:
    """To the last bit: one pass and row by row agree."""
    together = Ngrams(dimension=64).encode(texts, None)
    alone = np.concatenate([Ngrams(dimension=64).encode([text], None) for text in texts])
    assert (together == alone).all()


@given(TEXTS)
def test_a_text_has_length_one_or_leaves_nothing(texts: list[str]) -> None:
    """A text without any n-gram is all zeros, and one whose n-grams cancel out."""
    lengths = (Ngrams().encode(texts, None) ** 2).sum(axis=1)
    for text, length in zip(texts, lengths, strict=True):
        assert length == pytest.approx(1.0) or (length == 0 and len(text) < 3)


def test_ngrams_are_counted_as_a_loop_would() -> None:
    """ "abab" has ab twice, ba once, aba and bab once and abab once; each with its own sign."""
    values = np.sort(np.abs(Ngrams(2, 4, 65_536).encode(["abab"], None)[0]))[-6:]
    assert values == pytest.approx(np.array([0, 1, 1, 1, 1, 2]) / np.sqrt(8))


def test_the_hash_is_the_same_in_every_process() -> None:
    """Python's own would differ by PYTHONHASHSEED; what a profile counted has to be found again for years."""
    program = "from summaries.encoders import Ngrams; print(Ngrams(dimension=8).encode(['Drift, später'], None).tolist())"
    said = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1
    buckets = np.array(json.loads(said.pop()))
    assert buckets.round(3).tolist() == [[-0.295, -0.295, -0.59, -0.147, 0.0, 0.147, 0.59, 0.295]]


def test_intensities_are_block_means() -> None:
    """Of blocks as even as the size allows, and of the channels."""
    image = np.arange(30.0).reshape(1, 30)
    assert Intensities(2, 2).encode(image, (5, 6)).tolist() == [
        [np.mean([0, 1, 2, 6, 7, 8]), np.mean([3, 4, 5, 9, 10, 11]),
         np.mean([12, 13, 14, 18, 19, 20, 24, 25, 26]), np.mean([15, 16, 17, 21, 22, 23, 27, 28, 29])]
    ]  # fmt: skip
    assert Intensities(1, 1).encode(np.array([[1.0, 2, 3, 4, 5, 6]]), (1, 2, 3)).tolist() == [[3.5]]


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_an_image_has_the_same_means_in_any_batch(n: int, seed: int) -> None:
    """To the last bit."""
    images = np.random.default_rng(seed).normal(size=(n, 63))
    means = Intensities(2, 3)
    together = means.encode(images, (9, 7))
    assert (together == np.concatenate([means.encode(image[None], (9, 7)) for image in images])).all()


def test_ones_own_encoder_is_a_function_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is imported where it is used; what it gives has to be a row each."""
    (tmp_path / "my_encoder.py").write_text(
        "import numpy as np\n"
        "def lengths(texts): return np.array([[len(t), t.count(' ')] for t in texts])\n"
        "def wrong(texts): return np.zeros(3)\n"
        "def fails(texts): raise ValueError('no model')\n"
        "table = {}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert encoder("my_encoder:lengths").encode(["a b", "c"], None).tolist() == [[3.0, 1.0], [1.0, 0.0]]
    for name, said in (
        ("my_encoder:wrong", "gave"), ("my_encoder:fails", "no model"), ("my_encoder:table", "is no function"),
        ("my_encoder:absent", "cannot be imported here"), ("nowhere.at_all:f", "PYTHONPATH"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            Named(name).encode(["a"], None)


def test_encoders_travel_as_json() -> None:
    """Name and parameters, and back."""
    for each in (Ngrams(1, 3, 32), Intensities(4, 5), Identity(), Named("a.b:c")):
        assert encoder(each.to_dict()) == each
    for bad in (
        "hash",
        {"name": "ngrams", "size": 3},
        {"name": "a:b", "size": 3},
        {"name": "ngrams", "longest": 99},
    ):
        with pytest.raises(ValueError):
            encoder(bad)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([[1, 2]], "a vector has 2 numbers, not 3"),
        ([[1, 2, 3], [1, 2]], "a vector has 2 numbers, not 3"),
        ([[1, 2, None]], "no number: NoneType"),
        ([[1, 2, "a"]], "no number: str"),
        ([[True, False, True]], "no number: bool"),
        ([[1, 2, float("nan")]], "NaN or an infinity"),
        ([[1, 2, float("inf")]], "NaN or an infinity"),
        ([5.0], "float is no vector"),
        (["abc"], "str is no vector"),
        ([[1, 2, [3]]], "a vector in a vector"),
    ],
)
def test_what_is_no_vector_is_said(column: list[object], said: str) -> None:
    """Wrong length, no number, NaN."""
    with pytest.raises(ValueError, match=said):
        parse_vectors(column, 3)


def test_missing_ones_are_told_apart() -> None:
    """None, and a NaN in place of a whole vector or text, as data frames have it."""
    vectors, missing = parse_vectors([[1, 2], None, float("nan")], 2)
    assert vectors.tolist() == [[1.0, 2.0]]
    assert missing is not None
    assert missing.tolist() == [False, True, True]
    assert parse_vectors([], 2)[0].shape == (0, 2)
    assert parse_vectors(np.zeros((2, 2, 3)), 6)[0].shape == (2, 6)
    with pytest.raises(ValueError, match="int is no text"):
        parse_texts(["a", 5])
