"""Texts and images as vectors, so that a codebook can count them: encoders that need nothing but numpy.

Guarantee: a row's vector depends on the row alone, not on the batch it came in, the process or the machine's number
of cores: sums are of whole numbers or in a fixed order, and the hash is our own. Vectors are float64. What a user's
own encoder guarantees is the user's to say.

Weinberger, K. and others (2009). Feature hashing for large scale multitask learning. ICML, 1113–1120.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK = 2048  # texts encoded at a time
Vectors = NDArray[np.float64]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Encoder(Protocol):
    """What makes a vector of a row. Rows that are missing never come here."""

    @property
    def name(self) -> str:
        """How a profile names it."""

    def check(self, dtype: str, shape: tuple[int, ...] | None) -> None:
        """Raise ``ValueError`` where the encoder does not take such a feature."""

    def encode(self, rows: Any, shape: tuple[int, ...] | None) -> Vectors:
        """[N, d] of N texts (a list), or of N vectors (float64 [N, length]) whose ``shape`` is declared."""

    def to_dict(self) -> dict[str, Any]:
        """JSON: the name and the parameters."""


@dataclass(frozen=True)
class Ngrams:
    """Texts by their hashed character n-grams of ``shortest`` to ``longest``: no words, so any language will do.

    Each n-gram adds or takes 1, as its hash says, from one of ``dimension`` buckets, so that n-grams that share one
    cancel out on average. A text's vector has length 1: long texts are like short ones of the same making. A text
    that leaves nothing is all zeros.

    >>> vectors = Ngrams(dimension=64).encode(["drift", "drift", "quiet"], None)
    >>> vectors.shape, bool((vectors[0] == vectors[1]).all()), round(float((vectors[2] ** 2).sum()), 9)
    ((3, 64), True, 1.0)
    """

    shortest: int = 1
    longest: int = 3
    dimension: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest <= 8:
            raise ValueError(f"n-grams are of 1 to 8 characters, not {self.shortest} to {self.longest}")
        if not 2 <= self.dimension <= 1 << 16:
            raise ValueError(f"a dimension of {self.dimension}; 2 to 65,536 are possible")

    @property
    def name(self) -> str:
        """As profiles have it."""
        return "ngrams"

    def check(self, dtype: str, shape: tuple[int, ...] | None) -> None:
        """Texts only."""
        if dtype != "text":
            raise ValueError(f"n-grams are of a text, not of a {dtype}")

    def encode(self, rows: Any, shape: tuple[int, ...] | None) -> Vectors:
        """float64 [N, dimension]."""
        if len(rows) > CHUNK:  # for memory
            parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
            return np.concatenate([self.encode(part, shape) for part in parts])
        codes = [np.frombuffer(row.encode("utf-32-le", "surrogatepass"), dtype="<u4") for row in rows]
        lengths = np.array([len(code) for code in codes], dtype=np.int64)
        n = len(codes)
        if not lengths.sum():
            return np.zeros((n, self.dimension))
        characters = np.concatenate(codes).astype(np.uint64)
        owner = np.repeat(np.arange(n), lengths)
        counts = np.zeros(2 * n * self.dimension, dtype=np.int64)
        rolling = np.zeros(len(characters), dtype=np.uint64)
        for size in range(1, self.longest + 1):
            last = len(characters) - size + 1
            if last < 1:
                break
            rolling = rolling[:last] * _MULTIPLIER + characters[size - 1 :] + np.uint64(1)
            if size < self.shortest:
                continue
            whole = owner[:last] == owner[size - 1 :]  # no n-gram reaches into the next text
            hashed = _mixed(rolling[whole] + np.uint64(size))
            bucket = (hashed % np.uint64(self.dimension)).astype(np.int64)
            at = 2 * (owner[:last][whole] * self.dimension + bucket) + (hashed >> np.uint64(63)).astype(
                np.int64
            )
            counts += np.bincount(at, minlength=len(counts))
        weights = (counts[1::2] - counts[::2]).reshape(n, self.dimension)
        length = np.sqrt((weights * weights).sum(axis=1).astype(np.float64))  # a sum of whole numbers
        vectors: Vectors = weights / np.where(length > 0, length, 1.0)[:, None]
        return vectors

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Intensities:
    """Images as ``rows`` by ``columns`` means: an image is a flat list whose shape is declared, row after row.

    ``shape`` is (height, width), or (height, width, channels), whose mean is taken too.

    >>> Intensities(1, 2).encode(np.array([[0.0, 2.0, 4.0, 8.0]]), (2, 2)).tolist()
    [[2.0, 5.0]]
    """

    rows: int = 8
    columns: int = 8

    @property
    def name(self) -> str:
        """As profiles have it."""
        return "intensities"

    def check(self, dtype: str, shape: tuple[int, ...] | None) -> None:
        """Images only, and no more means than pixels."""
        if dtype != "vector" or shape is None or len(shape) not in (2, 3):
            raise ValueError(
                "intensities are of a vector with shape (height, width) or (height, width, channels)"
            )
        if not (1 <= self.rows <= shape[0] and 1 <= self.columns <= shape[1]):
            raise ValueError(f"{self.rows} by {self.columns} means of an image of {shape[0]} by {shape[1]}")

    def encode(self, rows: Any, shape: tuple[int, ...] | None) -> Vectors:
        """float64 [N, rows · columns]."""
        assert shape is not None
        images = np.asarray(rows, dtype=np.float64).reshape(-1, *shape, *((1,) if len(shape) == 2 else ()))
        grey = _means(images, 3, 1)[:, :, :, 0]
        return _means(_means(grey, 1, self.rows), 2, self.columns).reshape(len(images), -1)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Identity:
    """A vector as it is: an embedding that the user's own model has made."""

    @property
    def name(self) -> str:
        """As profiles have it."""
        return "identity"

    def check(self, dtype: str, shape: tuple[int, ...] | None) -> None:
        """Vectors only."""
        if dtype != "vector":
            raise ValueError(f"a {dtype} is no vector: it needs an encoder")

    def encode(self, rows: Any, shape: tuple[int, ...] | None) -> Vectors:
        """float64 [N, length]."""
        return np.asarray(rows, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"name": self.name}


