"""What the served ML projects share: ONNX export, agreement, profile, publishing to MLflow."""
