"""A request's tensors as a model's rows.

A model has one input a feature: [N] or [N, 1], a vector [N, length] or of its own shape; an optional one may be left
out. Where all features are numbers or vectors, one tensor of any other name may hold them side by side, in the
profile's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from summaries.profile import FieldSpec

from predictor.domain.request import Invalid
from predictor.domain.tensors import NUMBERS, Tensor, invalid

DATATYPES = {
    "float32": "FP32", "int64": "INT64", "string": "BYTES", "bool": "BOOL", "text": "BYTES", "vector": "FP32"
}  # fmt: skip
_NUMERIC = ("float32", "int64", "vector")


def rows(tensors: Sequence[Tensor], fields: Sequence[FieldSpec]) -> list[dict[str, Any]]:
    """The tensors' rows, a value by each feature's name, unchecked; raises :class:`Invalid` naming the tensor."""
    names = {field.name for field in fields}
    if len(tensors) == 1 and tensors[0].name not in names and all(f.dtype in _NUMERIC for f in fields):
        columns = _side_by_side(tensors[0], fields)
    else:
        columns = _by_name(tensors, fields)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _by_name(tensors: Sequence[Tensor], fields: Sequence[FieldSpec]) -> dict[str, list[Any]]:
    given = {tensor.name: tensor for tensor in tensors}
    errors: list[dict[str, Any]] = []
    columns: dict[str, list[Any]] = {}
    for field in fields:
        tensor = given.pop(field.name, None)
        message = _misfit(tensor, field)
        if message:
            errors.append({"field": field.name, "message": message})
        elif tensor is not None:
            columns[field.name] = _vectors(tensor.values, field) if field.shape else tensor.values
    errors += [{"field": name, "message": "is not an input of this model"} for name in given]
    if errors:
        raise Invalid(errors)
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise invalid("inputs", f"differ in their number of rows: {said}")
    return columns


def _misfit(tensor: Tensor | None, field: FieldSpec) -> str | None:
    """Why the tensor cannot be the field's column; None where it can."""
    if tensor is None:
        return None if field.optional else "is missing"
    wanted = DATATYPES[field.dtype]
    if tensor.datatype != wanted and not (tensor.datatype in NUMBERS and field.dtype in _NUMERIC):
        return f"must be a tensor of {wanted}, not of {tensor.datatype}"
    shapes = [(field.length,), field.shape or ()] if field.dtype == "vector" else [(), (1,)]
    if not tensor.shape or tensor.shape[1:] not in shapes:
        allowed = " or ".join(f"[{', '.join(['N', *map(str, shape)])}]" for shape in dict.fromkeys(shapes))
        return f"must have the shape {allowed}, not {list(tensor.shape)}"
    return None


def _side_by_side(tensor: Tensor, fields: Sequence[FieldSpec]) -> dict[str, list[Any]]:
    width = sum(field.length for field in fields)  # that of a single value is 1
    alone = len(fields) == 1 and tensor.shape[1:] == fields[0].shape
    if tensor.datatype not in NUMBERS or not tensor.shape or (tensor.shape[1:] != (width,) and not alone):
        said = f"must hold numbers in the shape [N, {width}], the features in their order, or be one tensor a feature"
        raise invalid(tensor.name, said)
    columns: dict[str, list[Any]] = {}
    at = 0
    for field in fields:
        starts = range(at, len(tensor.values), width)
        cells = [value for start in starts for value in tensor.values[start : start + field.length]]
        columns[field.name] = _vectors(cells, field) if field.shape else cells
        at += field.length
    return columns


def _vectors(values: list[Any], field: FieldSpec) -> list[list[Any] | None]:
    """A list of numbers a row; a row without any is a missing vector."""
    cut = [values[i : i + field.length] for i in range(0, len(values), field.length)]
    return [vector if any(number is not None for number in vector) else None for vector in cut]