@dataclass(frozen=True)
class Named:
    """A function of the user's, ``module:function``: of a list of N texts, or of float64 [N, *shape], to [N, d].

    It has to be importable where the profile is built and where the monitor runs, and to give a row the same
    vector in whatever batch it comes.

    >>> Named("json:loads").name
    'json:loads'
    """

    function: str

    def __post_init__(self) -> None:
        module, colon, name = self.function.partition(":")
        if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            known = ", ".join(sorted(_KNOWN))
            raise ValueError(
                f"there is no encoder {self.function!r}: {known}, or one's own as module:function"
            )

    @property
    def name(self) -> str:
        """As profiles have it."""
        return self.function

    def check(self, dtype: str, shape: tuple[int, ...] | None) -> None:
        """Texts and vectors alike."""

    def load(self) -> Callable[[Any], Any]:
        """The function; raises ``ValueError`` that says what to do where it cannot be imported."""
        module, _, name = self.function.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"the encoder {self.function} cannot be imported here ({error}): install its package where the "
                f"profile is built and where the monitor runs, or put its folder on PYTHONPATH"
            ) from None
        if not callable(found):
            raise ValueError(f"the encoder {self.function} is no function")
        return found  # type: ignore[no-any-return]

    def encode(self, rows: Any, shape: tuple[int, ...] | None) -> Vectors:
        """float64 [N, d]."""
        given = rows if shape is None else np.asarray(rows, dtype=np.float64).reshape(-1, *shape)
        function = self.load()
        try:
            vectors = np.asarray(function(given), dtype=np.float64)
        except Exception as error:  # whatever a user's program raises
            raise ValueError(f"the encoder {self.function} failed: {error}") from error
        if vectors.ndim != 2 or len(vectors) != len(given):
            raise ValueError(
                f"the encoder {self.function} gave {vectors.shape} for {len(given)} rows, not [N, d]"
            )
        return vectors

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"name": self.name}


