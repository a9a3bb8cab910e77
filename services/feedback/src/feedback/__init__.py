"""Feedback: truth comes in, is joined to its predictions, and becomes quality per window."""
