"""Rows through an ONNX model: one way for the pipeline that made it, the service and the challenge."""

from scoring.onnx_model import OnnxModel, Scores, Unscorable, Unusable

__all__ = ["OnnxModel", "Scores", "Unscorable", "Unusable"]
