"""What comes in over HTTP: rows to be scored, in this service's form or the Open Inference Protocol's."""

from predictor.consumes.http.app import make_app

__all__ = ["make_app"]
