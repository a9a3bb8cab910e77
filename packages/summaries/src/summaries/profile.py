"""A model version's profile: its fields, and what the world looked like when it was made.

It travels with the version as JSON. The monitor counts live rows over its cells; the predictor takes names,
types and ranges from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries.anderson_darling import null_law
from summaries.autocorrelation import NOTABLE, alarm_share, variance_inflation
from summaries.categories import Categories
from summaries.cells import Cells
from summaries.codebook import Codebook, learned
from summaries.counts import Counts
from summaries.detection import Detector, Reference, dependence
from summaries.encoders import Encoder, Identity, Ngrams, encoder, parse_texts, parse_vectors
from summaries.joint import JointLaw
from summaries.labels import text
from summaries.quality import Classification, Regression

SCHEMA_VERSION = 1
Task = Literal["classification", "regression"]
FieldDtype = Literal["float32", "int64", "string", "bool", "text", "vector"]
Kind = Literal["numeric", "categorical", "vector"]
Column = ArrayLike | Sequence[object]


@dataclass(frozen=True)
class FieldSpec:
    """What a feature is: declared by the project, not learned from data.

    ``min`` and ``max`` are what can be, in ``unit``, not what the reference happened to hold: a value outside
    them is an error, a new value inside them is news. An integer that only names something may be declared
    ``categorical``.

    A ``text`` is free text, and a ``vector`` numbers of a ``shape``: (384,) for an embedding, (28, 28) for an image,
    which travels flat, row after row. ``encoder`` makes the vector of them that is watched: hashed n-grams of a text
    and a vector as it is, unless another is named.

    >>> FieldSpec("image", "vector", shape=(28, 28), encoder={"name": "intensities", "rows": 7, "columns": 7}).encoder
    Intensities(rows=7, columns=7)
    """

    name: str
    dtype: FieldDtype
    unit: str = ""
    description: str = ""
    min: float | None = None
    max: float | None = None
    optional: bool = False
    kind: Kind | None = None
    shape: tuple[int, ...] | None = None
    encoder: Encoder | Mapping[str, Any] | str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "int64", "string", "bool", "text", "vector"):
            raise ValueError(
                f"{self.name}: dtype is float32, int64, string, bool, text or vector, not {self.dtype!r}"
            )
        if self.dtype in ("text", "vector"):
            self._check_encoded()
            return
        if self.shape is not None or self.encoder is not None:
            raise ValueError(
                f"{self.name}: a {self.dtype} has neither shape nor encoder; a text or vector may"
            )
        textual = self.dtype in ("string", "bool")
        if self.kind is None:
            object.__setattr__(self, "kind", "categorical" if textual else "numeric")
        elif self.kind not in ("numeric", "categorical") or (textual and self.kind == "numeric"):
            raise ValueError(f"{self.name}: a {self.dtype} is not {self.kind}")
        if self.optional and self.dtype == "int64":
            raise ValueError(
                f"{self.name}: int64 has no missing value; declare an optional number as float32"
            )

    def _check_encoded(self) -> None:
        """A text or a vector: its kind, shape and encoder."""
        if self.kind not in (None, "vector"):
            raise ValueError(f"{self.name}: a {self.dtype} is not {self.kind}")
        object.__setattr__(self, "kind", "vector")
        if (self.shape is None) != (self.dtype == "text"):
            raise ValueError(f"{self.name}: a vector has a shape, a text has none")
        if self.shape is not None:
            shape = tuple(self.shape)
            if not shape or not all(type(size) is int and size > 0 for size in shape):
                raise ValueError(f"{self.name}: a shape is of whole numbers from 1, not {self.shape}")
            object.__setattr__(self, "shape", shape)
        if self.dtype == "text" and (self.min is not None or self.max is not None):
            raise ValueError(f"{self.name}: a text has neither min nor max")
        try:
            chosen = encoder(self.encoder or (Ngrams() if self.dtype == "text" else Identity()))
            chosen.check(self.dtype, self.shape)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        object.__setattr__(self, "encoder", chosen)

    @property
    def length(self) -> int:
        """How many numbers a vector has."""
        return math.prod(self.shape or ())


@dataclass(frozen=True)
class Field:
    """A feature or an output, with the counts of its reference."""

    spec: FieldSpec
    reference: Reference

    @property
    def name(self) -> str:
        """The feature's name, or ``prediction:<target>``, or ``probability:<class>``."""
        return self.spec.name

    @classmethod
    def build(cls, spec: FieldSpec, values: Column, known: Iterable[object] = ()) -> Field:
        """Count ``values``; raises ``ValueError`` naming the field where they are not what ``spec`` says."""
        try:
            if spec.kind == "vector":
                return cls(spec, Codebook.from_reference(*_encoded(spec, values, within=True)))
            if spec.kind == "categorical":
                return cls(spec, Categories.from_reference(cast("Iterable[object]", values), known))
            cells = Cells.from_reference(values, cast("Literal['float32', 'int64']", spec.dtype))
        except ValueError as error:
            raise ValueError(f"{spec.name}: {error}") from None
        for low in cells.edges[:1]:
            if spec.min is not None and low < spec.min:
                raise ValueError(f"{spec.name}: {low} is below the declared minimum {spec.min}")
        for high in cells.edges[-1:]:
            if spec.max is not None and high > spec.max:
                raise ValueError(f"{spec.name}: {high} is above the declared maximum {spec.max}")
        return cls(spec, cells)

    @property
    def references(self) -> dict[str, Reference]:
        """What is counted of it, by monitored name: of a vector its parts too, by ``name:part``."""
        if isinstance(self.reference, Codebook):
            return {**self.reference.references(self.name)}
        return {self.name: self.reference}

    def place(self, values: Column) -> dict[str, NDArray[np.int64]]:
        """The cell of each value, by monitored name; raises ``ValueError`` naming the field."""
        if not isinstance(self.reference, Codebook):
            return {self.name: self.index(values)}
        try:
            placed = self.reference.place(*_encoded(self.spec, values))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        return {f"{self.name}:{part}" if part else self.name: cells for part, cells in placed.items()}

    def counted(self, counts: Mapping[str, Counts]) -> Field:
        """The same cells with other reference counts, by monitored name."""
        known = self.reference
        if isinstance(known, Codebook):
            return Field(self.spec, known.counted(self.name, counts))
        if isinstance(known, Cells):
            return Field(self.spec, Cells(known.edges, counts[self.name], known.dtype))
        return Field(self.spec, Categories(known.names, counts[self.name]))

    def index(self, values: Column) -> NDArray[np.int64]:
        """The cell of each value, of a vector that of its centroid; raises ``ValueError`` naming the field."""
        if isinstance(self.reference, Codebook):
            return self.place(values)[self.name]
        try:
            if isinstance(self.reference, Cells):
                return self.reference.index(values)
            return self.reference.index(cast("Iterable[object]", values))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        s = self.spec
        return {
            "name": s.name,
            "dtype": s.dtype,
            "kind": s.kind,
            "unit": s.unit,
            "description": s.description,
            "min": s.min,
            "max": s.max,
            "optional": s.optional,
            **({"shape": list(s.shape)} if s.shape is not None else {}),
            **({"encoder": cast("Encoder", s.encoder).to_dict()} if s.kind == "vector" else {}),
            "reference": self.reference.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Field:
        """The field that :meth:`to_dict` wrote."""
        spec = FieldSpec(**{key: data[key] for key in FieldSpec.__dataclass_fields__ if key in data})
        if spec.kind == "vector":
            return cls(spec, Codebook.from_dict(data["reference"]))
        reader = Cells.from_dict if spec.kind == "numeric" else Categories.from_dict
        return cls(spec, reader(data["reference"]))


@dataclass(frozen=True)
class Profile:
    """The fields and the reference of one model version; ``joint`` says how its features go together.

    ``quality`` is how good the outputs were, where the truth about them was known: what
    :class:`summaries.quality.Classification` or :class:`~summaries.quality.Regression` writes as JSON. It travels as it
    is: what it is read for (a calibration, a figure to compare with) is its reader's.

    >>> profile = Profile.build(
    ...     {"alcohol": [9.4, 9.8, 9.8]}, [FieldSpec("alcohol", "float32", unit="% vol", min=0)],
    ...     predictions=[5, 5, 6], probabilities=None, target="quality", classes=[5, 6],
    ...     task="classification")
    >>> sorted(profile.monitored())
    ['alcohol', 'prediction:quality']
    >>> cells = profile.index_batch({"alcohol": [9.8, 11.0]}, predictions=[6, 5])
    >>> {name: at.tolist() for name, at in cells.items()}
    {'alcohol': [3, 4], 'prediction:quality': [1, 0]}
    >>> Profile.from_dict(profile.to_dict()) == profile
    True
    """

    target: str
    task: Task
    classes: list[str] | None
    rows: int
    features: list[Field]
    outputs: list[Field]
    joint: JointLaw | None = None
    warnings: tuple[str, ...] = ()
    quality: Mapping[str, Any] | None = None

    @classmethod
    def build(
        cls,
        columns: Mapping[str, Column],
        schema: Sequence[FieldSpec],
        predictions: Column,
        probabilities: Mapping[str, Column] | None,
        target: str,
        classes: Sequence[object] | None,
        task: Task,
        truth: Column | None = None,
    ) -> Profile:
        """Count a reference sample. Rows are in the order of time where they have one: ``warnings`` go by it.

        ``predictions`` and ``probabilities`` come from rows the model was not fitted on, so they may be of
        another number than the rows of ``columns``; they should be the served model's own, float for float. With
        ``truth``, theirs row by row, the profile has their ``quality``; raises ``ValueError`` where it does not fit them.
        """
        absent = [spec.name for spec in schema if spec.name not in columns]
        if absent:
            raise ValueError(f"no column for {', '.join(absent)}")
        lengths = {spec.name: _length(columns[spec.name]) for spec in schema}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")
        if task not in ("classification", "regression"):
            raise ValueError(f"task is classification or regression, not {task!r}")
        if not schema:
            raise ValueError("a model has features")
        rows = next(iter(lengths.values()))
        features = [Field.build(spec, columns[spec.name]) for spec in schema]
        references = {name: known for field in features for name, known in field.references.items()}
        if len(references) < sum(len(field.references) for field in features):
            raise ValueError("two features, or a feature and a part of a vector, have one name")
        cells = {name: at for field in features for name, at in field.place(columns[field.name]).items()}
        if any(field.spec.kind == "vector" for field in features) and rows > 1:
            # Rows that a codebook has learned from lie nearer to it than others do.
            cells = {name: at[~learned(rows)] for name, at in cells.items()}
        joint = dependence(references, cells)
        warnings = tuple(
            filter(None, (_order_warning(name, references[name], cells[name]) for name in references))
        )
        if task == "regression":
            spec = FieldSpec(f"prediction:{target}", "float32", description="predicted value")
            outputs = [Field.build(spec, predictions)]
            quality = None if truth is None else _errors(truth, predictions)
            return cls(target, task, None, rows, features, outputs, joint, warnings, quality)
        names = [cast("str", text(name)) for name in (() if classes is None else classes)]
        if len(names) < 2 or None in names or len(set(names)) != len(names):
            raise ValueError(f"a classification has two or more distinct classes, not {classes}")
        spec = FieldSpec(f"prediction:{target}", "string", description="predicted class")
        outputs = [Field.build(spec, predictions, known=names)]
        if probabilities is not None:
            # Of two classes one probability says it all.
            given = {text(name): column for name, column in probabilities.items()}
            for name in names[-1:] if len(names) == 2 else names:
                if name not in given:
                    raise ValueError(f"no probability of class {name}")
                spec = FieldSpec(f"probability:{name}", "float32", description="probability of the class")
                outputs.append(Field.build(spec, given[name]))
        quality = None if truth is None else _hits(names, truth, predictions, probabilities)
        return cls(target, task, names, rows, features, outputs, joint, warnings, quality)

    def monitored(self) -> dict[str, Reference]:
        """The references of each feature and output, by name; their ``counts`` are the reference counts."""
        return {
            name: known
            for field in [*self.features, *self.outputs]
            for name, known in field.references.items()
        }

    def detector(self, scales: Sequence[int] = (1, 2), correction: str = "bh") -> Detector:
        """What judges windows of this model version. Outputs depend on all features: each is judged alone."""
        return Detector(
            self.monitored(),
            scales=scales,
            correction=correction,
            joint=self.joint,
            joint_names=[name for field in self.features for name in field.references]
            if self.joint is not None
            else (),
        )

    def index_batch(
        self,
        features: Mapping[str, Column],
        predictions: Column,
        probabilities: Mapping[str, Column] | None = None,
    ) -> dict[str, NDArray[np.int64]]:
        """The cells of a batch's rows, by monitored name. A column that is not there is missing in all rows.

        Raises ``ValueError`` naming the field where a column holds infinities or the wrong type.
        """
        n = _length(predictions)
        columns: dict[str, Column] = {**features, f"prediction:{self.target}": predictions}
        for name, column in (probabilities or {}).items():
            columns[f"probability:{name}"] = column
        cells = {}
        for field in [*self.features, *self.outputs]:
            if field.name not in columns:
                for name, known in field.references.items():
                    cells[name] = np.full(n, known.missing, dtype=np.int64)
                continue
            for name, at in field.place(columns[field.name]).items():
                if len(at) != n:
                    raise ValueError(f"{field.name}: {len(at)} values in a batch of {n}")
                cells[name] = at
        return cells

    def to_dict(self) -> dict[str, Any]:
        """JSON, read back exactly by :meth:`from_dict`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "target": self.target,
            "task": self.task,
            "classes": self.classes,
            "rows": self.rows,
            "features": [field.to_dict() for field in self.features],
            "outputs": [field.to_dict() for field in self.outputs],
            "joint": self.joint.to_dict() if self.joint is not None else None,
            "warnings": list(self.warnings),
            **({"quality": dict(self.quality)} if self.quality is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """The profile that :meth:`to_dict` wrote; refuses another schema version."""
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"profile schema_version is {data.get('schema_version')!r}, not {SCHEMA_VERSION}"
            )
        return cls(
            target=data["target"],
            task=data["task"],
            classes=data["classes"],
            rows=data["rows"],
            features=[Field.from_dict(field) for field in data["features"]],
            outputs=[Field.from_dict(field) for field in data["outputs"]],
            joint=JointLaw.from_dict(data["joint"]) if data.get("joint") else None,
            warnings=tuple(data.get("warnings", ())),
            quality=data.get("quality"),
        )


def _encoded(
    spec: FieldSpec, values: Column, within: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """The vectors of the values that are there, and a mask of those that are not; ``within``: min and max hold."""
    given = cast("Sequence[object]", values)
    rows: Any
    if spec.dtype == "text":
        rows, missing = parse_texts(given)
    else:
        rows, missing = parse_vectors(given, spec.length)
        if within and len(rows) and spec.min is not None and rows.min() < spec.min:
            raise ValueError(f"{rows.min()} is below the declared minimum {spec.min}")
        if within and len(rows) and spec.max is not None and rows.max() > spec.max:
            raise ValueError(f"{rows.max()} is above the declared maximum {spec.max}")
    if not len(rows):
        return np.zeros((0, 0)), missing
    return cast("Encoder", spec.encoder).encode(rows, spec.shape), missing


def _hits(
    classes: Sequence[str], truth: Column, predictions: Column, probabilities: Mapping[str, Column] | None
) -> dict[str, Any]:
    """The quality of a classification, as JSON."""
    quality = Classification(classes)
    given = {name: cast("ArrayLike", column) for name, column in (probabilities or {}).items()}
    quality.update(cast("Iterable[object]", truth), cast("Iterable[object]", predictions), given or None)
    return quality.to_dict()


def _errors(truth: Column, predictions: Column) -> dict[str, Any]:
    """The quality of a regression, as JSON."""
    quality = Regression()
    quality.update(cast("ArrayLike", truth), cast("ArrayLike", predictions))
    return quality.to_dict()


def _order_warning(name: str, reference: Reference, cells: NDArray[np.int64]) -> str | None:
    """In plain words, where neighbouring rows resemble each other; None where they do not."""
    inflation = variance_inflation(cells, reference.counts)
    if inflation < NOTABLE:
        return None
    counts = reference.counts[:-1]
    meant = 0.001
    actual = alarm_share(null_law(counts), meant, inflation)
    often = "nearly every one" if actual > 0.5 else f"one in {1 / actual:,.0f}"
    return (
        f"{name}: neighbouring rows resemble each other, {reference.rows:,} of them tell about as much as "
        f"{reference.rows / inflation:,.0f} independent ones. Where the budget is one quiet window in {1 / meant:,.0f}, "
        f"this feature alone may alarm in {often}: a larger ATALAIA_MIN_EFFECT keeps it quiet"
    )


def _length(column: Column) -> int:
    return len(cast("Sequence[object]", column))