_KNOWN: dict[str, Callable[..., Encoder]] = {
    "ngrams": Ngrams,
    "intensities": Intensities,
    "identity": Identity,
}


def encoder(given: Encoder | Mapping[str, Any] | str) -> Encoder:
    """An encoder by its name, by what ``to_dict`` wrote, or as it is; raises ``ValueError``.

    >>> encoder("ngrams") == encoder(Ngrams().to_dict()) == Ngrams()
    True
    """
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping):
        return given
    name, parameters = given.get("name"), {key: given[key] for key in given if key != "name"}
    if name not in _KNOWN:
        if parameters:
            raise ValueError(f"the encoder {name!r} has no parameters")
        return Named(str(name))
    try:
        return _KNOWN[name](**parameters)
    except TypeError as error:
        raise ValueError(f"the encoder {name}: {error}") from None


def _means(values: Vectors, axis: int, blocks: int) -> Vectors:
    """Means of ``blocks`` neighbouring blocks along an axis, added up in the order of the axis."""
    size = values.shape[axis]
    edges = [block * size // blocks for block in range(blocks + 1)]
    line = np.moveaxis(values, axis, 0)
    means = []
    for start, end in itertools.pairwise(edges):
        total = line[start].copy()
        for at in range(start + 1, end):
            total += line[at]
        means.append(total / (end - start))
    return np.ascontiguousarray(np.moveaxis(np.stack(means), 0, axis))


def _mixed(hashed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the result hangs on every bit given (the finaliser of SplitMix64)."""
    mixed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def parse_texts(values: Sequence[object] | NDArray[Any]) -> tuple[list[str], NDArray[np.bool_] | None]:
    """The texts that are there, and a mask of the missing (None or NaN), None where there are none.

    >>> texts, missing = parse_texts(["a", None])
    >>> texts, missing.tolist()
    (['a'], [False, True])
    """
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    gone, there = _present(items)
    for item in there:
        if not isinstance(item, str):
            raise ValueError(f"{type(item).__name__} is no text")
    return there, gone


def parse_vectors(
    values: Sequence[object] | NDArray[Any], length: int
) -> tuple[Vectors, NDArray[np.bool_] | None]:
    """The vectors that are there, float64 [., length], and a mask of the missing, None where there are none.

    Nested lists of an image are taken as well as flat ones. Raises ``ValueError`` on what is not ``length`` finite
    numbers.

    >>> parse_vectors([[1, 2], None], 2)[0].tolist()
    [[1.0, 2.0]]
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        there, gone = values, None
    else:
        gone, items = _present(list(values))
        for item in items:
            if not isinstance(item, list | tuple | np.ndarray):
                raise ValueError(f"{type(item).__name__} is no vector")
        try:
            there = np.asarray(items) if items else np.zeros((0, length))
        except ValueError:  # rows of different lengths
            odd = next((len(item) for item in items if len(item) != length), None)
            raise ValueError(
                f"a vector has {odd} numbers, not {length}" if odd is not None else "a vector in a vector"
            ) from None
    if there.dtype.kind not in "fiu":
        kinds = sorted({type(number).__name__ for number in there.ravel().tolist()} - {"float", "int"})
        raise ValueError(f"a vector holds what is no number: {', '.join(kinds) or there.dtype}")
    if there.ndim < 2 or there[0:1].size not in (0, length):
        raise ValueError(f"a vector has {there[0:1].size} numbers, not {length}")
    vectors = there.reshape(len(there), length).astype(np.float64, copy=False)
    if not np.isfinite(vectors).all():
        raise ValueError("a vector holds NaN or an infinity")
    return vectors, gone


def _present(items: list[Any]) -> tuple[NDArray[np.bool_] | None, list[Any]]:
    gone = [item is None or (isinstance(item, float) and item != item) for item in items]
    if not any(gone):
        return None, items
    return np.array(gone, dtype=np.bool_), [item for item, out in zip(items, gone, strict=True) if not out]
