"""Demonstrations: real data replayed through the running platform, checked, and reported."""
