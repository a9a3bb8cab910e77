"""Stages of this project; see dvc.yaml."""
