"""The registry gives services what the publishing contract put there."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from servicekit.errors import UserError
from servicekit.registry import Registry, signed


def identity_model() -> onnx.ModelProto:
    """The smallest model there is."""
    x = helper.make_tensor_value_info("a", TensorProto.FLOAT, [None, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_a_registered_version_comes_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model bytes, checksum, signature and profile are as published; a wrong checksum is refused."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = Registry(uri)
    assert registry.champion("m") is None
    assert registry.versions("m") == []
    experiment = registry.client().create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    signature = ModelSignature(
        Schema([ColSpec("double", "a"), ColSpec("string", "b", required=False)]),
        Schema([ColSpec("float", "y")]),
    )
    with mlflow.start_run(experiment_id=experiment):
        (tmp_path / "profile.json").write_text(json.dumps({"schema_version": 1}))
        mlflow.log_artifact(str(tmp_path / "profile.json"))
        for _ in range(2):
            mlflow.onnx.log_model(
                identity_model(),
                name="model",
                registered_model_name="m",
                signature=signature,
                pip_requirements=[],
            )
    assert registry.champion("m") is None
    registry.set_champion("m", "2")
    assert registry.champion("m") == "2"
    assert registry.versions("m") == ["1", "2"]
    bundle = registry.bundle("m", "1")
    assert onnx.load_from_string(bundle.onnx).graph.node[0].op_type == "Identity"
    assert bundle.sha256 == hashlib.sha256(bundle.onnx).hexdigest()
    assert bundle.profile == {"schema_version": 1}
    assert bundle.signature == [
        {"name": "a", "type": "double", "optional": False},
        {"name": "b", "type": "string", "optional": True},
    ]
    registry.client().set_model_version_tag("m", "1", "sha256", "0" * 64)
    with pytest.raises(UserError, match="its tag says 0000"):
        registry.bundle("m", "1")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with model m: version 1 is not ONNX, version 2 comes from a run without profile."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    made = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = made.client().create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    for profile, log in (
        (
            {"features": []},
            lambda: mlflow.pyfunc.log_model(
                name="model",
                python_model=lambda model_input: model_input,
                pip_requirements=[],
                registered_model_name="m",
            ),
        ),
        (
            None,
            lambda: mlflow.onnx.log_model(
                identity_model(), name="model", registered_model_name="m", pip_requirements=[]
            ),
        ),
    ):
        with mlflow.start_run(experiment_id=experiment):
            if profile:
                mlflow.log_dict(profile, "profile.json")
            log()
    return made


@pytest.mark.parametrize(
    ("version", "said"), [("1", "0 .onnx files"), ("2", "no profile.json"), ("3", "no version 3 of m")]
)
def test_a_version_that_is_not_whole_is_said_to_be_so(registry: Registry, version: str, said: str) -> None:
    """No ONNX file, no profile, no such version: the user's to mend, and no StopIteration, which would hang."""
    with pytest.raises(UserError, match=said):
        registry.bundle("m", version)


def test_what_is_registered_beside_a_model_is_read_where_there_is_any(registry: Registry) -> None:
    """No such file is no error; one that is not JSON is the user's to mend, as is a version that is not there."""
    assert registry.described_by("m", "1", "profile.json") == {"features": []}
    assert registry.described_by("m", "2", "learning_curve.json") is None
    client = registry.client()
    run = client.get_model_version("m", "2").run_id
    client.log_text(run, "a curve", "learning_curve.json")
    with pytest.raises(UserError, match=r"learning_curve.json of models:/m/2 is not JSON"):
        registry.described_by("m", "2", "learning_curve.json")
    with pytest.raises(UserError, match="no version 3 of m"):
        registry.described_by("m", "3", "learning_curve.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "MLmodel file cannot be read"),
        (b"- a list", "MLmodel file cannot be read"),
        (b"signature: here", "MLmodel file cannot be read"),
        (b"a: [", "MLmodel file cannot be read"),
        (b"\xff\xfe\x00", "MLmodel file cannot be read"),
        (b"signature: {inputs: 'not JSON'}", "MLmodel file cannot be read"),
        (b"signature: {inputs: 7}", "MLmodel file cannot be read"),
        (b"signature: {inputs: '[7]'}", "not columns with a name and a type"),
        (b'signature: {inputs: \'{"name": "a"}\'}', "not columns with a name and a type"),
        (None, "MLmodel file cannot be read"),
    ],
)
def test_a_description_that_cannot_be_read_is_the_users_to_mend(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    """One line that names the version, so that whoever loads it refuses it and does not ask for ever."""
    path = tmp_path / "MLmodel"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^models:/m/4: .*{said}.* Register it anew\.$"):
        signed(path, "models:/m/4")


def test_a_description_without_signature_has_no_inputs(tmp_path: Path) -> None:
    """Nothing is signed where nothing says so."""
    path = tmp_path / "MLmodel"
    for content in ("flavors: {}", "signature: null", "signature: {outputs: '[]'}"):
        path.write_text(content)
        assert signed(path, "models:/m/4") == []


def test_a_version_whose_inputs_are_tensors_is_refused(registry: Registry) -> None:
    """MLflow signs an array without names; the services ask for columns."""
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    tensors = ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 1))]))
    experiment = registry.client().get_experiment_by_name("e").experiment_id
    with mlflow.start_run(experiment_id=experiment):
        mlflow.log_dict({"features": []}, "profile.json")
        mlflow.onnx.log_model(
            identity_model(), name="model", registered_model_name="m", signature=tensors, pip_requirements=[]
        )
    with pytest.raises(UserError, match=r"^models:/m/3: its signature has inputs that are not columns"):
        registry.bundle("m", "3")
