"""What the Open Inference Protocol asks of a model, and what it is told.

A model's outputs are the target under its own name [N], the probabilities [N, C], and ``prediction_id`` [N], by which
truth is sent later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from contracts.events import Label

from predictor.domain.answer import Answer
from predictor.domain.inputs import DATATYPES
from predictor.domain.model import Model
from predictor.domain.request import is_text
from predictor.domain.tensors import Tensor, invalid, read, write

PROBABILITIES, PREDICTION_ID = "probabilities", "prediction_id"
OF_TYPE: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
_UNSUPPORTED = {"classification", "shared_memory_region"}


class NotServed(LookupError):
    """Another model or version than the one that serves; the message says which does."""


@dataclass(frozen=True)
class Inference:
    """What is asked: tensors in; names of the outputs wanted (None: all), and of those wanted as bytes."""

    id: str | None
    event_time: Any
    tensors: list[Tensor]
    outputs: list[str] | None
    as_bytes: dict[str, bool]
    all_as_bytes: bool


def parse(content: Any, binary: bytes, model: Model) -> Inference:
    """A request's JSON object and the bytes behind it; raises :class:`Invalid`.

    What is null is taken for absent, and parameters that are not known here are left alone.
    """
    if not isinstance(content, dict):
        raise invalid("body", "must be a JSON object")
    name = content.get("id")
    if name is not None and not (isinstance(name, str) and is_text(name)):
        raise invalid("id", "must be a string")
    parameters = _parameters(content)
    inputs = content.get("inputs")
    if isinstance(inputs, list) and len(inputs) > len(model.fields) + 1:  # one that is not known is named
        raise invalid(
            "inputs", f"holds {len(inputs)} tensors, and the model has {len(model.fields)} features"
        )
    outputs: dict[str, bool | None] = {}
    for i, wanted in enumerate(_list(content)):
        output = wanted.get("name") if isinstance(wanted, dict) else None
        if not isinstance(output, str) or output in outputs:
            raise invalid(f"outputs[{i}]", "must be an object with a name of its own")
        settings = _parameters(wanted)
        for odd in settings.keys() & _UNSUPPORTED:
            raise invalid(f"outputs[{i}]", f"parameter {odd} is not supported")
        outputs[output] = _flag(settings, "binary_data")
    return Inference(
        id=name,
        event_time=parameters.get("event_time"),
        tensors=read(inputs, binary),
        outputs=list(outputs) or None,
        as_bytes={output: flag for output, flag in outputs.items() if flag is not None},
        all_as_bytes=_flag(parameters, "binary_data_output") or False,
    )


def _parameters(of: dict[str, Any]) -> dict[str, Any]:
    parameters = of.get("parameters")
    if not isinstance(parameters, dict | None):
        raise invalid("parameters", "must be an object")
    return parameters or {}


def _list(content: dict[str, Any]) -> list[Any]:
    outputs = content.get("outputs")
    if not isinstance(outputs, list | None):
        raise invalid("outputs", "must be an array")
    return outputs or []


def _flag(parameters: dict[str, Any], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise invalid(name, "must be true or false")
    return value


@lru_cache(maxsize=2)
def example_of(model: Model) -> tuple[Label, dict[str, float] | None]:
    """What the model says of its own example: a prediction, and the probabilities by class where there are any."""
    labels, chances = model.score({name: [value] for name, value in model.examples.items()}, 1)
    return labels[0], None if chances is None else {name: column[0] for name, column in chances.items()}


def describe(model: Model) -> dict[str, list[dict[str, Any]]]:
    """The model's tensors, ``inputs`` and ``outputs``, as its metadata names them; -1 is the number of rows."""
    label, chances = example_of(model)
    outputs: list[dict[str, Any]] = [{"name": model.target, "datatype": OF_TYPE[type(label)], "shape": [-1]}]
    if chances is not None:
        outputs.append({"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, len(model.classes or ())]})
    outputs.append({"name": PREDICTION_ID, "datatype": "BYTES", "shape": [-1]})
    inputs = [
        {"name": field.name, "datatype": DATATYPES[field.dtype], "shape": [-1, *(field.shape or ())]}
        for field in model.fields
    ]
    return {"inputs": inputs, "outputs": outputs}


def check_served(model: Model, name: str, version: str | None) -> None:
    """Raises :class:`NotServed` where another model is asked for, or another version; None: whichever serves."""
    version = version or model.version
    if (name, version) != (model.name, model.version):
        asked = f"Version {version} of {name}" if version != model.version else f"Model {name}"
        raise NotServed(f"{asked} does not serve here. Version {model.version} of {model.name} does.")


def check_outputs(asked: Inference, model: Model) -> None:
    """Raises :class:`Invalid` where an output is wanted that the model has not."""
    known = [output["name"] for output in describe(model)["outputs"]]
    odd = [name for name in asked.outputs or [] if name not in known]
    if odd:
        raise invalid("outputs", f"there is no output {odd[0]!r}, but {', '.join(known)}")


def answered(asked: Inference, answer: Answer, model: Model) -> tuple[dict[str, Any], bytes]:
    """The response's JSON object and the bytes that follow it."""
    n = len(answer.ids)
    labels = answer.predictions
    tensors = [Tensor(model.target, OF_TYPE[type(labels[0])], (n,), list(labels))]
    if answer.probabilities is not None:
        columns = answer.probabilities
        flat = [value for row in zip(*columns.values(), strict=True) for value in row]
        # a parameter is no array (inference_rest.md, "Parameters"): the names are a JSON array in a text
        named = {"classes": orjson.dumps(list(columns)).decode()}
        tensors.append(Tensor(PROBABILITIES, "FP32", (n, len(columns)), flat, named))
    tensors.append(Tensor(PREDICTION_ID, "BYTES", (n,), answer.ids))
    if asked.outputs is not None:
        by_name = {tensor.name: tensor for tensor in tensors}
        tensors = [by_name[name] for name in asked.outputs if name in by_name]
    as_bytes = [t.name for t in tensors if asked.as_bytes.get(t.name, asked.all_as_bytes)]
    outputs, binary = write(tensors, as_bytes)
    head: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": outputs}
    return head | ({"id": asked.id} if asked.id is not None else {}), binary
