"""The MLflow registry as the services see it: a version is ONNX bytes, a checksum, a signature and a profile.

Blocking: call it through ``asyncio.to_thread``. MLflow is imported at the first use: that takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from servicekit.errors import UserError

CHAMPION = "champion"


def signed(mlmodel: Path, uri: str) -> list[dict[str, Any]]:
    """The inputs of a stored model's signature, nothing where it has none (https://mlflow.org/docs/latest/ml/model/).

    Read from the file: MLflow's own reader needs pandas, which nothing that serves needs beside. Raises
    :class:`UserError` naming the version, ``uri``, whose file or signature nobody will ever be able to use.
    """
    try:
        described = yaml.safe_load(mlmodel.read_text(encoding="utf-8"))
        inputs = json.loads((described.get("signature") or {}).get("inputs") or "[]")
    except (FileNotFoundError, yaml.YAMLError, ValueError, AttributeError, TypeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{uri}: its MLmodel file cannot be read ({why}). Register it anew.") from None
    columns = inputs if isinstance(inputs, list) else [inputs]
    if not all(isinstance(each, dict) and {"name", "type"} <= each.keys() for each in columns):
        raise UserError(
            f"{uri}: its signature has inputs that are not columns with a name and a type, such as tensors. "
            f"Register it anew."
        )
    return [
        {"name": each["name"], "type": each["type"], "optional": not each.get("required", True)}
        for each in columns
    ]


@dataclass(frozen=True)
class ModelBundle:
    """All that a service needs of one registered version."""

    model: str
    version: str
    onnx: bytes
    sha256: str
    artifact_uri: str
    profile: dict[str, Any]
    signature: list[dict[str, Any]]

    def odd_fields(self) -> list[str]:
        """The fields that only one of signature and profile names; a version without signature has none."""
        signed = {entry["name"] for entry in self.signature}
        return sorted(signed ^ {field["name"] for field in self.profile["features"]}) if signed else []


class Registry:
    """Versions of registered models on an MLflow server."""

    def __init__(self, mlflow_uri: str) -> None:
        self.uri = mlflow_uri
        self._client: Any = None

    def client(self) -> Any:
        """The MLflow client, made at the first call."""
        if self._client is None:
            import mlflow

            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            self._client = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        return self._client

    def champion(self, model: str) -> str | None:
        """The version that bears the alias ``champion``, if one does."""
        client = self.client()
        from mlflow.exceptions import MlflowException

        try:
            return str(client.get_model_version_by_alias(model, CHAMPION).version)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def set_champion(self, model: str, version: str) -> None:
        """Move the alias."""
        self.client().set_registered_model_alias(model, CHAMPION, version)

    def versions(self, model: str) -> list[str]:
        """All versions, oldest first."""
        found = self.client().search_model_versions(f"name='{model}'")
        return sorted((str(v.version) for v in found), key=int)

    def tags(self, model: str, version: str) -> dict[str, str]:
        """The tags of a version."""
        return dict(self.client().get_model_version(model, version).tags)

    def profile(self, model: str, version: str) -> dict[str, Any]:
        """The profile of a version, without its model; raises :class:`UserError` where it has none."""
        found = self.described_by(model, version, "profile.json")
        if found is None:
            raise UserError(
                f"The run of models:/{model}/{version} has no profile.json. Register the version anew."
            )
        return found

    def described_by(self, model: str, version: str, name: str) -> dict[str, Any] | None:
        """A JSON file beside a version's model, None where it has none; raises :class:`UserError` for one that is not JSON."""
        run_id = self._described(model, version).run_id
        found = self.artifact(run_id, name)
        if found is None:
            return None
        try:
            content: dict[str, Any] = json.loads(found)
        except ValueError as error:
            raise UserError(f"{name} of models:/{model}/{version} is not JSON: {error}") from None
        return content

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """A file at the top of what an MLflow run has logged, or None where there is none of that name."""
        client = self.client()
        if not any(entry.path == name for entry in client.list_artifacts(run_id)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run_id, name, folder)).read_bytes()

    def _described(self, model: str, version: str) -> Any:
        client = self.client()
        from mlflow.exceptions import MlflowException

        try:
            return client.get_model_version(model, version)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise UserError(f"The registry at {self.uri} has no version {version} of {model}.") from None
            raise

    def bundle(self, model: str, version: str) -> ModelBundle:
        """Fetch a version whole.

        Raises :class:`UserError` where what is registered cannot be used: the version is not there, its ``.onnx``
        or profile is missing, its description or signature is not readable, or its checksum is not the tag's. Anything else raised may pass: ask again.
        """
        described = self._described(model, version)
        import mlflow

        uri = f"models:/{model}/{version}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=self.uri))
            found = sorted(path.rglob("*.onnx"))
            if len(found) != 1:
                raise UserError(
                    f"{uri}: {len(found)} .onnx files are stored with it, not one. Register it anew."
                )
            onnx = found[0].read_bytes()
            signature = signed(path / "MLmodel", uri)
        checksum = hashlib.sha256(onnx).hexdigest()
        stated = described.tags.get("sha256")
        if stated and stated != checksum:
            raise UserError(
                f"{uri}: the stored model has sha256 {checksum}, its tag says {stated}. Register it anew."
            )
        return ModelBundle(model, version, onnx, checksum, uri, self.profile(model, version), signature)
