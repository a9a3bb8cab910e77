"""What comes in over HTTP: labels, and questions about what became of them."""

from feedback.consumes.http.answers import Answers, Elsewhere, Unready
from feedback.consumes.http.app import make_app

__all__ = ["Answers", "Elsewhere", "Unready", "make_app"]
